"""How much a tenant may ask for: the limits, and what of them a submit takes. Pure.

| limit | counts | charged | given back |
|---|---|---|---|
| requests | by key, as rate.py has it | each submit, each other request that asks Redis | by time |
| running | the tenant's list of what runs | where a worker takes it | at the end |
| queued | the tenant's list of what waits | at the submit | where a worker takes it |
| tokens | what the day's submits may cost, and have cost | at the submit, by an estimate | at the end, but its cost |
| bytes | what Redis has of its generations | at the submit: the request; at the end: all | archived, expired, erased |

The scripts that accept keep them (store/lua/limits.lua), all or none, so that none is passed however many submit at once.
What a generation is charged stands in a ledger, and is replaced, not added to: whatever is repeated changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, Field, model_validator

from broker.rate import Rate

Reached = Literal["rate_limited", "too_many_running", "too_many_queued", "token_budget_spent", "storage_budget_spent"]
"""Which limit, by the code of its problem."""

DAY_MS: Final = 24 * 3600 * 1000
_BYTES_A_TOKEN: Final = 4
_BURST_SECONDS: Final = 10.0

Count = Annotated[int, Field(ge=1, le=10_000_000)]


class LimitSettings(BaseModel):
    """A tenant's limits; those of all for whom nothing else is said are settings of the process. Not set: none."""

    requests_per_minute: Annotated[float, Field(gt=0, le=10_000_000, allow_inf_nan=False)] | None = None
    """Requests of one API key that ask Redis, on average."""
    request_burst: Count | None = None
    """How many of them may come at once. Not set: those of ten seconds, one at least."""
    max_running: Count | None = None
    """Generations that run at once; what is beyond them waits."""
    max_queued: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    """Generations that wait, those that may not start yet among them. 0: none does, so that a submit is refused where as many
    run as may."""
    tokens_per_day: Annotated[int, Field(ge=1, le=10**15)] | None = None
    """Tokens of what is submitted on one day, by UTC."""
    stored_bytes: Annotated[int, Field(ge=1, le=10**15)] | None = None
    """What Redis keeps of all generations, requests and logs."""

    @model_validator(mode="after")
    def _some_may_run(self) -> Self:
        if self.max_queued == 0 and self.max_running is None:
            raise ValueError("max_queued: 0 needs max_running, as nothing could be submitted")
        return self


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for one tenant; None where nothing does. `running` is kept where jobs are taken. `unfinished`: at most so many
    run and wait together, where none is to wait for another."""

    rate: Rate | None = None
    running: int | None = None
    queued: int | None = None
    unfinished: int | None = None
    tokens: int | None = None
    stored: int | None = None

    @classmethod
    def of(cls, own: LimitSettings | None, usual: LimitSettings) -> "Limits":
        """The tenant's own, and, of what it does not say, the usual ones."""

        def said(name: str) -> object:
            return getattr(own if own is not None and getattr(own, name) is not None else usual, name)

        chosen = LimitSettings.model_validate({name: said(name) for name in LimitSettings.model_fields})
        a_minute, burst = chosen.requests_per_minute, chosen.request_burst
        rate = (
            None
            if a_minute is None
            else Rate.of_requests(a_minute, burst or max(1, round(a_minute * _BURST_SECONDS / 60)))
        )
        at_once = chosen.max_queued == 0
        return cls(
            rate,
            chosen.max_running,
            None if at_once else chosen.max_queued,
            chosen.max_running if at_once else None,
            chosen.tokens_per_day,
            chosen.stored_bytes,
        )

    def __bool__(self) -> bool:
        """Whether a submit is held against any."""
        held = (self.rate, self.queued, self.unfinished, self.tokens, self.stored)
        return any(each is not None for each in held)

    @property
    def charged(self) -> bool:
        """Whether a generation is entered in the ledger."""
        return self.tokens is not None or self.stored is not None

    def in_cell(self, weights: Mapping[int, float], number: int) -> "Limits":
        """The share of one of several cells, by its weight: the shares of all of them are the whole, to the last one. Only a
        burst is one at least everywhere. A cell without weight, which takes no submits, has none of it."""
        if len(weights) < 2:
            return self
        exact = {each: Fraction(weight) for each, weight in weights.items()}
        total = sum(exact.values())
        before = sum((weight for each, weight in exact.items() if each < number), Fraction(0))
        own = exact[number]

        def share(whole: int | None) -> int | None:
            return None if whole is None else int(whole * (before + own) / total) - int(whole * before / total)

        return Limits(
            self.rate and self.rate.part(own / total),
            *map(share, (self.running, self.queued, self.unfinished, self.tokens, self.stored)),
        )


NO_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Demand:
    """A submit, as limits see it: with which API key it came, the tokens and the bytes that it is charged."""

    limits: Limits
    key: str
    tokens: int
    bytes: int

    def words(self) -> str:
        """As the scripts are told it; empty where nothing is held against it."""
        limits = self.limits
        if not limits:
            return ""
        pace = (None, None) if limits.rate is None else (round(limits.rate.interval), limits.rate.burst)
        held = (limits.unfinished, limits.queued, limits.tokens, self.tokens, limits.stored, self.bytes)
        return " ".join("-" if each is None else str(each) for each in (self.key or None, *pace, *held))


NO_DEMAND: Final = Demand(NO_LIMITS, "", 0, 0)


def estimate(request_bytes: int, max_tokens: int) -> int:
    """Tokens that a generation is charged until it has ended: all that it may put out, and what so many bytes of request come
    to."""
    return max_tokens + -(-request_bytes // _BYTES_A_TOKEN)


def next_day_ms(now_ms: int) -> int:
    """When the day ends, by UTC."""
    return (now_ms // DAY_MS + 1) * DAY_MS
