"""Ends that are held back until they are safe: which ones, for how long, and how often Redis is asked. On a clock that the
test moves."""

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest

from broker.errors import BrokerError, ExpiredGeneration, StorageUnavailable, UnknownGeneration
from broker.events import END, TEXT, Entry
from broker.ids import EntryId
from broker.record import Record
from broker.store.logs import Logs
from broker.store.strict_end import StrictEnds
from tests.harness.clockwork import at_once

ID, OTHER = "gen_" + "0" * 26, "gen_" + "1" * 26
LAST, NEXT = EntryId(6, 0), EntryId(7, 0)
STRICT = b'{"type":"stream_end","durability":"strict"}'
GATHERED = 0.05
"""Seconds for which those who want the same are gathered."""


class Redis:
    """What Logs tells of one generation. `fails`: what the next reads raise. `syncs`: whether it confirms what it wrote."""

    def __init__(self, *, unconfirmed: bool = True, terminal: EntryId | None = LAST, stands: bool = True) -> None:
        self.of_record = SimpleNamespace(id=ID, unconfirmed=unconfirmed, terminal_id=terminal)
        self.stands = stands
        self.syncs = True
        self.fails: list[BrokerError] = []
        self.read: list[str] = []
        self.confirmed: list[tuple[str, EntryId]] = []
        self.asked = 0

    @property
    def redis(self) -> "Redis":
        return self

    async def at(self, id_: str) -> "Redis":
        return self

    async def record(self, id_: str) -> Any:
        self.read.append(id_)
        if self.fails:
            raise self.fails.pop(0)
        return self.of_record

    async def fsyncs(self) -> None:
        self.asked += 1

    async def acknowledged(self) -> str | None:
        return "replica" if self.syncs else None

    async def confirm(self, id_: str, end: EntryId) -> bool:
        self.confirmed.append((id_, end))
        return self.stands


def strict_ends_of(redis: Redis) -> StrictEnds:
    return StrictEnds(cast(Logs, redis))


def end(id_: EntryId = LAST) -> Entry:
    return Entry(id_, END, STRICT)


def held(
    strict_ends: StrictEnds, *, unconfirmed: bool = True, terminal: EntryId | None = LAST, id_: str = ID
) -> EntryId | None:
    return strict_ends.held_end(cast(Record, SimpleNamespace(id=id_, unconfirmed=unconfirmed, terminal_id=terminal)))


def run(scene: Coroutine[Any, Any, None]) -> None:
    at_once(scene)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_only_a_strict_end_is_held_back() -> None:
    async def scene() -> None:
        strict_ends = strict_ends_of(Redis())
        assert strict_ends.holds(ID, end()) is True
        assert strict_ends.holds(ID, Entry(LAST, END, b'{"type":"stream_end"}')) is False
        assert strict_ends.holds(ID, Entry(LAST, TEXT, STRICT)) is False
        assert held(strict_ends) == LAST
        assert held(strict_ends, unconfirmed=False) is None
        assert held(strict_ends, terminal=None) is None

    run(scene())


def test_an_end_that_is_safe_is_shown_and_no_other_with_it() -> None:
    async def scene() -> None:
        redis = Redis()
        strict_ends = strict_ends_of(redis)
        await strict_ends.safe(ID, LAST)
        assert redis.confirmed == [(ID, LAST)]
        assert redis.asked == 1
        assert (strict_ends.holds(ID, end()), held(strict_ends)) == (False, None)
        assert strict_ends.holds(ID, end(NEXT))
        assert strict_ends.holds(OTHER, end())
        assert held(strict_ends, terminal=NEXT) == NEXT
        assert held(strict_ends, id_=OTHER) == LAST

    run(scene())


def test_an_end_that_another_process_has_confirmed_needs_no_wait() -> None:
    async def scene() -> None:
        redis = Redis(unconfirmed=False)
        strict_ends = strict_ends_of(redis)
        begun = now()
        await strict_ends.safe(ID, LAST)
        assert now() == begun
        assert (redis.asked, redis.confirmed) == (0, [])
        assert not strict_ends.holds(ID, end())

    run(scene())


@pytest.mark.parametrize(
    "redis", [Redis(unconfirmed=False, terminal=NEXT), Redis(unconfirmed=False, terminal=None), Redis(stands=False)]
)
def test_an_end_that_the_record_has_no_more_is_waited_for_no_longer_and_stays_held(redis: Redis) -> None:
    async def scene() -> None:
        strict_ends = strict_ends_of(redis)
        await strict_ends.safe(ID, LAST)
        assert strict_ends.holds(ID, end())

    run(scene())


@pytest.mark.parametrize("error", [UnknownGeneration(ID), ExpiredGeneration(ID)])
def test_an_end_whose_record_has_gone_is_waited_for_no_longer_and_stays_held(error: BrokerError) -> None:
    async def scene() -> None:
        redis = Redis()
        redis.fails = [error]
        strict_ends = strict_ends_of(redis)
        await strict_ends.safe(ID, LAST)
        assert len(redis.read) == 1
        assert strict_ends.holds(ID, end())

    run(scene())


def test_a_redis_that_is_away_is_asked_again_five_times_a_second() -> None:
    async def scene() -> None:
        redis = Redis()
        redis.fails = [StorageUnavailable() for _ in range(3)]
        strict_ends = strict_ends_of(redis)
        begun = now()
        await strict_ends.safe(ID, LAST)
        assert now() - begun == pytest.approx(3 * 0.2 + GATHERED)
        assert redis.read == [ID] * 4
        assert not strict_ends.holds(ID, end())

    run(scene())


def test_nothing_is_confirmed_before_it_is_synced() -> None:
    async def scene() -> None:
        redis = Redis()
        redis.syncs = False
        strict_ends = strict_ends_of(redis)
        waiting = strict_ends.confirm(ID, LAST)
        await asyncio.sleep(60)
        assert not waiting.done()
        assert redis.confirmed == []
        assert strict_ends.holds(ID, end())
        redis.syncs = True
        await waiting
        assert not strict_ends.holds(ID, end())

    run(scene())


def test_who_waits_for_the_same_end_shares_one_wait_which_outlives_those_who_leave() -> None:
    async def scene() -> None:
        redis = Redis()
        strict_ends = strict_ends_of(redis)
        leaves, stays = (asyncio.create_task(strict_ends.safe(ID, LAST)) for _ in range(2))
        other = asyncio.create_task(strict_ends.safe(ID, NEXT))
        await asyncio.sleep(0)
        assert strict_ends.confirm(ID, LAST) is strict_ends.confirm(ID, LAST)
        leaves.cancel()
        await stays
        await other
        assert leaves.cancelled()
        assert redis.confirmed == [(ID, LAST), (ID, NEXT)]
        await asyncio.sleep(0)
        assert strict_ends._waits == {}
        await strict_ends.safe(ID, LAST)
        assert len(redis.confirmed) == 3

    run(scene())


def test_ten_thousand_ends_are_remembered_and_the_oldest_is_forgotten_first() -> None:
    async def scene() -> None:
        strict_ends = strict_ends_of(Redis(unconfirmed=False))
        for attempt in range(100, 10_100):
            strict_ends._safe[OTHER, EntryId(attempt, 0)] = None
        await strict_ends.safe(ID, LAST)
        assert len(strict_ends._safe) == 10_000
        assert strict_ends.holds(OTHER, end(EntryId(100, 0)))
        assert not strict_ends.holds(OTHER, end(EntryId(101, 0)))
        assert not strict_ends.holds(ID, end())

    run(scene())


def test_a_wait_for_a_redis_that_is_away_ends_with_its_owner() -> None:
    async def scene() -> None:
        redis = Redis()
        redis.fails = [StorageUnavailable() for _ in range(9)]
        strict_ends = strict_ends_of(redis)
        wait = strict_ends.confirm(ID, LAST)
        await asyncio.sleep(0.5)
        strict_ends.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert wait.cancelled()

    run(scene())


def test_waits_end_with_their_owner() -> None:
    async def scene() -> None:
        redis = Redis()
        redis.syncs = False
        strict_ends = strict_ends_of(redis)
        waits = [strict_ends.confirm(ID, LAST), strict_ends.confirm(ID, NEXT)]
        await asyncio.sleep(10)
        strict_ends.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert all(wait.cancelled() for wait in waits)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(scene())
