"""Garbage that refers to itself: it never grows without end, and no more than it must is looked through for it."""

import asyncio
import gc
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from broker.collecting import Collector


class Cycle:
    alive = 0

    def __init__(self) -> None:
        self.itself = self
        Cycle.alive += 1

    def __del__(self) -> None:
        Cycle.alive -= 1


@pytest.fixture
def collector() -> Iterator[Collector]:
    before = gc.get_threshold()
    gc.collect()
    Cycle.alive = 0
    collector = Collector()
    collector.begin()
    yield collector
    gc.set_threshold(*before)
    gc.collect()


def test_garbage_that_is_made_all_the_time_is_gone_at_the_next_look(collector: Collector) -> None:
    for _ in range(50):
        for _ in range(2000):
            Cycle()
        assert Cycle.alive <= 2000
        collector.look(idle=False)
        assert Cycle.alive == 0
    told = collector.statistics()
    assert (told.young, told.whole) == (50, 0)
    assert told.found >= 100_000
    assert 0 < told.longest_ms < 1000


def test_garbage_that_has_grown_old_first_is_bounded_in_a_process_that_is_never_idle(collector: Collector) -> None:
    held: list[list[Cycle]] = []
    most = 0
    for _ in range(300):
        held.append([Cycle() for _ in range(1000)])
        del held[:-5]  # a generation's life: several looks
        collector.look(idle=False)
        most = max(most, Cycle.alive)
    assert most < 80_000, "of 300,000 that were made"
    assert collector.statistics().whole >= 2


def test_what_is_made_between_two_looks_is_bounded_too(collector: Collector) -> None:
    most = 0
    for _ in range(500_000):
        Cycle()
        most = max(most, Cycle.alive)
    assert most < 150_000
    assert collector.statistics().young == 0


def test_an_idle_process_looks_at_everything_once_and_not_again(collector: Collector) -> None:
    held = [[Cycle() for _ in range(1000)]]
    collector.look(idle=False)
    held.clear()
    collector.look(idle=False)
    assert Cycle.alive == 1000, "old, and not worth it while there is something to do"
    for _ in range(5):
        collector.look(idle=True)
    assert Cycle.alive == 0
    assert collector.statistics().whole == 1


LARGE = """
import asyncio, gc, resource
from broker import collecting

class Cycle:
    def __init__(self):
        self.itself, self.body = self, b"x" * (4 << 20)

async def main():
    collecting._EVERY = 0.001
    running = asyncio.create_task(collecting.Collector().run())
    await asyncio.sleep(0.01)
    before = collecting._peak()
    for _ in range(300):
        held = Cycle()
        await asyncio.sleep(0.002)
    running.cancel()
    print((collecting._peak() - before) >> 20)

asyncio.run(main())
"""


def test_garbage_of_few_objects_that_are_large_is_bounded_by_its_bytes() -> None:
    ran = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, timeout=60, check=True)
    assert int(ran.stdout) < 400, "MiB, of 1,200 that were made"


def test_python_s_own_collector_is_as_it_was_when_ours_ends() -> None:
    before = gc.get_threshold()

    async def run() -> None:
        running = asyncio.create_task(Collector().run())
        await asyncio.sleep(0.01)
        assert gc.get_threshold() != before
        assert gc.get_freeze_count() > 0, "what there was is set aside"
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(run())
    assert gc.get_threshold() == before


def test_a_process_is_idle_that_computes_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 11.0, 12.0])
    cpu = iter([5.0, 5.04, 5.10])
    clock = SimpleNamespace(monotonic=lambda: next(times), process_time=lambda: next(cpu))
    monkeypatch.setattr("broker.collecting.time", clock)
    collector = Collector()
    assert [collector._is_idle() for _ in range(3)][1:] == [True, False]
