"""When content came from the upstream: how fast, and what lay between. Pure; a fixed number of steps for each read.

The time between two reads is counted in one of 161 classes, eight to a doubling from 0.125 ms to 131 s, so that a quantile is
within 5 % of the true one. What came in one read has no time between it.
"""

from array import array
from math import log2, sqrt
from typing import Final

import orjson

_LEAST: Final = 0.000125
"""Seconds: what is less counts as none."""
_TO_A_DOUBLING: Final = 8
_CLASSES: Final = 20 * _TO_A_DOUBLING + 1
_LAST: Final = _CLASSES - 1


class Arrivals:
    """`came` is called for each read whose first entry is content, `paused` where the upstream is called anew: what lies
    between two calls is nobody's pace."""

    __slots__ = ("_counts", "_last", "calls", "entries", "seconds")

    def __init__(self) -> None:
        self._counts = array("L", bytes(array("L").itemsize * _CLASSES))
        self._last: float | None = None
        self.calls = 0
        """Those that brought any content."""
        self.entries = 0
        self.seconds = 0.0
        """From the first arrival of each call to its last."""

    def came(self, now: float, entries: int) -> None:
        """So many entries came together, at this second of a clock that only goes on."""
        self.entries += entries
        counts = self._counts
        counts[0] += entries - 1
        last, self._last = self._last, now
        if last is None:
            self.calls += 1
            return
        gap = now - last
        self.seconds += gap
        if gap <= _LEAST:
            counts[0] += 1
        else:
            at = int(log2(gap / _LEAST) * _TO_A_DOUBLING) + 1
            counts[at if at < _LAST else _LAST] += 1

    def paused(self) -> None:
        """The next arrival is the first of a call."""
        self._last = None

    def quantile(self, share: float) -> float | None:
        """Milliseconds between two entries, such that this share of all are not more apart; None if there were not two."""
        number = sum(self._counts)
        if not number:
            return None
        rank, at = share * number, 0
        while (rank := rank - self._counts[at]) > 0:
            at += 1
        return 0.0 if at == 0 else round(_LEAST * 1000 * 2 ** ((at - 1) / _TO_A_DOUBLING) * _MIDDLE, 2)

    def metrics(self, output_tokens: int | None) -> bytes:
        """The members of `metrics` that a worker knows, JSON. `output_tokens`: as the upstream has counted them, None if it has
        not; then it is entries that are counted."""
        tokens = (self.entries if output_tokens is None else output_tokens) - self.calls
        per_second = round(tokens / self.seconds, 2) if self.seconds > 0 and tokens > 0 else None
        return orjson.dumps(
            {
                "tokens_per_second": per_second,
                "inter_token_ms_p50": self.quantile(0.5),
                "inter_token_ms_p95": self.quantile(0.95),
            }
        )[1:-1]


_MIDDLE: Final = sqrt(2 ** (1 / _TO_A_DOUBLING))
"""From the lower bound of a class to its middle."""
