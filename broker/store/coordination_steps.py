"""The atomic steps of the coordination role as typed functions, one a script: the parameters are what the script is told, the
reply is a type; what a step does and when it refuses is in the script's header.

Each returns the call, not made yet: `Coordination` makes it at once, a transaction takes it with others. Pure.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from arq.constants import in_progress_key_prefix, job_key_prefix

from broker import keys
from broker.limits import NO_DEMAND, Demand
from broker.record import State
from broker.replies import (
    NONE_OVER,
    Accepted,
    Allowance,
    Announced,
    Found,
    Full,
    Limited,
    Look,
    Mismatch,
    Over,
    Overdue,
    Place,
    Taken,
)  # fmt: skip
from broker.store.lua import Argument, Call, Script
from broker.store.queue import MOST_JOBS, Job, content
from broker.tags import NO_TAGS, Tags
from broker.waiting import ALL_EVEN, Ends, Line, Standing, TenantShares

_SUBMIT: Final = Script("submit")
_ENQUEUE: Final = Script("enqueue")
_TAKE: Final = Script("take")
_OVERDUE: Final = Script("overdue")
_LOOK_AGAIN: Final = Script("look_again")
_HOLD_BACK: Final = Script("hold_back")
_FILE: Final = Script("file")
_POSTPONE: Final = Script("postpone")
_ANNOUNCE: Final = Script("announce")
_SHARES: Final = Script("shares")
_SETTLE: Final = Script("settle")
_TAG: Final = Script("tag")
_MOVE: Final = Script("move")
_UNLIST: Final = Script("unlist")
_TAGGED: Final = Script("tagged")
_PUT_BACK: Final = Script("put_back")
_RESUME: Final = Script("resume")
_BEAT: Final = Script("beat")
_STANDING: Final = Script("standing")

BUCKET_MS: Final = 15_000
"""In which ends of jobs are counted together."""

_WAITING_LOOK_MS = 8000
"""How often a sweeper sees to it that what waits stands in the queue: a lost job is found after this and a sweep, where no more
than 800 wait."""
_TURN_MS = 10
"""The same for each that waits, so that 100 are looked at a second however many they are. A lost job is found after a
minute and a sweep at the latest."""
_LONGEST_LOOK_MS = 61_000
"""More than any lease, `pickup_grace` or doubt: what is due later than that was scored before the clock jumped back."""


DOUBT_MS: Final = 10_000
"""Several times what a crash or a failover of Redis may lose: an end that is older has stood."""
EXPIRY_SLACK_MS: Final = 1000


_MOST_STEPS: Final = 500
"""On the list of a tag, at a time: 2 ms of Redis where a page asks for 17 tags at once."""


def idempotency(key: str) -> str:
    """The name in Redis of an idempotency key."""
    return keys.idempotency(hashlib.sha256(key.encode()).hexdigest())


def submit(
    id_: str, idempotency_key: str | None, fingerprint: str, first_due_ms: int, tags: Tags = NO_TAGS, owner: str = "",
    most_waiting: int | None = None, demand: Demand = NO_DEMAND,
) -> Call[Accepted | Mismatch | Full | Limited]:  # fmt: skip
    """Reserves the id: from now on `due` holds it, with a first look after `first_due_ms`, and the lists of its owner. May be
    repeated. A new one is refused where `most_waiting` wait, or where it would pass a limit."""
    touched = [keys.DUE, keys.index("all", owner), keys.index("queued", owner), keys.TENANTS]
    key_at = tags_at = 0
    if idempotency_key is not None:
        touched.append(idempotency(idempotency_key))
        key_at = len(touched)
    if tags:
        tags_at = len(touched) + 1
        touched += tagging(id_, tags, owner)
    args: list[Argument] = [id_, fingerprint, keys.IDEMPOTENCY_MS, first_due_ms, keys.INDEX_MS, key_at, tags_at, owner]
    args += ("" if most_waiting is None else most_waiting, keys.COMING_MS, demand.words())
    return Call(_SUBMIT, touched, args, _submitted)


def _submitted(reply: Sequence[Any]) -> Accepted | Mismatch | Full | Limited:
    match reply:
        case [b"full", *_]:
            return Full()
        case [b"mismatch", *_]:
            return Mismatch()
        case [b"limited", *_]:
            return Limited.of(reply)
    verdict, id_, *left = reply
    return Accepted(id_.decode(), verdict == b"known", Allowance(*left) if left else None)


def enqueue(
    id_: str, ordinal: int, *, created_ms: int | None = None, place_ms: int | None = None, owner: str = ""
) -> Call[None]:
    """Puts the job for attempt number `ordinal` into arq's queue, unless it waits there, and wakes a worker. Its place is
    that of its submit, however often it is enqueued; `created_ms` tells it where the lists have forgotten it, `place_ms` where
    it has another."""
    name = Job(id_, ordinal, owner).name
    touched = [keys.queue(owner), keys.WAKE, keys.DUE, keys.index("all", owner), job_key_prefix + name]
    args: list[Argument] = [
        id_,
        name,
        content(id_),
        keys.WAITING_MS,
        created_ms or "",
        keys.WAKE_MS,
        keys.INDEX_MS,
        place_ms or "",
    ]
    return Call(_ENQUEUE, touched, args, _nothing)


def take(
    most: int, *, lock_ms: int, again_ms: int, shares: TenantShares = ALL_EVEN, over: Over = NONE_OVER
) -> Call[Taken]:
    """Takes up to `most` jobs out of the lines, whose turn it is by `shares`, locks them for `lock_ms` and lists their
    generations as running. A sweeper looks at these after `again_ms`. Notes what is `over` since the last call."""
    touched = [keys.WAKE, keys.DUE, keys.RUNNING, keys.PACE]
    args: list[Argument] = [
        *(most, in_progress_key_prefix, lock_ms, again_ms, keys.INDEX_MS, shares.text),
        *(over.jobs, over.held_ms, BUCKET_MS, keys.PACE_MS // BUCKET_MS),
    ]
    return Call(_TAKE, touched, args, _taken)


def _taken(reply: Sequence[Any]) -> Taken:
    left, *rows = reply
    names = [name.decode() for name in rows[::2]]
    return Taken(int(left), dict(zip(names, map(float, rows[1::2]), strict=True)))


def give_back(jobs: Mapping[str, float]) -> Call[None]:
    """Returns jobs that were taken to their places in their lines, lists as queued again those that no attempt has begun, and
    wakes other workers."""
    args: list[Argument] = [in_progress_key_prefix, keys.WAKE_MS, keys.INDEX_MS]
    for name, place in jobs.items():
        args += (name, f"{place:.3f}")
    return Call(_PUT_BACK, [keys.WAKE, keys.RUNNING], args, _nothing)


def resume(most: int) -> Call[int]:
    """Up to so many tenants that have all slots that they may have take turns again; how many there were."""
    return Call(_RESUME, [keys.WAKE], [keys.WAKE_MS, keys.INDEX_MS, most], int)


def beat(host: str, worker: str, slots: int) -> Call[None]:
    """A worker's sign of life, with its slots for generations."""
    return Call(_BEAT, [keys.worker(host), keys.SLOTS], [worker, slots, keys.HEARTBEAT_MS], _nothing)


def standing() -> Call[Standing]:
    """What waits, of whom, and how fast slots get free."""
    return Call(_STANDING, [keys.RUNNING, keys.PACE, keys.SLOTS], [], _standing)


def _standing(reply: Sequence[Any]) -> Standing:
    now_ms, level, in_use, slots, pace, *lines = reply
    noted = {field.decode(): int(number) for field, number in zip(pace[::2], pace[1::2], strict=True)}
    ends = [
        Ends((int(bucket) + 1) * BUCKET_MS, jobs, noted.get(f"{bucket}:held", 0))
        for bucket, jobs in noted.items()
        if bucket.isdigit()
    ]
    said = [(int(number), int(until_ms)) for number, until_ms in (worker.split() for worker in slots)]
    found = {
        owner.decode(): Line(float(tag), *map(int, rest))
        for owner, tag, *rest in zip(*(lines[at::6] for at in range(6)), strict=True)
    }
    live = sum(number for number, until_ms in said if until_ms >= now_ms)
    return Standing(int(now_ms), found, float(level), live, int(in_use), tuple(ends))


def overdue(limit: int, again_ms: int) -> Call[Overdue]:
    """Takes up to `limit` generations that are overdue; nobody else gets them for `again_ms`."""
    touched = [keys.DUE, keys.EXPIRING, keys.STARTING, keys.TENANTS]
    args = [limit, again_ms, _WAITING_LOOK_MS, _TURN_MS, _LONGEST_LOOK_MS, keys.INDEX_MS]
    return Call(_OVERDUE, touched, args, _overdue)


def _overdue(reply: Sequence[Any]) -> Overdue:
    found, *ids = reply
    return Overdue(int(found), [raw.decode() for raw in ids])


def hold_back(id_: str, ms: int) -> Call[None]:
    """Notes that a generation waits for its upstream in nobody's hands, and has it looked at after `ms`."""
    return Call(_HOLD_BACK, [keys.DUE, keys.HELD], [id_, ms, keys.INDEX_MS, keys.BUDGET_MS], _nothing)


def look_again(in_ms: Mapping[str, int]) -> Call[None]:
    """Sets when somebody must look at generations, in ms from now by Redis's clock."""
    args: list[Argument] = [keys.INDEX_MS]
    for at in in_ms.items():
        args += at
    return Call(_LOOK_AGAIN, [keys.DUE], args, _nothing)


def postpone(starts_ms: Mapping[str, int]) -> Call[None]:
    """Has generations looked at when they may start, by Redis's clock, and not before."""
    args: list[Argument] = [keys.INDEX_MS]
    for at in starts_ms.items():
        args += at
    return Call(_POSTPONE, [keys.DUE, keys.STARTING], args, _nothing)


def file(ended: Mapping[str, Look]) -> Call[None]:
    """Lists up to 100 generations that have ended under their final states and no other, removes what is left of their jobs,
    and sets the next look: when they have expired, or in 10 s where the end is younger."""
    touched = [keys.DUE, keys.EXPIRING, keys.WAKE, keys.STARTING, keys.RUNNING]
    args: list[Argument] = [keys.INDEX_MS, job_key_prefix, in_progress_key_prefix, keys.WAKE_MS]
    for id_, look in ended.items():
        stood = look.ended_ms >= DOUBT_MS
        last = look.ordinal + 1
        args += [
            *(id_, look.owner, look.state, look.created_ms * 1000),
            *((2, look.expires_ms + EXPIRY_SLACK_MS) if stood else (1, DOUBT_MS)),
            *(max(1, last - MOST_JOBS + 1), last),
        ]
    return Call(_FILE, touched, args, _nothing)


def settle(ended: Mapping[str, Look]) -> Call[None]:
    """Charges those whose generations these are what they have cost, in place of what was reserved; those of them whose owners
    are charged at all. May be repeated."""
    args: list[Argument] = [keys.INDEX_MS]
    for id_, look in ended.items():
        if look.cost is not None:
            args += [id_, look.owner, look.created_ms, int(look.ordinal > 0), look.cost.usage, look.cost.stored]
    return Call(_SETTLE, [], args, _nothing)


def shares(own: str) -> Call[frozenset[str]]:
    """Notes the weights by which a process shares out what is submitted, and tells all by which any did while an idempotency
    key that was used then may be used again."""
    return Call(_SHARES, [keys.WEIGHTS], [own, keys.WEIGHTS_MS], _shares)


def _shares(reply: Sequence[bytes]) -> frozenset[str]:
    return frozenset(raw.decode() for raw in reply)


def tagging(id_: str, tags: Tags, owner: str) -> list[str]:
    """The keys by which a generation is found under its tags; none where it has none."""
    return [keys.tags(id_), *(keys.tag(digest, owner) for digest in tags.digests)] if tags else []


def tag(id_: str, tags: Tags, created_ms: int, owner: str = "") -> Call[None]:
    """Lists a generation that has tags under these again. May be repeated."""
    touched = [keys.index("all", owner), *tagging(id_, tags, owner)]
    return Call(_TAG, touched, [id_, created_ms, keys.INDEX_MS], _nothing)


def move(id_: str, state: State, created_ms: int, owner: str = "") -> Call[None]:
    """Lists a generation under this state and no other. May be repeated."""
    return Call(_MOVE, [keys.RUNNING, keys.TENANTS], [id_, owner, state, created_ms, keys.INDEX_MS], _nothing)


def unlist(ids: Sequence[str], owner: str = "") -> Call[None]:
    """Takes up to 100 generations out of the queue, of all lists and of `due`. `owner`: whose they are where that is not
    noted."""
    touched = [keys.DUE, keys.EXPIRING, keys.STARTING, keys.RUNNING, keys.TENANTS]
    return Call(
        _UNLIST, touched, [job_key_prefix, in_progress_key_prefix, MOST_JOBS, owner, keys.INDEX_MS, *ids], _nothing
    )


def tagged(tags: Tags, state: State | None, before: Place | None, limit: int, owner: str = "") -> Call[Found]:
    """Up to `limit` generations of this owner that have all these tags, and this state if one is given, newest first, behind
    `before`."""
    lists = [keys.tag(digest, owner) for digest in tags.digests]
    score, id_ = ("+inf", "") if before is None else before
    touched = lists if state is None else [*lists, keys.index(state, owner)]
    return Call(_TAGGED, touched, [len(lists), score, id_, limit, _MOST_STEPS], _tagged)


def _tagged(reply: Sequence[Any]) -> Found:
    stopped, *found = reply
    rows = [(int(score), id_.decode()) for id_, score in zip(found[::2], found[1::2], strict=True)]
    return Found(rows, (int(stopped[0]), stopped[1].decode()) if stopped else None)


def announce(identity: str, role: str, other: str) -> Call[Announced]:
    """Notes that a process of this role works on the logs server of this identity, and tells on which the other role does."""
    sets = [keys.announced(each) for each in (role, other, "api")]
    return Call(_ANNOUNCE, sets, [identity, keys.HEARTBEAT_MS, keys.WAITING_MS], _announced)


def _announced(reply: Sequence[Sequence[bytes]]) -> Announced:
    live, remembered = (frozenset(raw.decode() for raw in identities) for identities in reply)
    return Announced(live, remembered)


def _nothing(_: object) -> None:
    return None
