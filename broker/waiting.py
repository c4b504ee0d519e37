"""What waits for a worker, how many go before it, and for about how long. Pure: what take.lua does, told beforehand.

Each tenant has a line of its own, in which its jobs stand by their places. Tenants take turns: whoever has had the least, by
its weight, is next. `tag` says how much that is: a job adds 1 / weight to it, and who comes anew begins level with who was
taken last, without credit for having been away. A line's jobs go while fewer than `most` of the tenant's run, and its
background, which stands at the end, while nothing else can.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_HALF_LIFE_MS: Final = 60_000
"""An end counts half of one that is so much younger."""
_SHORTEST_SECONDS: Final = 1
_LONGEST_SECONDS: Final = 600
_UNKNOWN_SECONDS: Final = 30
_SHARE_TO_DRAIN: Final = 10
_EPSILON: Final = 1e-9
_NOTICED_MS: Final = 1000


class Share(NamedTuple):
    """What a tenant gets of the workers: turns by its `weight`, and no more than `most` slots at a time."""

    weight: float = 1.0
    most: int | None = None


EVEN: Final = Share()
Shares = Callable[[str], Share]
"""By tenant."""


def even(_: str) -> Share:
    """All alike, none bounded."""
    return EVEN


@dataclass(frozen=True, slots=True)
class TenantShares:
    """What each tenant gets: what is said of it, or what all others get."""

    usual: Share = EVEN
    own: Mapping[str, Share] = field(default_factory=dict)

    def __call__(self, tenant: str) -> Share:
        return self.own.get(tenant, self.usual)

    @property
    def text(self) -> str:
        """As take.lua reads it."""
        return "".join([_text(self.usual), *(f" {tenant}={_text(share)}" for tenant, share in self.own.items())])


ALL_EVEN: Final = TenantShares()


def _text(share: Share) -> str:
    return f"{share.weight:g},{'' if share.most is None else share.most}"


class Line(NamedTuple):
    """A tenant's: its tag; how many of its jobs wait; how many of these are not in the background, or are so no more; how many
    slots of workers it has; since when its first has waited (ms)."""

    tag: float
    waiting: int
    ready: int
    running: int
    since_ms: int


class Ends(NamedTuple):
    """Jobs that left their slots in some seconds, which ended `at_ms`, and for how long they had held them together."""

    at_ms: int
    jobs: int
    held_ms: int


class Wait(NamedTuple):
    """`position`: so many jobs go before it. `estimated_ms`: so long it waits yet, about; None where nobody knows. `upstream`:
    it is held back, as its upstream is not called now or many wait for it; then nothing is known of its place."""

    position: int
    estimated_ms: int | None = None
    upstream: bool = False

    def differs(self, told: "Wait") -> bool:
        """Whether who was told the other should be told this: it has moved up, or waits for much longer or shorter."""
        if self.upstream != told.upstream:
            return True
        if self.position != told.position or (self.estimated_ms is None) != (told.estimated_ms is None):
            return True
        if self.estimated_ms is None or told.estimated_ms is None:
            return False
        by = abs(self.estimated_ms - told.estimated_ms)
        return by >= _NOTICED_MS and 4 * by >= max(self.estimated_ms, told.estimated_ms)


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands at a time, by Redis's clock: lines by tenant, slots of all workers, how many of these are in use, ends of
    the last minutes."""

    now_ms: int
    lines: Mapping[str, Line] = field(default_factory=dict)
    level: float = 0.0
    """The tag of who was taken last, with which a line begins."""
    slots: int = 0
    in_use: int = 0
    ends: tuple[Ends, ...] = ()

    @property
    def depth(self) -> int:
        """How many jobs wait."""
        return sum(line.waiting for line in self.lines.values())

    @property
    def oldest_ms(self) -> int:
        """For how long the oldest has waited, 0 if none does."""
        return max((max(0, self.now_ms - line.since_ms) for line in self.lines.values()), default=0)

    @property
    def held_ms(self) -> float | None:
        """For how long a job holds a slot, on average; the younger its end, the more it counts. None if none has ended."""
        jobs = held = 0.0
        for ends in self.ends:
            counts = 0.5 ** (max(0, self.now_ms - ends.at_ms) / _HALF_LIFE_MS)
            jobs += counts * ends.jobs
            held += counts * ends.held_ms
        return held / jobs if jobs else None

    @property
    def drain_rate(self) -> float | None:
        """How many jobs workers take in a second while many wait; None where nobody knows."""
        held_ms = self.held_ms
        if held_ms is None or not self.slots:
            return None
        return 1000 * self.slots / max(1.0, held_ms)

    def wait_of(self, tenant: str, rank: int, shares: Shares = even) -> Wait:
        """Of the job that has so many before it in the line of this tenant."""
        position = self._position(tenant, rank, shares)
        return Wait(position, self._estimate(tenant, rank, position, shares(tenant).most))

    def _position(self, tenant: str, rank: int, shares: Shares) -> int:
        own = self.lines.get(tenant) or Line(self.level, rank + 1, rank + 1, 0, self.now_ms)  # it has come since
        turn = own.tag + rank / shares(tenant).weight
        background = rank >= own.ready
        before = rank
        for other, line in self.lines.items():
            if other == tenant:
                continue
            weight, most = shares(other)
            ready, all_ = _allowed(line.ready, line, most), _allowed(line.waiting, line, most)
            turns = _turns(turn - line.tag, weight, even=other < tenant)
            if background:
                before += ready + min(max(0, turns - ready), all_ - ready)
            else:
                before += min(turns, ready)
        return before

    def _estimate(self, tenant: str, rank: int, position: int, most: int | None) -> int | None:
        line = self.lines.get(tenant)
        over = 0 if line is None or most is None else rank - max(0, most - line.running) + 1
        """How many of its tenant must end first."""
        idle = self.slots - self.in_use
        if position < idle and over <= 0:
            return 0
        held_ms, rate = self.held_ms, self.drain_rate
        if held_ms is None or rate is None:
            return None
        own = over * held_ms / max(1, most) if most is not None and over > 0 else 0.0
        return round(max(own, 1000 * max(0, position - max(0, idle) + 1) / rate))

    def retry_after(self, limit: int) -> int:
        """After how many seconds one whom a full queue refused should come again: when about a tenth of it has been taken, as
        whoever else was refused comes again too."""
        rate = self.drain_rate
        if rate is None:
            return _UNKNOWN_SECONDS
        jobs = max(0, self.depth - limit) + max(1, limit // _SHARE_TO_DRAIN)
        return min(max(math.ceil(jobs / rate), _SHORTEST_SECONDS), _LONGEST_SECONDS)


def _allowed(count: int, line: Line, most: int | None) -> int:
    """How many of so many may go before one of its own tenant ends."""
    return count if most is None else min(count, max(0, most - line.running))


def _turns(ahead: float, weight: float, *, even: bool) -> int:
    """How many turns a line takes before another's, whose tag is so much `ahead`; `even`: at equal tags it goes first."""
    turns = ahead * weight
    whole = round(turns)
    if abs(turns - whole) < _EPSILON * max(1.0, abs(turns)):
        return max(0, whole + 1 if even else whole)
    return max(0, math.ceil(turns))
