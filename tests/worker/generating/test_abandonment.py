"""Which attempts a worker asks about, how often, and which it stops."""

import asyncio
from dataclasses import replace
from typing import Any, cast

from broker.errors import StorageRefused, StorageUnavailable
from broker.replies import Watched
from broker.request import Options
from broker.store.logs import Logs
from broker.store.lua import Call
from tests.harness.clockwork import at_once
from worker.generating.abandonment import Abandonment
from worker.log.writer import Writer

FINISH = Options("continue", None, None, 600.0, None, "normal")
CANCEL = replace(FINISH, on_abandon="cancel", abandon_after=30.0)


class Redis:
    """Notes what it is asked; `verdicts` are by generation."""

    def __init__(self) -> None:
        self.asked: list[list[tuple[Any, ...]]] = []
        self.verdicts: dict[str, bool | StorageRefused] = {}
        self.away = False

    async def abandoned(self, calls: list[Call[Watched]]) -> list[Watched | StorageRefused]:
        if self.away:
            raise StorageUnavailable
        self.asked.append([(call.keys[0], *call.args) for call in calls])
        number = len(self.asked)
        return [self._answer(call.keys[0].partition("}")[0].removeprefix("{"), number) for call in calls]

    def _answer(self, id_: str, number: int) -> Watched | StorageRefused:
        verdict = self.verdicts.get(id_, False)
        return Watched(1000 * number, 7, verdict) if isinstance(verdict, bool) else verdict


def writer(id_: str = "gen_a", attempt: int = 5) -> Writer:
    return Writer(id_, attempt, max_unwritten=10, now=0.0)


def abandonment(redis: Redis) -> Abandonment:
    return Abandonment(cast(Logs, redis))


def test_only_what_is_cancelled_where_nobody_watches_is_asked_about_and_only_while_it_runs() -> None:
    async def scene() -> None:
        redis = Redis()
        asking = abandonment(redis)
        goes_on, may_end = writer("gen_a"), writer("gen_b")
        asking.add(goes_on, FINISH)
        await asking.ask()
        assert redis.asked == [], "no trip for nothing"
        asking.add(may_end, replace(CANCEL, abandon_unwatched=True))
        await asking.ask()
        await asking.ask()
        assert redis.asked == [
            [("{gen_b}:record", 5, 34_000, 1, 0, 0, 5000)],
            [("{gen_b}:record", 5, 34_000, 1, 7, 1000, 5000)],
        ]
        asking.remove(may_end)
        asking.remove(goes_on)
        await asking.ask()
        assert len(redis.asked) == 2

    at_once(scene())


def test_what_is_abandoned_is_stopped_and_what_is_refused_is_asked_again() -> None:
    async def scene() -> None:
        redis = Redis()
        asking = abandonment(redis)
        writers = [writer(f"gen_{name}") for name in "abc"]
        for each in writers:
            asking.add(each, CANCEL)
        redis.verdicts = {"gen_b": True, "gen_c": StorageRefused("WRONGTYPE")}
        await asking.ask()
        assert [each.cause for each in writers] == [None, "abandoned", None]
        assert asking.cancelled == 1
        redis.verdicts = {}
        await asking.ask()
        assert [row[4:6] for row in redis.asked[-1]] == [(7, 1000), (7, 1000), (0, 0)]

    at_once(scene())


def test_very_many_are_asked_about_in_portions() -> None:
    async def scene() -> None:
        redis = Redis()
        asking = abandonment(redis)
        for number in range(1001):
            asking.add(writer(f"gen_{number}"), CANCEL)
        await asking.ask()
        assert [len(each) for each in redis.asked] == [500, 500, 1]

    at_once(scene())


def test_it_is_asked_every_second_and_again_when_redis_is_back() -> None:
    async def scene() -> None:
        redis = Redis()
        asking = abandonment(redis)
        asking.add(writer(), CANCEL)
        running = asyncio.create_task(asking.run())
        await asyncio.sleep(2.5)
        assert len(redis.asked) == 2
        redis.away = True
        await asyncio.sleep(3)
        redis.away = False
        await asyncio.sleep(1)
        assert len(redis.asked) == 3
        running.cancel()
        await asyncio.wait({running})

    at_once(scene())
