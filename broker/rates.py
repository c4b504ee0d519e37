"""How often something may be done: the generic cell rate algorithm, a token bucket in one number. Pure.

The number is when the bucket is full again, in milliseconds of some clock: whatever has passed is a full one. The scripts of
upstreams' budgets (broker/store/lua/budget.lua) do the same arithmetic.
"""

from dataclasses import dataclass
from typing import Final, Self

MINUTE_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Rate:
    """One more every `interval_ms`, and at most `burst` at once."""

    interval_ms: float
    burst: int

    @classmethod
    def of_calls(cls, per_minute: int) -> Self:
        """A rate by which no minute, wherever it begins, has more than `per_minute`: at most a second's worth at once, and
        the rest evenly."""
        burst = 1 + per_minute // 60
        return cls(MINUTE_MS / (per_minute - burst + 1), burst)

    @classmethod
    def of_tokens(cls, per_minute: int) -> Self:
        """A bucket that holds a minute's worth and is filled evenly, as upstreams count tokens."""
        return cls(MINUTE_MS / per_minute, per_minute)

    def wait_ms(self, full_ms: float, now_ms: float, cost: float) -> float:
        """How long until `cost` may be taken; 0 if it may now. What costs more than the bucket holds needs a full one."""
        used = max(full_ms - now_ms, 0.0)
        return max(0.0, used + (min(cost, self.burst) - self.burst) * self.interval_ms)

    def taken(self, full_ms: float, now_ms: float, cost: float) -> float:
        """When the bucket is full again, once `cost` is taken; of what is negative, that is given back."""
        return max(full_ms, now_ms) + cost * self.interval_ms
