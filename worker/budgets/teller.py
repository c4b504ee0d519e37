"""What a process tells Redis of its calls, for all budgets in one trip: what they have found, which are over, which go on. And
what it hears from there: who has trouble."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final, TypeVar

from arq.connections import ArqRedis

from broker.breaker import Rules
from broker.budgets import Budget, Outcome, Troubled
from broker.errors import BrokerError
from broker.store import budget_steps
from broker.store.lua import Call, run_all
from worker.budgets.account import Account

log = logging.getLogger("respool.budgets")

LOOK_SECONDS: Final = 0.25
"""How long others' trouble may be unknown here."""
_PAUSE_SECONDS: Final = 0.25
_CLOSE_SECONDS: Final = 2.0
_MOST_UNSAID: Final = 10_000
"""Of what Redis cannot be told while it is away; permits lapse without it."""
_BATCH: Final = 500

T = TypeVar("T")


class Teller:
    """`changed` is called with a budget whose calls are over, when Redis knows."""

    def __init__(self, redis: ArqRedis, rules: Rules, holds_ms: int, changed: Callable[[Budget], object]) -> None:
        self._redis = redis
        self._rules = rules
        self._holds_ms = holds_ms
        self._changed = changed
        self._found: list[tuple[Budget, str, Outcome]] = []
        self._left: list[tuple[Budget, str, int]] = []
        self._unsaid = asyncio.Event()
        self._heard_at = 0.0
        self.troubled: dict[str, Troubled] = {}
        self.opened = 0

    def found(self, budget: Budget, call: str, outcome: Outcome) -> None:
        self._say(self._found, (budget, call, outcome))

    def left(self, budget: Budget, call: str, back: int) -> None:
        self._say(self._left, (budget, call, back))

    def closed_ms(self, budget: Budget) -> float:
        """For how long nobody may call, as was heard last; 0 if somebody may."""
        troubled = self.troubled.get(budget.name)
        return 0.0 if troubled is None else max(0.0, troubled.paused_ms - (monotonic() - self._heard_at) * 1000)

    def _say(self, unsaid: list[T], what: T) -> None:
        if len(unsaid) < _MOST_UNSAID:
            unsaid.append(what)
        self._unsaid.set()

    async def run(self, accounts: Iterable[Account]) -> None:
        """Tells and listens, until cancelled. `accounts` are looked through anew each time."""
        look_at = hold_at = monotonic()
        while True:
            try:
                if self._unsaid.is_set():
                    await self.flush()
                now = monotonic()
                if now >= hold_at:
                    await self._hold(accounts)
                    hold_at = now + self._holds_ms / 3000
                if now >= look_at:
                    await self.look()
                    look_at = now + LOOK_SECONDS
            except BrokerError as error:
                log.warning("budgets of upstreams: %s", error)
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            await self._something(min(look_at, hold_at) - monotonic())

    async def _something(self, seconds: float) -> None:
        """Waits until there is something to tell, or so long."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._unsaid.wait()
        except TimeoutError:
            pass

    async def close(self) -> None:
        """Tells what is left, so that no permit of this process is kept for nothing."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.flush()
        except (BrokerError, TimeoutError):
            log.warning("permits of this process lapse by themselves")

    async def flush(self) -> None:
        """Tells all. What cannot be told is kept. Raises BrokerError."""
        while self._found or self._left:
            await self._flush(self._found[:_BATCH], self._left[:_BATCH])
        self._unsaid.clear()

    async def _flush(self, found: list[tuple[Budget, str, Outcome]], left: list[tuple[Budget, str, int]]) -> None:
        if found:
            notes = [budget_steps.found(*each, self._rules) for each in found]
            for (budget, _, _), reply in zip(found, await run_all(self._redis, notes), strict=True):
                if isinstance(reply, tuple) and reply[1]:
                    self.opened += reply[0] == "open"
                    log.warning("upstream %s, model %s: its breaker is %s", budget.upstream, budget.model, reply[0])
            del self._found[: len(found)]
        if left:
            back: dict[Budget, dict[str, int]] = {}
            for budget, call, tokens in left:
                back.setdefault(budget, {})[call] = tokens
            await run_all(self._redis, [budget_steps.leave(budget, calls) for budget, calls in back.items()])
            del self._left[: len(left)]
            for budget in back:
                self._changed(budget)

    async def _hold(self, accounts: Iterable[Account]) -> None:
        holds: list[Call[None]] = []
        for account in accounts:
            if calls := list(account.alone.calls):
                holds.append(budget_steps.hold(account.budget, calls, self._holds_ms))
                account.alone.breaker.held(calls, monotonic() * 1000 + self._holds_ms)
        if holds:
            await run_all(self._redis, holds)

    async def look(self) -> None:
        """Hears who has trouble. Raises BrokerError."""
        found = await budget_steps.troubled().run(self._redis)
        self.troubled, self._heard_at = {each.budget.name: each for each in found}, monotonic()
