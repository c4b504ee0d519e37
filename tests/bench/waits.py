"""How right the estimates are that those are told who wait: under steady load, told at the submit, held against what came."""

import random
import time
from collections.abc import Callable
from statistics import quantiles
from typing import Final

from tests.bench.probe import Caller, Stream
from tests.bench.report import Figures
from tests.bench.systems import Respool

_SLOTS: Final = 6
_TOKENS: Final = (10, 20, 30, 40, 80)
_RATE: Final = 40
_BACKLOG: Final = 24
_LONG_ENOUGH_MS: Final = 500
"""Shorter waits are not held against: they are over before anybody has read the estimate."""


def waits(figures: Figures, *, quick: bool) -> None:
    """Generations of 0.25 to 2 s come as fast as they go, behind some that wait already."""
    seconds = 40.0 if quick else 120.0
    draw = random.Random(1)
    mean = sum(_TOKENS) / len(_TOKENS) / _RATE
    told: dict[str, int | None] = {}
    with Respool(max_jobs=_SLOTS) as system:
        caller = Caller(system.port)

        def submit() -> str:
            return caller.submit(f"sim-1?ttft_ms=50&tps={_RATE}&tokens={draw.choice(_TOKENS)}")

        for _ in range(_BACKLOG + _SLOTS):
            submit()
        time.sleep(4 * mean)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            id_ = submit()
            with Stream(system.port, id_) as stream:
                first = next(iter(stream)).frame
                told[id_] = first.data.get("estimated_wait_ms") if first.type == "queued" else 0
            time.sleep(draw.expovariate(_SLOTS / (mean + 0.08)))
        ratios, unknown = [], 0
        for id_, estimate in told.items():
            _, record = caller.call("GET", f"/v1/generations/{id_}?wait=30")
            waited = record["started_at_ms"] - record["created_at_ms"]
            if estimate is None:
                unknown += 1
            elif waited >= _LONG_ENOUGH_MS:
                ratios.append(estimate / waited)
    within = sum(0.5 <= ratio <= 1.5 for ratio in ratios) / len(ratios)
    tenths = quantiles(ratios, n=10)
    put = figures.put
    put("respool", "waits whose estimate is right to ±50 %", "%", 100 * within, samples=len(ratios))
    for name, value in (("1st tenth", tenths[0]), ("median", tenths[4]), ("9th tenth", tenths[8])):
        put("respool", f"estimate over wait: {name}", "", value)
    put("respool", "waits of which nothing was told", "", unknown)


WAITS: dict[str, Callable[..., None]] = {"waits": waits}
"""By name; each is given the figures and whether to be quick."""
