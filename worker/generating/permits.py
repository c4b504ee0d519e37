"""An attempt's calls and the budgets that they are counted with: it waits for a permit, viewers are told why, the budget is
told how the call went."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import orjson

from broker.budgets import NOTHING_TOLD, Outcome, Reason, Wait
from broker.events import Content, event
from worker.budgets.fleet import Budgets
from worker.upstreams import Answer, Call, Upstream, UpstreamFailure

_TOLD_AFTER: Final = 0.2
"""Seconds: a shorter wait is nobody's concern."""
_TOLD_EVERY: Final = 1.0
_PAUSE_MS: Final = 1000.0
"""Where an upstream refuses a call for its limits, and does not say for how long."""
_COUNTED: Final = ("input_tokens", "cache_creation_input_tokens", "output_tokens")


class BreakerOpen(UpstreamFailure):
    """The upstream is not called now, and there is another model to turn to."""

    def __init__(self) -> None:
        super().__init__("upstream_overloaded", "The upstream is overloaded.")


class Permits:
    """One attempt's. `put` puts what viewers are told."""

    def __init__(self, budgets: Budgets, upstream: Upstream, put: Callable[[list[Content]], None]) -> None:
        self._budgets = budgets
        self._upstream = upstream
        self._put = put

    @asynccontextmanager
    async def call(self, call: Call, *, others: bool) -> AsyncIterator[Callable[[Answer], None]]:
        """Entered when the call may be made; what it gives is to be called with the answer. `others`: there is another model
        that may be asked; then BreakerOpen is raised instead of waiting for an upstream that is overloaded."""
        budget = self._upstream.budget(call)
        if budget is None:
            yield lambda answer: None
            return
        notices = _Notices(budget.model, others, self._put)
        made = await self._budgets.begin(budget, lambda: likely_tokens(call), notices.waits)
        begun: list[Answer] = []

        def answered(answer: Answer) -> None:
            begun.append(answer)
            made.answered(answer.told)

        used: int | None = None
        try:
            yield answered
        except UpstreamFailure as failure:
            used = None if begun else 0
            if (outcome := outcome_of(failure, begun=bool(begun))) is not None:
                made.found(outcome)
            raise
        finally:
            made.over(used_tokens(begun[0]) if begun else used)


class _Notices:
    """What viewers are told of a wait: why, when that changes, and once a second at most."""

    def __init__(self, model: str, others: bool, put: Callable[[list[Content]], None]) -> None:
        self._clock = asyncio.get_running_loop().time
        self._model = model
        self._others = others
        self._put = put
        self._next = self._clock() + _TOLD_AFTER
        self._reason: Reason | None = None

    def waits(self, wait: Wait) -> None:
        if self._others and wait.reason == "overloaded":
            raise BreakerOpen
        now = self._clock()
        if wait.reason != self._reason and (now >= self._next or wait.ms > _TOLD_AFTER * 1000):
            self._reason, self._next = wait.reason, now + _TOLD_EVERY
            self._put([event("waiting", reason=wait.reason, delay_ms=round(wait.ms), model=self._model)])


def likely_tokens(call: Call) -> int:
    """What the call may cost: a quarter of its bytes for the prompt, and as much of an answer as it allows."""
    most = call.body.get("max_tokens")
    return len(orjson.dumps(call.body)) // 4 + (most if type(most) is int else 0)


def used_tokens(answer: Answer) -> int | None:
    """What it has cost, by the upstream's words; None if it broke off, as these come at the end. What was read from a cache is
    not counted."""
    counts = [count for name in _COUNTED if type(count := answer.usage.get(name)) is int]
    return sum(counts) if answer.whole and counts else None


def outcome_of(failure: UpstreamFailure, *, begun: bool) -> Outcome | None:
    """What a failure says of the upstream; None if nothing that it has not said by beginning to answer."""
    retry_ms = _PAUSE_MS if failure.retry_after is None else failure.retry_after * 1000
    match failure.code:
        case "upstream_overloaded":
            asks = failure.retry_after is not None
            return Outcome("overloaded", failure.told, retry_ms if asks else 0.0, limited=asks)
        case "upstream_rate_limited":
            return Outcome("answered", failure.told, retry_ms, limited=True)
    if begun:
        return None
    if failure.answered:
        return Outcome("answered", failure.told)
    return Outcome("failed" if failure.code.startswith("upstream_") else "gone", NOTHING_TOLD)
