"""What a process knows of one budget: whether its calls must be asked for, those that run, those that wait."""

from broker.breaker import HALF_WINDOW_MS, Rules
from broker.budgets import Budget
from worker.budgets.alone import Alone
from worker.budgets.line import Line

_HALF_WINDOW = HALF_WINDOW_MS / 1000


class Account:
    """Times are seconds of one clock."""

    def __init__(self, budget: Budget, rules: Rules) -> None:
        self.budget = budget
        self.limited = budget.limits.any
        self.alone = Alone.of(budget, rules)
        self.line = Line()
        self.used_at = 0.0
        self._trouble_until = 0.0
        self._answered = 0
        self._answered_since = 0.0

    @property
    def idle(self) -> bool:
        return not len(self.line) and not self.alone.calls

    def trouble(self, now: float) -> None:
        """A call has found something that concerns others."""
        self._trouble_until = now + 2 * _HALF_WINDOW

    def in_trouble(self, now: float) -> bool:
        return now < self._trouble_until

    def answered(self, now: float) -> None:
        """One more, of which nothing need be said now."""
        self._answered = self._of_late(now) + 1

    def take_answered(self, now: float) -> int:
        """So many were answered of late, which is said now."""
        answered, self._answered = self._of_late(now), 0
        return answered

    def _of_late(self, now: float) -> int:
        if now - self._answered_since >= _HALF_WINDOW:
            self._answered, self._answered_since = 0, now
        return self._answered
