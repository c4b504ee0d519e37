"""When an API notes in records that somebody watches."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

from api.viewing.watched import Watched
from broker.errors import StorageUnavailable
from broker.store.logs import Logs
from tests.harness.clockwork import at_once


class Redis:
    def __init__(self) -> None:
        self.noted: list[tuple[float, list[str]]] = []
        self.away = False

    async def watched(self, ids: Sequence[str]) -> None:
        if self.away:
            raise StorageUnavailable
        self.noted.append((asyncio.get_running_loop().time(), list(ids)))


def scene(work: Callable[[Redis, Watched, list[str]], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        redis, here = Redis(), list[str]()
        noting = Watched(cast(Logs, redis), lambda: here)
        running = asyncio.create_task(noting.run())
        await asyncio.sleep(0)
        await work(redis, noting, here)
        running.cancel()
        await asyncio.wait({running})

    at_once(run())


def test_the_first_viewer_is_noted_at_once_and_all_every_two_seconds() -> None:
    async def work(redis: Redis, noting: Watched, here: list[str]) -> None:
        begun = asyncio.get_running_loop().time()
        await asyncio.sleep(1.9)
        here.append("gen_a")
        noting.came("gen_a")
        await asyncio.sleep(0.05)
        assert [ids for _, ids in redis.noted] == [["gen_a"]]
        await asyncio.sleep(4.1)
        assert [ids for _, ids in redis.noted] == [["gen_a"]] * 4
        assert [round(at - begun, 3) for at, _ in redis.noted] == [1.9, 2.0, 4.0, 6.0]
        here.clear()
        await asyncio.sleep(4)
        assert len(redis.noted) == 4, "no trip for nothing"

    scene(work)


def test_those_that_come_all_the_time_do_not_put_the_others_off() -> None:
    async def work(redis: Redis, noting: Watched, here: list[str]) -> None:
        here.append("gen_stays")
        for number in range(50):
            noting.came(f"gen_{number}")
            await asyncio.sleep(0.1)
        rounds = [at for at, ids in redis.noted if "gen_stays" in ids]
        assert len(rounds) == 2
        assert len(redis.noted) >= 50

    scene(work)


def test_very_many_are_noted_in_portions_and_a_redis_that_is_away_is_tried_again() -> None:
    async def work(redis: Redis, noting: Watched, here: list[str]) -> None:
        here += [f"gen_{number}" for number in range(1001)]
        redis.away = True
        await asyncio.sleep(2.5)
        redis.away = False
        await asyncio.sleep(2)
        assert [len(ids) for _, ids in redis.noted] == [500, 500, 1]

    scene(work)
