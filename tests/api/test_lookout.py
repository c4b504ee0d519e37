"""When an API looks once more at what it has accepted, on a clock that the test moves."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from api import lookout
from api.lookout import AFTER_SECONDS, Lookout
from broker.errors import StorageUnavailable
from tests.clockwork import at_once


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


def test_no_more_wait_than_there_is_room_for_and_the_oldest_go() -> None:
    async def act(lookout_: Lookout) -> None:
        for number in range(lookout._MOST + 2):
            lookout_.watch(str(number))
        await asyncio.sleep(AFTER_SECONDS + 60)

    asked = [id_ for _, ids in play(Store(), act) for id_ in ids]
    assert asked == [str(number) for number in range(2, lookout._MOST + 2)]
