"""What we mean to reach in fan-out, and whether we do: bounds on ours, alone or beside another server of the same run."""

from collections.abc import Mapping
from typing import NamedTuple

from tests.bench.fanout import Measured
from tests.bench.figures import shown

FLOOR, NAIVE, NCHAN, PACED = "floor (C)", "naive", "nchan + Redis", "respool, paced"


class Bound(NamedTuple):
    """`ours` is at most `most`, or at most `most` times that of `beside`; with `at_least` the other way round."""

    scenario: str
    figure: str
    most: float
    beside: str | None = None
    at_least: bool = False
    ours: str = "respool"


BOUNDS = (
    Bound("A100", "p99 ms", 3),
    Bound("A1000", "µs/event", 1.3, FLOOR),
    Bound("A1000", "µs/event", 0.85, NCHAN),
    Bound("A1000", "µs/event", 0.3, NAIVE),
    Bound("A1000", "p99 ms", 15),
    Bound("A4000", "of due %", 99, at_least=True),
    Bound("A4000", "p99 ms", 80),
    Bound("A4000", "µs/event", 0.6, FLOOR, ours=PACED),
    Bound("A8000", "delivered/s", 390_000, at_least=True),
    Bound("A8000", "µs/event", 2.5),
    Bound("A8000", "p99 ms", 200),
    Bound("B100", "µs/event", 25),
    Bound("B100", "Redis µs", 13),
    Bound("B100", "p99 ms", 1),
    Bound("B1000", "µs/event", 2, FLOOR),
    Bound("B1000", "Redis µs", 3.5),
    Bound("B1000", "p99 ms", 5),
    Bound("C", "µs/event", 0.2),
    Bound("C", "all ms", 500),
    Bound("C", "first p99 ms", 350),
    Bound("C", "growth MB", 20),
    Bound("D1000", "µs/event", 12),
    Bound("D1000", "resume p99 ms", 20),
    Bound("herd", "all ms", 2000),
    Bound("idle", "KB/viewer", 10),
)

Results = Mapping[str, Mapping[str, Measured]]
"""By scenario, by server."""


def verdicts(results: Results) -> list[list[str]]:
    """A row a bound that can be judged: what, ours, the bound, whether it is met. And one if anything went wrong."""
    rows = []
    for bound in BOUNDS:
        servers = results.get(bound.scenario, {})
        ours = servers.get(bound.ours, {}).get(bound.figure)
        other = 1.0 if bound.beside is None else servers.get(bound.beside, {}).get(bound.figure)
        if ours is None or other is None:
            continue
        limit = bound.most * other
        sign = "≥" if bound.at_least else "≤"
        met = ours >= limit if bound.at_least else ours <= limit
        beside = "" if bound.beside is None else f" ({bound.most:g} × {bound.beside}; is {shown(ours / other)} ×)"
        what = f"{bound.scenario} {bound.ours}: {bound.figure}"
        rows.append([what, shown(ours), f"{sign} {shown(limit)}{beside}", "yes" if met else "**no**"])
    faults = sum(servers.get(ours, {}).get("faults", 0) for servers in results.values() for ours in ("respool", PACED))
    rows.append(["events lost, repeated, streams cut", shown(faults), "≤ 0", "yes" if not faults else "**no**"])
    return rows
