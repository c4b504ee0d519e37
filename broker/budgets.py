"""What all workers together may ask of an upstream: a budget for each model and key of one. Pure.

A call of an upstream needs a *permit* of its budget. The budget says no while its breaker is open, while the upstream has asked
for a pause, and where a limit is used up: one that the operator has set, or one that the upstream has told of.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.breaker import Found, State
from broker.rate import Rate

Reason = Literal["concurrent", "requests", "tokens", "paused", "overloaded"]
"""Why a call waits: for a limit; as the upstream asked for a pause; as its breaker is open."""
REASONS: Final[Mapping[Reason, str]] = {
    "concurrent": "as many calls run as may",
    "requests": "as many calls were made of late as may",
    "tokens": "as many tokens were used of late as may",
    "paused": "the upstream has asked for a pause",
    "overloaded": "the upstream is overloaded: its breaker is open",
}

LOW_SHARE: Final = 0.2
"""Of a limit that an upstream tells of: while more is left, nothing is made of it."""
_LONGEST_FULL_MS: Final = 3600 * 1000
_MOST_KNOWN: Final = 1000


class Limits(BaseModel):
    """What an operator lets all workers of a cell ask of one model with one key. What is not set has no limit of ours."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    concurrent: int | None = Field(default=None, ge=1, le=100_000)
    """Calls at a time."""
    requests_per_minute: int | None = Field(default=None, ge=1, le=1_000_000)
    tokens_per_minute: int | None = Field(default=None, ge=1, le=10_000_000_000)
    """Of prompts and answers together. A call is counted with a quarter of its bytes and `max_tokens` until it has ended."""

    def over(self, defaults: "Limits") -> "Limits":
        """These, and of what is not set the defaults."""
        return defaults.model_copy(update=self.model_dump(exclude_none=True))

    @property
    def requests(self) -> Rate | None:
        return None if self.requests_per_minute is None else Rate.of_calls(self.requests_per_minute)

    @property
    def tokens(self) -> Rate | None:
        return None if self.tokens_per_minute is None else Rate.of_tokens(self.tokens_per_minute)

    @property
    def any(self) -> bool:
        return self != NO_LIMITS


NO_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Budget:
    """Whose calls are counted together. `name` is a digest of the upstream's name, its key's digest and the model."""

    name: str
    upstream: str
    model: str
    limits: Limits = field(default=NO_LIMITS, compare=False)

    @classmethod
    def of(cls, upstream: str, key: str, model: str, limits: Limits = NO_LIMITS) -> "Budget":
        """`key` is a digest, by `key_digest`."""
        name = hashlib.sha256("\0".join((upstream, key, model)).encode(errors="surrogatepass")).hexdigest()[:32]
        return cls(name, upstream, model, limits)


class Ledger:
    """The budgets of one upstream with one key, by model."""

    def __init__(self, upstream: str, key: str | None, limits: Limits) -> None:
        self._upstream = upstream
        self._key = key_digest(key)
        self._limits = limits
        self._known: dict[str, Budget] = {}

    def of(self, model: str) -> Budget:
        budget = self._known.get(model)
        if budget is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            budget = self._known[model] = Budget.of(self._upstream, self._key, model, self._limits)
        return budget


def key_digest(key: str | None) -> str:
    """By which a key is told from others. A key is long and random, so that nothing leads back from this to it."""
    return hashlib.sha256(f"respool upstream key\0{key or ''}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Permit:
    """The call may be made; as the `probe`, it is the only one."""

    probe: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """The call may not be made yet; it may be worth asking again in `ms`."""

    ms: float
    reason: Reason


@dataclass(frozen=True, slots=True)
class Allowance:
    """What an upstream says is left of a limit of its own, which is full again in `full_in` seconds. Until then it grows
    evenly. `limit` is None where it does not say."""

    limit: int | None
    left: int
    full_in: float

    @property
    def low(self) -> bool:
        return self.full_in > 0 and (self.left <= 0 if self.limit is None else self.left < LOW_SHARE * self.limit)

    @property
    def rate(self) -> Rate | None:
        """By which it grows; None where nothing need be made of it."""
        if not self.low:
            return None
        limit = max(1, self.limit or 1)
        return Rate(self.full_ms / (limit - min(max(self.left, 0), limit - 1)), limit)

    @property
    def full_ms(self) -> float:
        return min(self.full_in * 1000, _LONGEST_FULL_MS)


@dataclass(frozen=True, slots=True)
class Told:
    """What came with an answer, or a refusal, about limits."""

    requests: Allowance | None = None
    tokens: Allowance | None = None

    @property
    def low(self) -> bool:
        return any(each is not None and each.low for each in (self.requests, self.tokens))


NOTHING_TOLD: Final = Told()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call has found. `retry_ms`: the upstream asks all not to call for so long. `before`: so many others were answered
    of late, of which nothing was said."""

    found: Found
    told: Told = NOTHING_TOLD
    retry_ms: float = 0.0
    limited: bool = False
    before: int = 0


@dataclass(frozen=True, slots=True)
class Troubled:
    """A budget that workers look at before each call, as its upstream has refused some or has said that little is left."""

    budget: Budget
    state: State
    paused_ms: float
    """For how long nobody may call; 0: one may try."""
    running: int
    """Calls of all workers now, of those that asked."""
