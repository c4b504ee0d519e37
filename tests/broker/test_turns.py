"""Who computes when: one slice in each round of the loop, and nobody is passed over."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from broker.turns import Turns
from tests.harness.clockwork import at_once


class Rounds:
    """Counts the rounds of the loop, and who had a turn in which."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.now = 0
        self.taken: list[tuple[str, int]] = []
        self._tick()

    def _tick(self) -> None:
        self.now += 1
        asyncio.get_running_loop().call_soon(self._tick)

    async def work(self, name: str, slices: int, entries: int = 1000) -> None:
        for _ in range(slices):
            await self.turns.take(entries)
            self.taken.append((name, self.now))

    @property
    def names(self) -> str:
        return "".join(name for name, _ in self.taken)


def run(scene: Coroutine[Any, Any, None]) -> None:
    at_once(scene)


def test_there_is_one_slice_a_round_in_the_order_of_asking() -> None:
    async def scene() -> None:
        rounds = Rounds()
        await asyncio.gather(*(rounds.work(name, 1) for name in "abcde"))
        assert rounds.names == "abcde"
        assert len({now for _, now in rounds.taken}) == 5

    run(scene())


def test_who_works_alone_lets_the_loop_go_round_between_slices() -> None:
    async def scene() -> None:
        rounds = Rounds()
        await rounds.work("a", 3)
        first, second, third = (now for _, now in rounds.taken)
        assert first < second < third

    run(scene())


def test_a_few_entries_need_no_turn() -> None:
    async def scene() -> None:
        rounds = Rounds()
        await asyncio.gather(rounds.work("a", 1), rounds.work("b", 5, entries=99))
        assert rounds.names == "abbbbb"
        assert len({now for _, now in rounds.taken}) == 1

    run(scene())


@pytest.mark.parametrize("gone", [1, 2])
def test_the_turn_of_one_who_has_gone_is_the_next_ones(gone: int) -> None:
    async def scene() -> None:
        rounds = Rounds()
        tasks = [asyncio.create_task(rounds.work(name, 1)) for name in "abcd"]
        await asyncio.sleep(0)
        tasks[gone].cancel()
        await asyncio.wait(tasks)
        assert rounds.names == "abcd".replace("abcd"[gone], "")
        await rounds.work("e", 1)

    run(scene())
