"""Samples, and what is said of them."""

import math
import statistics
from collections.abc import Iterable, Sequence


def percentile(samples: Sequence[float], p: float) -> float:
    """The sample at rank `p` (0 to 1) of the sorted samples: no interpolation, the slower one where in doubt."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, math.floor(len(ordered) * p))]


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def shown(value: float | None) -> str:
    """Three digits that matter."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is words, the others figures."""
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(["---", *["---:"] * (len(head) - 1)]) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
