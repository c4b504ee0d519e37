"""When an API looks once more at what it has accepted, on a clock that the test moves."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from api.intake import lookout as lookout_module
from api.intake.lookout import AFTER_SECONDS, Lookout
from broker.errors import StorageUnavailable
from tests.harness.clockwork import at_once


class Store:
    """Has lost what is in `lost`, until that is put back. While it is `away` it is asked in vain."""

    def __init__(self) -> None:
        self.lost: set[str] = set()
        self.asked: list[tuple[float, list[str]]] = []
        self.away = 0

    async def put_back(self, ids: Sequence[str]) -> list[str]:
        self.asked.append((asyncio.get_running_loop().time(), list(ids)))
        if self.away:
            self.away -= 1
            raise StorageUnavailable
        found = [id_ for id_ in ids if id_ in self.lost]
        self.lost -= set(found)
        return found


def play(store: Store, act: Callable[[Lookout], Awaitable[None]]) -> list[tuple[float, list[str]]]:
    """What is asked for, and how many seconds after the beginning."""

    async def scene() -> float:
        lookout, began = Lookout(store.put_back), asyncio.get_running_loop().time()
        running = asyncio.create_task(lookout.run())
        await asyncio.sleep(0)
        await act(lookout)
        assert not running.done()
        running.cancel()
        await asyncio.wait([running])
        await lookout.close()
        return began

    began = at_once(scene())
    return [(round(at - began, 1), ids) for at, ids in store.asked]


def test_what_was_accepted_is_looked_at_once_three_seconds_later() -> None:
    async def act(lookout: Lookout) -> None:
        lookout.watch("a")
        lookout.watch("a")
        await asyncio.sleep(60)

    assert play(Store(), act) == [(3, ["a"])]


def test_who_has_accepted_nothing_looks_at_nothing() -> None:
    async def act(lookout: Lookout) -> None:
        await asyncio.sleep(3600)

    assert play(Store(), act) == []


def test_who_is_told_of_twice_is_looked_at_when_the_first_is_due() -> None:
    async def act(lookout: Lookout) -> None:
        lookout.watch("a")
        await asyncio.sleep(2)
        lookout.watch("a")
        await asyncio.sleep(60)

    assert play(Store(), act) == [(3, ["a"])]


def test_a_look_a_second_is_enough_for_all_and_comes_to_none_too_early() -> None:
    async def act(lookout: Lookout) -> None:
        for number in range(4):
            lookout.watch(str(number))
            await asyncio.sleep(0.5)
        await asyncio.sleep(60)

    assert play(Store(), act) == [(3, ["0"]), (4, ["1", "2"]), (5, ["3"])]


def test_what_was_put_back_is_looked_at_again_for_that_may_be_lost_too() -> None:
    store = Store()
    store.lost = {"b"}

    async def act(lookout: Lookout) -> None:
        lookout.watch("a")
        lookout.watch("b")
        await asyncio.sleep(60)

    assert play(store, act) == [(3, ["a", "b"]), (6, ["b"])]


def test_while_redis_is_away_a_look_waits() -> None:
    store = Store()
    store.away = 2

    async def act(lookout: Lookout) -> None:
        lookout.watch("a")
        await asyncio.sleep(60)

    assert play(store, act) == [(3, ["a"]), (4, ["a"]), (5, ["a"])]


def test_who_stops_looks_at_all_that_waits_once_at_once() -> None:
    store = Store()
    store.lost = {"a"}

    async def act(lookout: Lookout) -> None:
        lookout.watch("a")
        lookout.watch("b")

    assert play(store, act) == [(0, ["a", "b"])]


def test_who_stops_while_redis_is_away_does_not_wait_for_it() -> None:
    store = Store()
    store.away = 9

    async def act(lookout: Lookout) -> None:
        lookout.watch("a")

    assert play(store, act) == [(0, ["a"])]


def test_who_stops_while_redis_says_nothing_waits_a_second(caplog: pytest.LogCaptureFixture) -> None:
    async def silence(ids: Sequence[str]) -> list[str]:
        await asyncio.sleep(3600)
        return []

    async def scene() -> float:
        lookout, began = Lookout(silence), asyncio.get_running_loop().time()
        lookout.watch("a")
        await lookout.close()
        return asyncio.get_running_loop().time() - began

    assert at_once(scene()) == 1
    assert caplog.messages == ["1 generations were not looked at again"]


def test_who_stops_looks_at_all_by_the_thousand() -> None:
    async def act(lookout: Lookout) -> None:
        for number in range(2500):
            lookout.watch(str(number))

    assert [(at, len(ids)) for at, ids in play(Store(), act)] == [(0, 1000), (0, 1000), (0, 500)]


def test_no_more_than_20_000_wait_and_the_oldest_go() -> None:
    async def act(lookout: Lookout) -> None:
        for number in range(20_002):
            lookout.watch(str(number))
        await asyncio.sleep(AFTER_SECONDS + 60)

    asked = [id_ for _, ids in play(Store(), act) for id_ in ids]
    assert asked == [str(number) for number in range(2, 20_002)]


def test_nothing_is_asked_where_all_that_was_due_had_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout_module, "_MOST", 1)

    async def act(lookout: Lookout) -> None:
        lookout.watch("a")
        await asyncio.sleep(2)
        lookout.watch("b")
        await asyncio.sleep(60)

    assert play(Store(), act) == [(5, ["b"])]
