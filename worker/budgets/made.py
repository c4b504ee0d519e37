"""A call that may be made: it tells how it goes."""

from collections.abc import Callable

from broker.budgets import NOTHING_TOLD, Outcome, Told
from worker.budgets.account import Account


class Made:
    """`tokens` is what it was counted with. `found` and `left` hear of it."""

    __slots__ = ("_found", "_known", "_left", "account", "call", "probe", "tokens")

    def __init__(
        self, account: Account, call: str, tokens: int,
        found: "Callable[[Made, Outcome], None]", left: "Callable[[Made, int], None]",
    ) -> None:  # fmt: skip
        self.account = account
        self.call = call
        self.tokens = tokens
        self.probe = False
        self._found = found
        self._left = left
        self._known = False

    def answered(self, told: Told = NOTHING_TOLD) -> None:
        """Its answer has begun."""
        self.found(Outcome("answered", told))

    def found(self, outcome: Outcome) -> None:
        self._known = True
        self._found(self, outcome)
        self.probe = False

    def over(self, used: int | None) -> None:
        """To be called once, whatever has happened. `used`: tokens that it has cost; None if nobody knows: then those count
        that it was counted with."""
        if self.probe and not self._known:
            self.found(Outcome("gone"))
        self._left(self, 0 if used is None else self.tokens - used)
