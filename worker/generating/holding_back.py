"""Generations that would only wait for their upstream are left in nobody's hands for a while, so that they keep no other from a
worker's slots: while its breaker is open or it has asked for a pause, and while too many wait for it here already.

They stay queued, keep their places and come back by `due`; at most so many a second, however many there are.
"""

import random
from collections.abc import Callable
from time import monotonic
from typing import Final

from broker.budgets import Budget
from broker.store.coordination import Coordination
from worker.budgets.fleet import Budgets
from worker.generating.plan import Plan
from worker.generating.rounds import Ask
from worker.upstreams import Upstream

_SHORTEST_MS: Final = 1000.0
_LONGEST_MS: Final = 5000.0
_LONGEST_TURN_MS: Final = 30_000.0
_EACH_MS: Final = 10.0
"""Between two that come back."""


class HoldingBack:
    """One per process. `upstream_of` says what a tenant's generations are made with; `most_waiting` may wait in its slots."""

    def __init__(
        self, budgets: Budgets, upstream_of: Callable[[str], Upstream], coordination: Coordination, most_waiting: int
    ) -> None:
        self._budgets = budgets
        self._upstream_of = upstream_of
        self._coordination = coordination
        self._most_waiting = most_waiting
        self._next_ms = 0.0
        self.held_back = 0

    async def held(self, the_plan: Plan) -> bool:
        """Whether it is held back: then there is nothing for this worker to do. Raises StorageUnavailable."""
        record, first = the_plan.record, the_plan.first
        if record.state != "queued" or not isinstance(first, Ask):
            return False
        if (budget := self._upstream_of(record.owner).budget(first.call)) is None:
            return False
        ms = self._hold_ms(budget, others=bool(the_plan.options.fallback))
        if ms > 0:
            self.held_back += 1
            await self._coordination.hold_back(record.id, record.created_ms, record.owner, round(ms))
        return ms > 0

    def _hold_ms(self, budget: Budget, *, others: bool) -> float:
        """0: it is not held back. `others`: there are other models that it may turn to."""
        closed_ms = self._budgets.closed_ms(budget)
        if closed_ms > 0 and others:
            return 0.0
        if closed_ms <= _SHORTEST_MS and not self._budgets.crowded(budget, self._most_waiting):
            return 0.0
        now_ms = monotonic() * 1000
        shortest = min(max(closed_ms, _SHORTEST_MS), _LONGEST_MS) + random.uniform(0, 250)
        self._next_ms = min(max(self._next_ms + _EACH_MS, now_ms + shortest), now_ms + _LONGEST_TURN_MS)
        return self._next_ms - now_ms
