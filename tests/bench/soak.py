"""Whether memory stays flat: generations come and go for a long time, watched by viewers who drop and come back."""

import time

from tests.bench.load import Load
from tests.bench.probe import Caller
from tests.bench.report import Figures
from tests.bench.system import resident_kb
from tests.bench.systems import Respool

GENERATIONS = 40
VIEWERS = 5
RATE = 50
_CYCLE_SECONDS = 30
_SETTLE_SECONDS = 2
_WARM_CYCLES = 3
"""After which what a process fills only once (pools, caches, free lists) is full."""


def soak(figures: Figures, seconds: float) -> None:
    """Cycles of 40 generations with 5 viewers each, each of whom drops about once a second, for so long; what each process
    holds between them, early and late. What has ended expires after a minute."""
    with Respool(retention=60) as system:
        held: list[dict[str, int]] = []
        faults, began = 0, time.monotonic()
        while time.monotonic() - began < seconds or len(held) <= _WARM_CYCLES:
            faults += _cycle(system)
            time.sleep(_SETTLE_SECONDS)
            held.append({name: resident_kb([pid]) for name, pid in system.pids.items()})
        lasted = f"{(time.monotonic() - began) / 60:.0f} min"
        for name in system.pids:
            early, late = held[_WARM_CYCLES - 1][name] / 1024, held[-1][name] / 1024
            figures.put("respool", f"memory of {name}, after {_WARM_CYCLES} cycles", "MB", early)
            figures.put("respool", f"memory of {name}, after {lasted}", "MB", late, samples=len(held))
        figures.put("respool", f"lost, repeated, cut in {lasted}", "events", faults, target=0)


def _cycle(system: Respool) -> int:
    """One crowd; how many events were lost or came twice."""
    caller = Caller(system.port)
    model = f"sim-1?ttft_ms=200&tps={RATE}&tokens={RATE * _CYCLE_SECONDS}&stamp=1&jitter=0.2"
    ids = [caller.submit(model) for _ in range(GENERATIONS)]
    with Load(system.port, system.folder) as load:
        load.open(f"/v1/generations/{id_}/events" for id_ in ids * VIEWERS)
        load.connect()
        load.say("churn 1000 50")
        load.mark()
        time.sleep(_CYCLE_SECONDS - 2)
        return load.tell()[0].faults
