"""What the two roles of Redis answer, as types."""

from dataclasses import dataclass
from typing import Literal

from broker.ids import EntryId
from broker.record import State


@dataclass(frozen=True, slots=True)
class Granted:
    """The claim was granted: the attempt's name, and the how-manieth it is."""

    attempt: int
    ordinal: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The claim was not granted. `held`: another attempt's lease is alive for `held_ms`. `moved`: the log has grown since
    it was read. `ended`: it was terminal. `sealed`: the claim itself ended it. `unknown`: there is no record."""

    why: Literal["held", "moved", "ended", "sealed", "unknown"]
    held_ms: int = 0


@dataclass(frozen=True, slots=True)
class Finished:
    """Outcome of a finish: `ended`, or why not (see finish.lua); `seq` is the log's last if it is `behind`."""

    why: Literal["ended", "fenced", "behind"]
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """A sweeper's look at a record; `lease_ms` and `expires_ms` are what is left of the lease and of the record, `ended_ms` how
    long ago it ended, if it has."""

    state: State
    ordinal: int
    created_ms: int
    lease_ms: int
    expires_ms: int
    ended_ms: int


@dataclass(frozen=True, slots=True)
class Visit:
    """`cursor_known`: the log holds this very entry. `terminal_id`: of a generation that has ended."""

    state: State
    terminal_id: EntryId | None
    cursor_known: bool


@dataclass(frozen=True, slots=True)
class Held:
    """A running attempt and what its successor's job needs."""

    id: str
    attempt: int
    ordinal: int
    created_ms: int
