"""Limits of a model, really held: calls at a time, requests and tokens a minute; and what has been made of them. Pure.

The minute's limits are buckets that are filled evenly, as the real ones. Whoever is refused is told when to come back."""

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final

from worker.simulator.plan import Plan
from worker.simulator.refused import Refused

_MOST_METERS: Final = 10_000


@dataclass(slots=True)
class Bucket:
    """`left` of `limit` at second `at`."""

    limit: int
    left: float
    at: float

    def fill(self, now: float) -> None:
        self.left = min(self.limit, self.left + (now - self.at) * self.limit / 60)
        self.at = now

    def seconds_until(self, level: float) -> float:
        return max(0.0, (level - self.left) * 60 / self.limit)


@dataclass(slots=True)
class Meter:
    """Of one model and key. `most` ran at a time, `refused` were told no."""

    running: int = 0
    most: int = 0
    answered: int = 0
    refused: int = 0
    buckets: dict[str, Bucket] = field(default_factory=dict)

    def enter(self, plan: Plan, tokens: int, now: float) -> None:
        """One more call runs. Raises Refused(429), with headers, if it may not."""
        costs = {"requests": 1.0, "tokens": float(tokens)}
        for name, limit in (("requests", plan.rpm), ("tokens", plan.tpm)):
            if limit:
                self.buckets.setdefault(name, Bucket(limit, limit, now)).fill(now)
        waits = [bucket.seconds_until(min(costs[name], bucket.limit)) for name, bucket in self.buckets.items()]
        full = plan.concurrent > 0 and self.running >= plan.concurrent
        if full or any(waits):
            self.refused += 1
            raise Refused(
                429, "Number of requests has exceeded your rate limit", max([math.ceil(w) for w in waits] + [1])
            )
        for name, bucket in self.buckets.items():
            bucket.left -= costs[name]
        self.running += 1
        self.most = max(self.most, self.running)
        self.answered += 1

    def leave(self) -> None:
        self.running -= 1

    def headers(self, *, openai: bool) -> dict[str, str]:
        """What is told of it, in either vendor's words."""
        told: dict[str, str] = {}
        now = datetime.now(UTC)
        for name, bucket in self.buckets.items():
            left, seconds = max(0, math.floor(bucket.left)), bucket.seconds_until(bucket.limit)
            if openai:
                told |= {f"x-ratelimit-limit-{name}": str(bucket.limit), f"x-ratelimit-remaining-{name}": str(left)}
                told[f"x-ratelimit-reset-{name}"] = f"{seconds:.3f}s"
            else:
                reset = now + timedelta(seconds=seconds)
                start = f"anthropic-ratelimit-{name}"
                told |= {f"{start}-limit": str(bucket.limit), f"{start}-remaining": str(left)}
                told[f"{start}-reset"] = reset.isoformat()
                told["date"] = format_datetime(now, usegmt=True)
        return told


class Meters:
    """By model and key; the least recently used are forgotten. `overloaded` are the models that refuse all with 529."""

    def __init__(self) -> None:
        self._meters: OrderedDict[tuple[str, str], Meter] = OrderedDict()
        self.overloaded: set[str] = set()

    def of(self, model: str, key: str) -> Meter:
        meter = self._meters.setdefault((model, key), Meter())
        self._meters.move_to_end((model, key))
        while len(self._meters) > _MOST_METERS:
            self._meters.popitem(last=False)
        return meter

    def told(self, model: str | None) -> list[dict[str, object]]:
        """What has been made of the limits of this model, with each key; of all models if it is None."""
        return [
            {
                "model": name,
                "running": each.running,
                "most": each.most,
                "answered": each.answered,
                "refused": each.refused,
            }
            for (name, _), each in self._meters.items()
            if model is None or model == name
        ]
