"""When a process looks for cyclic garbage: seldom, a little at a time, and best when it has nothing else to do.

Nearly all that is made dies by its reference count; Python's collector is for what refers to itself. Left alone it looks
through the youngest objects after every 700 that are made, and now and then, whenever that happens to be, through all there
are, which stops every stream of the process for as long. So what lives as long as the process is set aside when it has
started, and a collector of ours runs instead, which is called by a timer and bounded by what may have become garbage:

    young   what was made since the last time, some times a second, so that it stays little
    whole   everything, when the process is idle and there is something to look at; and whatever it does, when a quarter as
            much has grown old as there was, or memory has grown by MOST_MEMORY
"""

import asyncio
import gc
import resource
import sys
import time
from dataclasses import dataclass
from typing import Final

_EVERY: Final = 0.25
_FEW: Final = 500
"""Objects that are not worth a collection."""
_MANY: Final = 50_000
"""Objects that may grow old before a busy process looks at all of them, at least."""
_BACKSTOP: Final = 100_000
"""Objects that may be made between two looks; Python's own collector then looks at the young ones."""
_IDLE: Final = 0.05
"""Share of a core below which a process counts as idle."""
MOST_MEMORY: Final = 64 * 1024 * 1024
"""Bytes that the process may have grown by: garbage of few objects can be large."""


@dataclass(frozen=True, slots=True)
class CollectorStatistics:
    """What a collector has done since its process began."""

    young: int
    whole: int
    found: int
    """Objects that were garbage."""
    longest_ms: float
    """The longest time that the loop was stopped for it."""


class Collector:
    """One per process. Run it as a task when all that lives as long as the process is there."""

    def __init__(self) -> None:
        self._young = self._whole = self._found = 0
        self._longest = 0.0
        self._aged = 0
        """Objects that have grown old since all were looked at."""
        self._kept = 0
        self._memory = 0
        self._looked_at = self._cpu = 0.0

    def statistics(self) -> CollectorStatistics:
        return CollectorStatistics(self._young, self._whole, self._found, self._longest * 1000)

    async def run(self) -> None:
        """Collects until it is cancelled; then Python's collector is as it was."""
        before = gc.get_threshold()
        self.begin()
        try:
            while True:
                await asyncio.sleep(_EVERY)
                self.look(self._is_idle())
        finally:
            gc.set_threshold(*before)

    def begin(self) -> None:
        """Sets aside what there is."""
        gc.collect()
        gc.freeze()
        seldom()
        self._memory = _peak()

    def look(self, idle: bool) -> None:
        """Collects what is due."""
        made = gc.get_count()[0]
        grown = _peak() - self._memory > MOST_MEMORY
        aged = self._aged + made
        if grown or aged > max(_MANY, self._kept // 4) or (idle and aged > max(_FEW, self._kept // 20)):
            self._collect(2)
        elif made > _FEW:
            self._collect(1)

    def _collect(self, generation: int) -> None:
        made = gc.get_count()[0]
        begun = time.perf_counter()
        found = gc.collect(generation)
        self._longest = max(self._longest, time.perf_counter() - begun)
        self._found += found
        if generation < 2:
            self._young += 1
            self._aged += max(0, made - found)
            return
        self._whole += 1
        self._aged = 0
        self._kept = len(gc.get_objects())
        self._memory = _peak()

    def _is_idle(self) -> bool:
        now, cpu = time.monotonic(), time.process_time()
        idle = cpu - self._cpu < _IDLE * (now - self._looked_at)
        self._looked_at, self._cpu = now, cpu
        return idle


def seldom() -> None:
    """Has Python's collector look seldom, and at the young alone. Call it before a process imports what is large: all of it
    lives as long as the process, and to look through it again and again is an eighth of the CPU of a worker's start."""
    gc.set_threshold(_BACKSTOP, 1000, 1000)


def _peak() -> int:
    """Bytes, the most that the process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
