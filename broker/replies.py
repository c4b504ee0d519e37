"""What the two roles of Redis answer, as types."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, cast

from broker.errors import BrokerError
from broker.events import Entry
from broker.ids import EntryId
from broker.limits import Reached
from broker.record import State

# -- logs

Created = Literal["created", "exists", "expired", "erased", "mismatch"]
"""`exists`: the record is there already. `expired`: one was. `erased`: one was, and nothing is made of its id again.
`mismatch`: it was made for another body."""


@dataclass(frozen=True, slots=True)
class Granted:
    """The claim was granted: the attempt's name, its number, from 1, and how many output tokens others have cost, at least."""

    attempt: int
    ordinal: int
    paid: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """The claim was not granted. `held`: another attempt's lease is alive for `held_ms`. `moved`: the log has grown since
    it was read. `ended`: it was terminal. `sealed`: the claim itself ended it. `unknown`: there is no record."""

    why: Literal["held", "moved", "ended", "sealed", "unknown"]
    held_ms: int = 0


@dataclass(frozen=True, slots=True)
class Released:
    """Outcome of a release. `released`: so many attempts count now. `fenced`: the attempt no longer runs. `last`, `exhausted`:
    no other may follow, as so many count, or were made, as may be; nothing was done."""

    why: Literal["released", "fenced", "last", "exhausted"]
    spent: int = 0


class Appended(NamedTuple):
    """The log ends with the attempt's `seq`, the last of what was to be appended."""

    seq: int
    cancel_pending: bool = False


@dataclass(frozen=True, slots=True)
class Fenced:
    """Nothing was appended: this attempt does not run (any more), or its log has gone."""


@dataclass(frozen=True, slots=True)
class Behind:
    """Nothing was appended: the log ends with `seq`, before the entry that should precede. Redis came back without its tail."""

    seq: int


@dataclass(frozen=True, slots=True)
class NotAppended:
    """Redis refused this call, or did not do it now (StorageUnavailable)."""

    error: BrokerError


AppendReply = Appended | Fenced | Behind | NotAppended


class Cost(NamedTuple):
    """Of a generation that has ended: its usage, JSON, `{}` where nothing was spent; bytes that Redis keeps of it."""

    usage: bytes
    stored: int


@dataclass(frozen=True, slots=True)
class Look:
    """A sweeper's look at a record; `lease_ms` and `expires_ms` are what is left of the lease and of the record, `ended_ms` how
    long ago it ended, if it has; `hooked`: a webhook is to tell that yet. `place_ms` is its place in the queue, 0 if that is
    its submit; `start_ms` when it may start, 0 if it may. `owner`: whose it is, empty if nobody's; `cost`:
    if that one is charged for it, and it has ended."""

    state: State
    ordinal: int
    created_ms: int
    lease_ms: int
    expires_ms: int
    ended_ms: int
    hooked: bool = False
    place_ms: int = 0
    start_ms: int = 0
    owner: str = ""
    cost: Cost | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """Outcome of a finish: `ended`, or why not (see finish.lua); `seq` is the log's last if it is `behind`. `look` is how the
    record is now, if it ended by this very call."""

    why: Literal["ended", "fenced", "behind"]
    seq: int = 0
    look: Look | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Outcome of a cancel: `cancelled` here, `cancelling` by its worker, which was told; or why not. `state` is that of one
    that had `ended`."""

    why: Literal["cancelled", "cancelling", "ended", "unknown"]
    state: State | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """`cursor_known`: the log, if it is in Redis, holds this very entry. `terminal_id`: of a generation that has ended.
    `archived`: its log is in the archive. `abandonable`: it is cancelled if nobody watches it for long. `withdrawn`: it has
    ended, and nothing of what it had put out is in its log. `later`: it was not to start at once. `sealed`: its wrapped data
    key, empty where it is plain."""

    state: State
    terminal_id: EntryId | None
    cursor_known: bool
    owner: str = ""
    archived: bool = False
    abandonable: bool = False
    withdrawn: bool = False
    later: bool = False
    sealed: bytes = b""


class Watched(NamedTuple):
    """Outcome of a look whether anybody watches: `asked_ms` when that was, `since_ms` since when it has been looked without a
    pause, both by Redis's clock; `abandoned`: its cancel is noted."""

    asked_ms: int
    since_ms: int
    abandoned: bool = False


class Newest(NamedTuple):
    """The newest entry of a log, None of one that has none yet, or none any more; `there`: whether it has a record."""

    entry: Entry | None
    there: bool


@dataclass(frozen=True, slots=True)
class Held:
    """A running attempt and what its successor's job needs."""

    id: str
    attempt: int
    ordinal: int
    created_ms: int
    place_ms: int | None = None
    owner: str = ""


# -- coordination


class Allowance(NamedTuple):
    """How many more requests of an API key may come at once; ms until a whole burst may."""

    left: int
    full_ms: int


@dataclass(frozen=True, slots=True)
class Limited:
    """Nothing was done, as it would pass this limit; `wait_ms` until the same may fare better, 0 if that is not known."""

    which: Reached
    wait_ms: int

    @classmethod
    def of(cls, reply: Sequence[Any]) -> "Limited":
        """From {'limited', which, ms}."""
        return cls(cast(Reached, reply[1].decode()), int(reply[2]))


@dataclass(frozen=True, slots=True)
class Accepted:
    """`id` is the generation's; `known` says that an earlier request of the same key made it. `allowance`: where requests are
    counted."""

    id: str
    known: bool
    allowance: Allowance | None = None


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The idempotency key was used for another body."""


@dataclass(frozen=True, slots=True)
class Full:
    """As many generations wait as may; nothing was done."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Jobs by name, each with its place in its line (ms of the submit), and how many were `left` that may be taken, 100 if it
    is more."""

    left: int
    jobs: dict[str, float]


class Over(NamedTuple):
    """How many jobs have left the slots of a worker, and for how long they had had them, together."""

    jobs: int = 0
    held_ms: int = 0


NONE_OVER = Over()


class Overdue(NamedTuple):
    """How many generations were overdue, and which of these somebody should look at now; the others wait in the queue."""

    overdue: int
    ids: list[str]


Place = tuple[int, str]
"""Of a generation in a list: µs of its submit, its id. The newest come first."""


class Found(NamedTuple):
    """Generations with their places, and where to go on behind; None at the list's end."""

    rows: list[Place]
    behind: Place | None


@dataclass(frozen=True, slots=True)
class Announced:
    """Identities of logs servers: where the other role works now, and where APIs did in the last 7 days."""

    live: frozenset[str]
    remembered: frozenset[str]


# -- webhooks


Redelivery = Literal["pending", "unknown", "no webhook", "not ended"]


class Due(NamedTuple):
    """Generations whose webhooks are to be tried, and until when nobody else gets them (ms, by Redis's clock)."""

    until_ms: int
    ids: list[str]
