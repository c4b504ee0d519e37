"""A budget as one process keeps it by itself: what the scripts do in Redis, without the other processes. Pure.

It notes whatever Redis permits, so that a process which has lost Redis goes on from what it knows.
"""

from dataclasses import dataclass, field

from broker.breaker import Breaker, Rules
from broker.budgets import Allowance, Budget, Outcome, Permit, Reason, Wait
from broker.rate import Rate


@dataclass(slots=True)
class _Bucket:
    """A limit that is set, or was told: when its bucket is full again."""

    rate: Rate | None = None
    full_ms: float = 0.0

    def wait_ms(self, now_ms: float, cost: float) -> float:
        return 0.0 if self.rate is None else self.rate.wait(self.full_ms, now_ms, cost)

    def take(self, now_ms: float, cost: float) -> None:
        if self.rate is not None:
            self.full_ms = self.rate.taken(self.full_ms, now_ms, cost)

    def told(self, now_ms: float, allowance: Allowance | None) -> None:
        if allowance is not None:
            self.rate, self.full_ms = allowance.rate, now_ms + allowance.full_ms

    def take_of_told(self, now_ms: float, cost: float) -> None:
        """A limit that was told counts until it was to be full again."""
        if self.full_ms > now_ms:
            self.take(now_ms, cost)


@dataclass(slots=True)
class Alone:
    """`now_ms` is of one clock."""

    breaker: Breaker
    paused_ms: float = 0.0
    requests: _Bucket = field(default_factory=_Bucket)
    tokens: _Bucket = field(default_factory=_Bucket)
    told_requests: _Bucket = field(default_factory=_Bucket)
    told_tokens: _Bucket = field(default_factory=_Bucket)
    concurrent: int | None = None
    calls: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, budget: Budget, rules: Rules) -> "Alone":
        limits = budget.limits
        return cls(
            Breaker(rules),
            requests=_Bucket(limits.requests),
            tokens=_Bucket(limits.tokens),
            concurrent=limits.concurrent,
        )

    def ask(self, call: str, now_ms: float, tokens: int, holds_ms: float) -> Permit | Wait:
        """As the script, where no other process waits."""
        if call in self.calls:
            return Permit(self.breaker.probe == call)
        waits: dict[Reason, float] = {"overloaded": self.breaker.wait_ms(now_ms)}
        if not waits["overloaded"]:
            waits["paused"] = self.paused_ms - now_ms
            waits["requests"] = max(each.wait_ms(now_ms, 1) for each in (self.requests, self.told_requests))
            waits["tokens"] = max(each.wait_ms(now_ms, tokens) for each in (self.tokens, self.told_tokens))
            full = self.concurrent is not None and len(self.calls) >= self.concurrent
            waits["concurrent"] = 1.0 if full else 0.0
        reason = max(waits, key=lambda each: waits[each])
        if waits[reason] > 0:
            return Wait(waits[reason], reason)
        return Permit(self.permitted(call, now_ms, tokens, holds_ms))

    def permitted(self, call: str, now_ms: float, tokens: int, holds_ms: float) -> bool:
        """The call is made; whether it is the probe."""
        self.calls.add(call)
        self.requests.take(now_ms, 1)
        self.tokens.take(now_ms, tokens)
        self.told_requests.take_of_told(now_ms, 1)
        self.told_tokens.take_of_told(now_ms, tokens)
        return self.breaker.granted(call, now_ms, holds_ms)

    def found(self, call: str, outcome: Outcome, now_ms: float) -> None:
        self.breaker.found(call, outcome.found, now_ms, before=outcome.before, retry_ms=outcome.retry_ms)
        if outcome.limited:
            self.paused_ms = max(self.paused_ms, now_ms + outcome.retry_ms)
        self.told_requests.told(now_ms, outcome.told.requests)
        self.told_tokens.told(now_ms, outcome.told.tokens)

    def leave(self, call: str, back: int, now_ms: float) -> None:
        """The call is over; so many of its tokens go back."""
        if call in self.calls:
            self.calls.discard(call)
            self.tokens.take(now_ms, -back)
            self.told_tokens.take(now_ms, -back)
