"""So many requests a minute, so many at once: the generic cell rate algorithm. Pure; the script that keeps it is limits.lua.

One number is kept: when the next request would be due if they all had come at their pace (the theoretical arrival time, TAT).
A request moves it on by one interval; it may not be further ahead of now than a burst of intervals.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

_DAY_US: Final = 24 * 3600 * 1_000_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """`wait_us`: until the same request is allowed, 0 if it is. `left`: how many more are allowed at once. `full_us`: until a
    whole burst is. `tat_us`: what is kept."""

    tat_us: int
    wait_us: int
    left: int
    full_us: int

    @property
    def allowed(self) -> bool:
        return self.wait_us == 0


@dataclass(frozen=True, slots=True)
class Rate:
    """One request every `interval_us`, `burst` of them at once."""

    interval_us: int
    burst: int

    @classmethod
    def of(cls, a_minute: float, burst: int) -> "Rate":
        """Never more than so many a minute: an interval is rounded up."""
        return cls(max(1, math.ceil(60_000_000 / a_minute)), burst)

    def part(self, share: Fraction) -> "Rate":
        """The same of a share of the requests; of none, one a day."""
        interval = math.ceil(self.interval_us / share) if share else _DAY_US
        return Rate(interval, max(1, int(self.burst * share)))

    @property
    def window_us(self) -> int:
        """In which a burst is allowed again."""
        return self.interval_us * self.burst

    def at(self, tat_us: int, now_us: int) -> Verdict:
        """How it stands, without a request. A TAT that is too far ahead is from before the clock jumped back."""
        tat = min(max(tat_us, now_us), now_us + self.window_us)
        left = (now_us + self.window_us - tat) // self.interval_us
        wait = max(0, tat + self.interval_us - self.window_us - now_us)
        return Verdict(tat, wait, left, tat - now_us)

    def ask(self, tat_us: int, now_us: int) -> Verdict:
        """What a request comes to. One that is refused moves nothing."""
        before = self.at(tat_us, now_us)
        if not before.allowed:
            return before
        after = self.at(before.tat_us + self.interval_us, now_us)
        return Verdict(after.tat_us, 0, after.left, after.full_us)
