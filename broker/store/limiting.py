"""The limits of tenants in one cell: what they are, what of them is used, and requests that are counted but are no submits.

Submits are held against them by the scripts that accept (lua/limits.lua), which are told a Demand.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from arq.connections import ArqRedis

from broker import keys
from broker.errors import LimitReached
from broker.limits import DAY_MS, Limits
from broker.rate import Rate
from broker.replies import Allowance, Limited
from broker.store.client import storage_errors
from broker.store.lua import Call, Script

_RATE: Final = Script("rate")


def rate(owner: str, key: str, pace: Rate) -> Call[Allowance | Limited]:
    """Counts a request of this API key, if it may come."""
    return Call(_RATE, [keys.rate(owner, key)], [round(pace.interval), pace.burst], _rated)


def _rated(reply: Sequence[int]) -> Allowance | Limited:
    left, ms = reply
    return Limited("rate_limited", ms) if left < 0 else Allowance(left, ms)


@dataclass(frozen=True, slots=True)
class Use:
    """What a tenant uses of its limits now. `left` requests may come at once, None where they are not counted, a whole burst
    in `full_ms`. Tokens are those of the day that ends at `day_ends_ms`."""

    limits: Limits
    running: int
    queued: int
    tokens: int
    stored: int
    day_ends_ms: int
    left: int | None = None
    full_ms: int = 0


class Limiter:
    """Of one cell. `limits_of`: what holds there for a tenant."""

    def __init__(self, coordination: ArqRedis, limits_of: Callable[[str], Limits]) -> None:
        self._redis = coordination
        self.of = lru_cache(maxsize=1024)(limits_of)

    async def count(self, owner: str, key: str) -> None:
        """Counts a request of this API key, where its requests are limited. Raises LimitReached, StorageUnavailable."""
        pace = self.of(owner).rate
        if pace is None:
            return
        found = await rate(owner, key, pace).run(self._redis)
        if isinstance(found, Limited):
            raise LimitReached(found.which, found.wait_ms)

    async def use(self, owner: str, key: str) -> Use:
        """What this tenant and this API key of it use now. Raises StorageUnavailable."""
        limits = self.of(owner)
        with storage_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.time()
            pipe.zcard(keys.index("running", owner))
            pipe.zcard(keys.index("queued", owner))
            pipe.hmget(keys.used(owner), ["day", "tokens", "bytes"])
            pipe.get(keys.rate(owner, key))
            (seconds, micros), running, queued, sums, due = await pipe.execute()
        return _use(limits, seconds * 1_000_000 + micros, running, queued, sums, due)


def _use(
    limits: Limits, now_us: int, running: int, queued: int, sums: Sequence[bytes | None], due: bytes | None
) -> Use:
    """As the scripts would count it now."""
    day, tokens, stored = (int(each or 0) for each in sums)
    today = now_us // 1000 // DAY_MS
    if today > day or today < day - 1:
        day, tokens = today, 0
    use = Use(limits, running, queued, tokens, stored, (day + 1) * DAY_MS)
    if limits.rate is None:
        return use
    at = limits.rate.at(int(due or 0), now_us)
    return replace(use, left=at.left, full_ms=-(-at.full_us // 1000))
