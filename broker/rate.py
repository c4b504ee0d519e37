"""How often something may be done: the generic cell rate algorithm, a token bucket in one number. Pure.

The number is when the bucket is full again, by some clock: whatever has passed is a full one. What is taken moves it on by an
interval for each; it may not get further ahead of now than a burst of intervals. For requests that is when the next would be
due if they all had come at their pace (the theoretical arrival time, TAT).

Intervals and times are of one unit: µs where tenants' requests are counted, ms in upstreams' budgets. What keeps the number in
Redis does so by the same arithmetic: store/lua/pace.lua.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Self

MINUTE_MS: Final = 60_000
_MINUTE_US: Final = 1000 * MINUTE_MS
_DAY_US: Final = 24 * 60 * _MINUTE_US


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of a request, in µs. `wait_us`: until the same request is allowed, 0 if it is. `left`: how many more are allowed at once.
    `full_us`: until a whole burst is. `tat_us`: what is kept."""

    tat_us: int
    wait_us: int
    left: int
    full_us: int

    @property
    def allowed(self) -> bool:
        return self.wait_us == 0


@dataclass(frozen=True, slots=True)
class Rate:
    """One more every `interval`, and at most `burst` at once."""

    interval: float
    burst: int

    @classmethod
    def of_requests(cls, a_minute: float, burst: int) -> Self:
        """In whole µs, `burst` at once: never more than so many a minute on average, as an interval is rounded up."""
        return cls(max(1, math.ceil(_MINUTE_US / a_minute)), burst)

    @classmethod
    def of_calls(cls, per_minute: int) -> Self:
        """In ms. No minute, wherever it begins, has more than `per_minute`: at most a second's worth at once, and the rest
        evenly."""
        burst = 1 + per_minute // 60
        return cls(MINUTE_MS / (per_minute - burst + 1), burst)

    @classmethod
    def of_tokens(cls, per_minute: int) -> Self:
        """In ms. A bucket that holds a minute's worth and is filled evenly, as upstreams count tokens."""
        return cls(MINUTE_MS / per_minute, per_minute)

    def part(self, share: Fraction) -> "Rate":
        """Of requests: the same of a share of them; of none, one a day."""
        interval = math.ceil(Fraction(self.interval) / share) if share else _DAY_US
        return Rate(interval, max(1, int(self.burst * share)))

    @property
    def window(self) -> float:
        """In which a burst is allowed again."""
        return self.interval * self.burst

    def wait(self, full: float, now: float, cost: float = 1) -> float:
        """How long until `cost` may be taken; 0 if it may now. What costs more than the bucket holds needs a full one."""
        used = max(full - now, 0)
        return max(0, used + (min(cost, self.burst) - self.burst) * self.interval)

    def taken(self, full: float, now: float, cost: float = 1) -> float:
        """When the bucket is full again, once `cost` is taken; of what is negative, that is given back."""
        return max(full, now) + cost * self.interval

    def at(self, tat_us: int, now_us: int) -> Verdict:
        """How requests stand, without one. A TAT that is too far ahead is from before the clock jumped back."""
        window = int(self.window)
        tat = min(max(tat_us, now_us), now_us + window)
        left = int((now_us + window - tat) // self.interval)
        return Verdict(tat, int(self.wait(tat, now_us)), left, tat - now_us)

    def ask(self, tat_us: int, now_us: int) -> Verdict:
        """What a request comes to. One that is refused moves nothing."""
        before = self.at(tat_us, now_us)
        if not before.allowed:
            return before
        after = self.at(int(self.taken(before.tat_us, now_us)), now_us)
        return Verdict(after.tat_us, 0, after.left, after.full_us)
