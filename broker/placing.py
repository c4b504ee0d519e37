"""Which cell takes what is submitted: by weight, and where there is an idempotency key, the same one each time. Pure."""

import hashlib
import json
import math
import random
from collections.abc import Mapping
from typing import Final, TypeAlias

Weights: TypeAlias = Mapping[int, float]
"""Of cells by their numbers. One without weight takes nothing."""
_STEP: Final = (math.sqrt(5) - 1) / 2
"""The golden ratio's: however many are placed, each cell has had its share but for a few."""
_BITS: Final = 52
"""Of a hash, so that half a step below 1 is still a float below 1."""


class Turn:
    """Places one after the other, by weight. Each process begins somewhere else."""

    def __init__(self, begin: float | None = None) -> None:
        self._at = random.random() if begin is None else begin

    def next(self, weights: Weights) -> int:
        """The cell whose turn it is. Some weight must be above 0."""
        self._at = (self._at + _STEP) % 1
        left = self._at * sum(weights.values())
        last = -1
        for number, weight in weights.items():
            if weight > 0:
                if left < weight:
                    return number
                last = number
            left -= weight
        return last


def home(weights: Weights, key: str) -> int:
    """The cell of this idempotency key, by weighted rendezvous: a cell that gets more weight takes keys from the others, and no
    other key moves. Some weight must be above 0."""
    return max(weights, key=lambda cell: (_score(weights[cell], cell, key), cell))


def _score(weight: float, cell: int, key: str) -> float:
    """More than 0, unless the weight is."""
    raw = hashlib.blake2b(f"{cell}\0{key}".encode(), digest_size=8).digest()
    drawn = ((int.from_bytes(raw) >> (64 - _BITS)) + 0.5) / (1 << _BITS)
    return -weight / math.log(drawn)


def written(weights: Weights) -> str:
    """The weights as text, without the cells that have none."""
    return json.dumps([[cell, float(weight)] for cell, weight in sorted(weights.items()) if weight > 0])


def read(text: str) -> Weights:
    """The weights of a text."""
    return {int(cell): float(weight) for cell, weight in json.loads(text)}
