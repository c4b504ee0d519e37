"""Permits for calls of upstreams, as all workers of a cell share them in Redis (coordination).

A call asks once before it is made, and is over once: what it has found and that its permit is free go to Redis together with
those of other calls (teller.py). Meanwhile permits are held in one go for all. Those of a worker that is killed lapse.

Where nothing is set and there is no trouble, nothing is asked. Of others' trouble a process hears in a quarter of a second.
While Redis is away each process keeps to the limits by itself: the upstream has limits too, and refuses what is too much.
"""

import asyncio
import itertools
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic
from typing import Final

from arq.connections import ArqRedis

from broker.breaker import Rules
from broker.budgets import Budget, Outcome, Permit, Troubled, Wait
from broker.errors import BrokerError
from broker.store import budget_steps
from worker.budgets.account import Account
from worker.budgets.made import Made
from worker.budgets.teller import Teller

log = logging.getLogger("respool.budgets")

_LOOK_SECONDS: Final = 1.0
"""The longest that a call waits without a look at why."""
_POLL_SECONDS: Final = 0.05
"""The least between two questions of the first in a line: a place that another process gives back is taken within this."""
_ASK_SECONDS: Final = 1.0
"""Which Redis may take to answer; after that it is not asked again for as long."""
_MOST_ACCOUNTS: Final = 1000
_UNASKED: Final = "-"

Waits = Callable[[Wait], None]
"""Told why a call waits, once a second at least. Whatever it raises ends the wait."""


@dataclass(frozen=True, slots=True)
class BudgetsStatistics:
    """Permits of a process: now, and since it began."""

    running: int
    """Calls that hold one."""
    waiting: int
    asked: int
    """Times that Redis was asked."""
    permitted: int
    waited: int
    """Calls that were not permitted at once."""
    probes: int
    alone: int
    """Permitted without Redis, which was away."""
    opened: int
    """Times that a call of this process has opened a breaker."""
    troubled: tuple[Troubled, ...]
    """Budgets of all workers whose upstreams have refused calls of late, or say that little is left."""


class Budgets:
    """One per process; `run` is to be run as a task. A permit holds for `holds_ms` without a sign of life of this process; an
    upstream that asks for a longer pause than `longest_pause` (seconds) is called again after this one."""

    def __init__(self, redis: ArqRedis, rules: Rules, holds_ms: int, longest_pause: float) -> None:
        self._redis = redis
        self._rules = rules
        self._holds_ms = holds_ms
        self._longest_pause_ms = longest_pause * 1000
        self._process = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self._accounts: dict[str, Account] = {}
        self._teller = Teller(redis, rules, holds_ms, self._changed)
        self._away_until = 0.0
        self._asked = self._permitted = self._waited = self._probes = self._without_redis = 0

    async def run(self) -> None:
        """Tells Redis what calls have found, and holds their permits, until cancelled."""
        await self._teller.run(self._accounts.values())

    async def close(self) -> None:
        """Gives back what is left, within a bounded time."""
        await self._teller.close()

    def statistics(self) -> BudgetsStatistics:
        accounts = self._accounts.values()
        return BudgetsStatistics(
            running=sum(len(each.alone.calls) for each in accounts),
            waiting=sum(len(each.line) for each in accounts),
            asked=self._asked,
            permitted=self._permitted,
            waited=self._waited,
            probes=self._probes,
            alone=self._without_redis,
            opened=self._teller.opened,
            troubled=tuple(self._teller.troubled.values()),
        )

    def closed_ms(self, budget: Budget) -> float:
        """For how long nobody may call, as was heard last; 0 if somebody may."""
        return self._teller.closed_ms(budget)

    def crowded(self, budget: Budget, most: int) -> bool:
        """Whether one more would wait here for this budget, though `most` wait here already, for any."""
        account = self._accounts.get(budget.name)
        waits = account is not None and len(account.line) > 0
        return waits and sum(len(each.line) for each in self._accounts.values()) >= most

    # -- before a call

    async def begin(self, budget: Budget, tokens: Callable[[], int], waits: Waits) -> Made:
        """Returns when the call may be made, which is then to be told how it goes, and that it is `over`. `tokens`: what it is
        likely to cost. Raises what `waits` raises."""
        account, now = self._account(budget), monotonic()
        if not account.limited and not self._in_trouble(account, now):
            return Made(account, _UNASKED, 0, self._found, self._left)
        made = Made(account, f"{self._process}:{next(self._numbers)}", tokens(), self._found, self._left)
        try:
            said = None if len(account.line) else await self._ask(made, 0.0)
            if not isinstance(said, Permit):
                self._waited += 1
                said = await self._wait(made, said, waits, now)
        except BaseException:
            made.over(0)  # it may have been permitted all the same
            raise
        made.probe = said.probe
        self._probes += said.probe
        self._permitted += 1
        return made

    async def _wait(self, made: Made, said: Wait | None, waits: Waits, since: float) -> Permit:
        """Until it is permitted, behind those that wait here already."""
        line = made.account.line
        place = line.join(since)
        try:
            if said is not None:
                line.told(said)
            while True:
                seconds = _LOOK_SECONDS
                if line.last is not None:
                    waits(line.last)
                    if line.first(place):
                        seconds = min(seconds, max(line.last.ms / 1000, _POLL_SECONDS))
                await place.pause(seconds)
                if line.first(place):
                    answer = await self._ask(made, (monotonic() - since) * 1000)
                    if isinstance(answer, Permit):
                        return answer
                    line.told(answer)
        finally:
            line.leave(place)

    async def _ask(self, made: Made, waited_ms: float) -> Permit | Wait:
        """Redis, or this process alone while that is away."""
        alone, call, tokens = made.account.alone, made.call, made.tokens
        if monotonic() >= self._away_until:
            self._asked += 1
            step = budget_steps.permit(
                made.account.budget, call, self._process, waited_ms=waited_ms, tokens=tokens, holds_ms=self._holds_ms
            )
            try:
                async with asyncio.timeout(_ASK_SECONDS):
                    answer = await step.run(self._redis)
            except (BrokerError, TimeoutError) as error:
                log.warning("no permits of Redis, this process goes on by itself: %s", str(error) or "it is silent")
                self._away_until = monotonic() + _ASK_SECONDS
            else:
                if isinstance(answer, Permit):
                    alone.permitted(call, monotonic() * 1000, tokens, self._holds_ms)
                return answer
        answer = alone.ask(call, monotonic() * 1000, tokens, self._holds_ms)
        self._without_redis += isinstance(answer, Permit)
        return answer

    # -- what calls tell

    def _in_trouble(self, account: Account, now: float) -> bool:
        return account.budget.name in self._teller.troubled or account.in_trouble(now)

    def _found(self, made: Made, outcome: Outcome) -> None:
        """It goes to Redis where it matters to others."""
        account, now = made.account, monotonic()
        matters = outcome.found == "overloaded" or outcome.limited or outcome.told.low
        if not matters and not made.probe and not self._in_trouble(account, now):
            if outcome.found == "answered":
                account.answered(now)
            return
        if matters:
            account.trouble(now)
        retry_ms = min(outcome.retry_ms, self._longest_pause_ms)
        outcome = replace(outcome, retry_ms=retry_ms, before=account.take_answered(now))
        account.alone.found(made.call, outcome, now * 1000)
        self._teller.found(account.budget, made.call, outcome)

    def _left(self, made: Made, back: int) -> None:
        if made.call != _UNASKED:
            made.account.alone.leave(made.call, back, monotonic() * 1000)
            self._teller.left(made.account.budget, made.call, back)

    def _changed(self, budget: Budget) -> None:
        if (account := self._accounts.get(budget.name)) is not None:
            account.line.call_first()

    # -- accounts

    def _account(self, budget: Budget) -> Account:
        account = self._accounts.get(budget.name)
        if account is None:
            if len(self._accounts) >= _MOST_ACCOUNTS:
                self._forget()
            account = self._accounts[budget.name] = Account(budget, self._rules)
        account.used_at = monotonic()
        return account

    def _forget(self) -> None:
        """The half of the idle ones that were used longest ago."""
        idle = sorted((each for each in self._accounts.values() if each.idle), key=lambda each: each.used_at)
        for each in idle[: len(idle) // 2 + 1]:
            del self._accounts[each.budget.name]
