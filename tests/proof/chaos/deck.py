"""Which comes next: every card comes once before any comes twice. Pure."""

import random
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Deck(Generic[T]):
    """Deals the cards in random order, for ever; a card that is there twice comes twice as often."""

    def __init__(self, rng: random.Random, cards: Sequence[T]) -> None:
        self._rng = rng
        self._cards = list(cards)
        self._left: list[T] = []

    def draw(self) -> T:
        if not self._left:
            self._left = list(self._cards)
            self._rng.shuffle(self._left)
        return self._left.pop()
