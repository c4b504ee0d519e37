"""When what Redis has written is taken to be on its disk, on a clock that the test moves: whom it is asked of, how often, and
what it must say."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, cast

import pytest

from broker.errors import StorageUnavailable
from broker.store.disk import Disk
from broker.store.fsyncs import Sample
from broker.store.logs import Logs
from tests.harness.clockwork import at_once

GATHERED, PAUSE, TRIED, CYCLE = 0.05, 0.05, 5.0, 1.0
"""Seconds: those who ask are gathered, between two looks, for one try, and from a look to the next fsync."""
ID = "gen_1"
SAMPLE = Sample("one", 0, 0, syncing=False, stalled=False, policy="everysec", size=0, delayed=0)

Answer = Callable[[], Coroutine[Any, Any, Sample | None]]


class Redis:
    """`where`: what it acknowledges, one after another, the last one for ever. `looks` are its samples, likewise; their clock
    is the loop's."""

    def __init__(self, *where: str | None, looks: tuple[Sample | None, ...] = (SAMPLE,)) -> None:
        self.where, self.looks = list(where), list(looks)
        self.acknowledgements: list[float] = []
        self.sampled: list[float] = []
        self.away = self.silent = 0

    @property
    def redis(self) -> "Redis":
        return self

    async def at(self, id_: str) -> "Redis":
        assert id_ == ID
        return self

    async def acknowledged(self) -> str | None:
        self.acknowledgements.append(_now())
        return self.where.pop(0) if len(self.where) > 1 else self.where[0]

    async def fsyncs(self) -> Sample | None:
        self.sampled.append(_now())
        if self.away:
            self.away -= 1
            raise StorageUnavailable
        if self.silent:
            self.silent -= 1
            await asyncio.Event().wait()
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return look and replace(look, ms=round(1000 * _now()))


def _now() -> float:
    return asyncio.get_running_loop().time()


def disk_of(redis: Redis) -> Disk:
    return Disk(cast(Logs, redis))


def seconds_of(redis: Redis) -> float:
    """How long it takes until it is safe; fails if that is for ever."""

    async def wait() -> float:
        begun = _now()
        async with asyncio.timeout(600):
            await disk_of(redis).synced(ID)
        return _now() - begun

    return at_once(wait())


OTHER = replace(SAMPLE, server="two")
ALWAYS = replace(SAMPLE, policy="always")


@pytest.mark.parametrize(
    ("where", "looks", "seconds"),
    [
        (("replica",), (None,), GATHERED),
        (("replica",), (SAMPLE,), GATHERED),
        ((None, None, "replica"), (SAMPLE,), GATHERED + 2 * PAUSE),
        # an fsync is due a second behind the first look, and is over at a look behind that
        (("disk",), (SAMPLE,), GATHERED + CYCLE + PAUSE),
        (("disk",), (ALWAYS,), GATHERED + PAUSE),
        # no file of its own, or it does not tell
        (("disk", "replica"), (None, SAMPLE), GATHERED + PAUSE),
        # what was seen before a try that failed counts in the next
        (("disk",), (SAMPLE, None, SAMPLE), GATHERED + CYCLE + PAUSE),
        ((None, "disk"), (SAMPLE,), GATHERED + CYCLE + PAUSE),
        # another server answers in the middle of it
        (("disk",), (SAMPLE, OTHER, OTHER), GATHERED + PAUSE + CYCLE + PAUSE),
    ],
)
def test_it_is_safe_where_redis_says_so_and_its_fsyncs_bear_it_out(
    where: tuple[str | None, ...], looks: tuple[Sample | None, ...], seconds: float
) -> None:
    assert seconds_of(Redis(*where, looks=looks)) == pytest.approx(seconds)


def test_what_one_server_said_before_is_not_true_of_another() -> None:
    redis = Redis("disk", "replica", looks=(SAMPLE, OTHER, OTHER))
    assert seconds_of(redis) == pytest.approx(GATHERED + PAUSE)
    assert len(redis.acknowledgements) == 2


def test_a_redis_that_is_away_is_asked_again() -> None:
    redis = Redis("replica")
    redis.away = 3
    assert seconds_of(redis) == pytest.approx(GATHERED + 3 * PAUSE)


def test_a_redis_that_does_not_answer_is_asked_again_after_five_seconds() -> None:
    redis = Redis("replica")
    redis.silent = 2
    assert seconds_of(redis) == pytest.approx(GATHERED + 2 * (TRIED + PAUSE))


def test_those_who_ask_within_fifty_milliseconds_share_one_wait_and_who_comes_later_does_not() -> None:
    async def scene() -> None:
        redis = Redis("replica")
        disk, done = disk_of(redis), list[float]()
        begun = _now()

        async def ask(after: float) -> None:
            await asyncio.sleep(after)
            await disk.synced(ID)
            done.append(round(_now() - begun, 3))

        await asyncio.gather(*map(ask, (0, 0.02, 0.04, 0.06)))
        assert done == [0.05, 0.05, 0.05, 0.11]
        assert len(redis.acknowledgements) == 2
        assert disk._waits == set()

    at_once(scene())


def test_what_was_written_after_the_question_was_put_is_asked_for_anew() -> None:
    """Though the first wait is still under way."""

    async def scene() -> None:
        redis = Redis(None)
        disk = disk_of(redis)
        first = asyncio.create_task(disk.synced(ID))
        await asyncio.sleep(1)
        second = asyncio.create_task(disk.synced(ID))
        await asyncio.sleep(0)
        assert len(disk._waits) == 2
        redis.where = ["replica"]
        await asyncio.gather(first, second)

    at_once(scene())


def test_one_that_leaves_does_not_end_the_wait_of_the_others() -> None:
    async def scene() -> None:
        disk = disk_of(Redis("replica"))
        leaves, stays = (asyncio.create_task(disk.synced(ID)) for _ in range(2))
        await asyncio.sleep(0)
        leaves.cancel()
        await stays
        assert leaves.cancelled()

    at_once(scene())


def test_waits_end_with_their_owner() -> None:
    async def scene() -> None:
        disk = disk_of(Redis(None))
        waits = [asyncio.create_task(disk.synced(ID))]
        await asyncio.sleep(1)
        waits.append(asyncio.create_task(disk.synced(ID)))
        await asyncio.sleep(0.01)
        disk.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert all(wait.cancelled() for wait in waits)
        assert disk._waits == set()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    at_once(scene())
