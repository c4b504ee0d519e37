"""Every key and channel in Redis, and how long each lives, on one page.

Keys of one generation share the hash tag `{gen_…}` and so one cluster slot; they belong to the *logs* role. The rest
belongs to the *coordination* role. By default one server plays both, and only then does a step touch keys of both.

| key | type | what | lives |
|---|---|---|---|
| `{gen}:record` | hash | request, state, attempt, lease, a cancel, usage, times | retention after the end; WAITING until then |
| `{gen}:log` | stream | the entries, until they are in the archive | as the record |
| `{gen}:was` | string | tombstone: when made, for which body if its id is derived, whose; or: erased | retention + REMEMBERED |
| `{gen}:webhook` | hash | the record as it ended, which a webhook is to tell yet; tries | DELIVERY, or until it is told |
| `respool:due` | zset | when somebody must look at a generation whose end is not filed (ms) | INDEX, renewed by every write |
| `respool:expiring` | zset | generations whose end is filed, by when they have expired (ms) | as `due` |
| `respool:starting` | zset | generations that may not start yet, by when they may (ms) | as `due` |
| `respool:running` | zset | everybody's generations that were taken and have not ended, as in `index` | as `due` |
| `respool:tenants` | hash | whose each listed generation is, where it is somebody's | as `due` |
| `respool:index:<state>` | zset | nobody's generations by time of submit (µs), `all` or one state | as `due` |
| `respool:<tenant>:index:<state>` | zset | a tenant's, likewise | as `due` |
| `respool:tag:<digest>` | zset | those of one label's value, or of one external id, as in `index` | as `due` |
| `respool:<tenant>:tag:<digest>` | zset | a tenant's, likewise | as `due` |
| `respool:tags:<generation>` | string | under which digests it is listed | INDEX, or until it leaves the lists |
| `respool:rate:<key>` | string | nobody's requests by API key, where limited: when the next is due (µs) | until all is left |
| `respool:<tenant>:rate:<key>` | string | a tenant's, likewise | likewise |
| `respool:used` | hash | tokens of a day and bytes that nobody is charged, where limited | as `due` |
| `respool:<tenant>:used` | hash | a tenant's, likewise | as `due` |
| `respool:charges` | hash | what of that each generation is charged | as `due` |
| `respool:<tenant>:charges` | hash | a tenant's, likewise | as `due` |
| `respool:name:<kind>:<digest>` | string | nobody's chat or thread → its last generation | retention + NAME_SLACK |
| `respool:<tenant>:name:<kind>:<digest>` | string | a tenant's, likewise | likewise |
| `respool:unshown:<digest>` | list | nobody's request → generations of it that no asker was shown | UNSHOWN, renewed by each |
| `respool:<tenant>:unshown:<digest>` | list | a tenant's, likewise | likewise |
| `respool:idem:<sha256>` | string | idempotency key → generation and body fingerprint | IDEMPOTENCY |
| `respool:queue` | zset | nobody's jobs that wait, by their places (ms) | INDEX, renewed by every job |
| `respool:<tenant>:queue` | zset | a tenant's, likewise | as `queue` |
| `respool:turns` | zset | tenants whose jobs are taken, by tags: whose turn it is | as `queue` |
| `respool:turns:background` | zset | those who have jobs in the background alone, likewise | as `queue` |
| `respool:turns:ageing` | zset | the same, by when their first is in the background no more (ms) | as `queue` |
| `respool:turns:bound` | zset | tenants that have all slots that they may have, by tags | as `queue` |
| `respool:turns:level` | string | the highest tag of who has left its turns | as `queue` |
| `respool:coming` | zset | what is submitted and not queued yet, until when it counts as that (ms) | COMING, renewed by each |
| `respool:pace` | hash | how many jobs have left their slots, and for how long they had had them | PACE, renewed by buckets |
| `respool:slots` | hash | how many slots workers have, and until when that counts (ms) | HEARTBEAT, renewed by every beat |
| `arq:*` | string | arq's jobs and their locks, until their generation ends | a job WAITING, a lock as long as a job may run |
| `respool:wake` | list | an element for each job queued: wakes a worker with a free slot | WAKE, or until the queue is empty |
| `respool:sync` | string | a write of our own, to wait for (durability strict), where the logs are | SYNC |
| `{gen}:sync` | string | the same on a cluster, on the server of that generation | SYNC |
| `respool:worker:<name>` | string | heartbeat of a worker process | HEARTBEAT |
| `respool:identity` | string | which server this is, where the logs are | INDEX, renewed by every process |
| `respool:pepper` | string | the secret that ids are derived with, where the logs are | INDEX, renewed by each use |
| `respool:sealing:<key>` | string | by which APIs see that they mean one tenant key by one name | INDEX, renewed by every API |
| `respool:recovered` | string | of which run of coordination the losses are put back, where the logs are | as `identity` |
| `respool:recovering` | string | a worker does so now, where the logs are | RECOVERING, renewed with every page |
| `respool:logs:<role>` | zset | identities of logs servers, by when an `api` or a `worker` last announced them (ms) | WAITING |
| `respool:weights` | zset | weights of cells, by when an API last went by them (ms) | WEIGHTS, renewed by every API |
| `respool:key:<id>` | string | what is known of an API key | INDEX, renewed while it is used; KEY_REMEMBERED behind its end |
| `respool:keys` | zset | tenant and id of each API key | as `respool:key:<id>` |
| `respool:links:revoked` | zset | view links that were revoked, by when (ms); all of a generation's | LINKS_REVOKED, renewed |
| `respool:links:secret` | string | what view links are signed with where no secret is set | INDEX, renewed by every API |
| `respool:cell` | string | the number of the cell that this server is of | INDEX, renewed at every start |
| `respool:probe` | string | a write of our own, to see whether Redis takes any | PROBE |
| `respool:erasing` | zset | generations whose erasure a sweeper completes, and when it looks (ms) | as `due` |
| `respool:erased` | zset | those that were erased of late, by rising numbers, for APIs | TOLD, renewed by each |
| `respool:erased:newest` | string | the number of the latest of them | INDEX, renewed by each |
| `respool:rewritten:<run>` | string | when the server of this run was asked to rewrite its file (ms) | two of the periods |
| `respool:webhooks` | zset | generations whose webhooks are to be tried, and when (ms) | as `due` |
| `respool:archive` | zset | what an archiver must look at, and when (ms): ended generations, objects | as `due` |
| `respool:upstream:<digest>` | hash | budget of an upstream's model and key: limits, breaker | BUDGET |
| `respool:upstream:<digest>:calls` | zset | its calls that run, by when their permits lapse (ms) | BUDGET |
| `respool:upstream:<digest>:waiting` | hash | processes that wait for a permit: since when, last asked (ms) | WAKE |
| `respool:held` | zset | generations that wait for their upstream in nobody's hands, until when (ms) | BUDGET |
| `respool:upstreams` | zset | budgets that are to be asked before each call, until when (ms) | BUDGET |
| `respool:archive:swept` | string | the archive was swept, or somebody does so now | SWEPT; SWEEPING, renewed with every page |

Channels: `{gen}:live` carries each append's entries to the hubs; `respool:cancel` carries ids of cancelled generations
to the workers; `respool:revoked` ids of API keys and view links that were revoked
to the APIs.
"""

from typing import Final

QUEUE: Final = "respool:queue"
DUE: Final = "respool:due"
EXPIRING: Final = "respool:expiring"
STARTING: Final = "respool:starting"
RUNNING: Final = "respool:running"
TENANTS: Final = "respool:tenants"
WAKE: Final = "respool:wake"
PACE: Final = "respool:pace"
SLOTS: Final = "respool:slots"
CANCELS: Final = "respool:cancel"
SYNC: Final = "respool:sync"
WEIGHTS: Final = "respool:weights"
API_KEYS: Final = "respool:keys"
REVOKED: Final = "respool:revoked"
LINKS_REVOKED: Final = "respool:links:revoked"
LINK_SECRET: Final = "respool:links:secret"  # noqa: S105  # the key, not what it holds
CELL: Final = "respool:cell"
PROBE: Final = "respool:probe"
ARCHIVE: Final = "respool:archive"
WEBHOOKS: Final = "respool:webhooks"
ERASING: Final = "respool:erasing"
ERASED: Final = "respool:erased"
NEWEST: Final = "respool:erased:newest"
ARCHIVE_SWEPT: Final = "respool:archive:swept"
UPSTREAM: Final = "respool:upstream:"
"""What the keys of a budget begin with."""
UPSTREAMS: Final = "respool:upstreams"
HELD: Final = "respool:held"
IDENTITY: Final = "respool:identity"
PEPPER: Final = "respool:pepper"
RECOVERED: Final = "respool:recovered"
RECOVERING: Final = "respool:recovering"
STATES: Final = ("queued", "running", "completed", "failed", "cancelled")

DAY_MS: Final = 24 * 3600 * 1000
WAITING_MS: Final = 7 * DAY_MS
"""How long a generation may wait for its first worker, or for its next attempt, before Redis forgets it; from when it may
start."""
INDEX_MS: Final = 400 * DAY_MS
"""Longer than any retention (a year) and than WAITING_MS: an index outlives what it lists."""
REMEMBERED_MS: Final = DAY_MS
DELIVERY_MS: Final = 36 * 3600 * 1000
"""Longer than all tries of a webhook take: a day, and what is added to its pauses."""
IDEMPOTENCY_MS: Final = DAY_MS
NAME_SLACK_MS: Final = 2 * WAITING_MS
"""By how much a name outlives the retention of its generation: so long that may wait for a worker, run, and wait again."""
CLAIMED_MS: Final = 30_000
"""Longer than a submit waits for Redis, step by step."""
UNSHOWN_MS: Final = 120_000
"""Longer than an SDK waits before it repeats a request: a minute at most."""
WEIGHTS_MS: Final = IDEMPOTENCY_MS + 60_000
"""As long as an idempotency key that was used by them, and a little more than the time between two notes."""
KEY_REMEMBERED_MS: Final = 30 * DAY_MS
"""Longer than a cell is away that comes back with what it knew before a key was revoked."""
LINKS_REVOKED_MS: Final = DAY_MS + 3600 * 1000
"""Longer than any view link lives."""
WAKE_MS: Final = 60_000
SYNC_MS: Final = 60_000
HEARTBEAT_MS: Final = 15_000
COMING_MS: Final = 10_000
PACE_MS: Final = 300_000
PROBE_MS: Final = 60_000
RECOVERING_MS: Final = 15_000
BUDGET_MS: Final = 2 * 3600 * 1000
"""Longer than anything that a budget knows of may last: an hour."""
TOLD_MS: Final = 10 * 60 * 1000
"""Longer than an API goes without asking, before it forgets all that it keeps."""
SWEPT_MS: Final = 22 * 3600 * 1000
"""With the hour for which an object may be nobody's: less than a day."""
SWEEPING_MS: Final = 10 * 60 * 1000


def record(generation_id: str) -> str:
    return f"{{{generation_id}}}:record"


def generation(record: str) -> str:
    """Whose record it is."""
    return record.partition("}")[0].removeprefix("{")


def log(generation_id: str) -> str:
    return f"{{{generation_id}}}:log"


def sync(generation_id: str) -> str:
    return f"{{{generation_id}}}:sync"


def tombstone(generation_id: str) -> str:
    """What stays behind when the record has expired."""
    return f"{{{generation_id}}}:was"


def webhook(generation_id: str) -> str:
    return f"{{{generation_id}}}:webhook"


def live(generation_id: str) -> str:
    return f"{{{generation_id}}}:live"


def sealing(reference: str) -> str:
    """Of the tenant key `<tenant or *>/<id>`."""
    return f"respool:sealing:{reference}"


def queue(owner: str = "") -> str:
    """The line of this tenant's jobs, as `index`."""
    return f"{_of(owner)}queue"


def index(state: str, owner: str = "") -> str:
    """Of this tenant; of what is nobody's where it is empty."""
    return f"{_of(owner)}index:{state}"


def tag(digest: str, owner: str = "") -> str:
    """As `index`."""
    return f"{_of(owner)}tag:{digest}"


def name(kind: str, digest: str, owner: str = "") -> str:
    """As `index`."""
    return f"{_of(owner)}name:{kind}:{digest}"


def unshown(digest: str, owner: str = "") -> str:
    """As `index`."""
    return f"{_of(owner)}unshown:{digest}"


def rate(owner: str, key: str) -> str:
    """Of one API key's requests; `key` is its id, empty where none is asked for."""
    return f"{_of(owner)}rate:{key or '-'}"


def used(owner: str) -> str:
    """What the ledger comes to."""
    return f"{_of(owner)}used"


def charges(owner: str) -> str:
    """The ledger, by generation."""
    return f"{_of(owner)}charges"


def _of(owner: str) -> str:
    """A tenant's name has no colon; lists of tenants.lua are named as here."""
    return f"respool:{owner}:" if owner else "respool:"


def tags(generation_id: str) -> str:
    """Under which tags coordination lists it."""
    return f"respool:tags:{generation_id}"


def idempotency(digest: str) -> str:
    return f"respool:idem:{digest}"


def api_key(id_: str) -> str:
    return f"respool:key:{id_}"


def rewritten(run: str) -> str:
    return f"respool:rewritten:{run}"


def worker(name: str) -> str:
    return f"respool:worker:{name}"


def upstream(budget: str) -> tuple[str, str, str]:
    """Of a budget: what it has, its calls, who waits."""
    return f"{UPSTREAM}{budget}", f"{UPSTREAM}{budget}:calls", f"{UPSTREAM}{budget}:waiting"


def announced(role: str) -> str:
    return f"respool:logs:{role}"
