"""How a worker comes by its jobs: when it asks, for how many, and what it does about those that it gets; no server, and no time
passes but the test's."""

import asyncio
import logging
from itertools import pairwise
from typing import Any, cast

import pytest
from arq.worker import Worker
from redis.exceptions import ConnectionError, OutOfMemoryError

from broker import keys
from broker.errors import StorageUnavailable
from broker.replies import Over, Taken
from broker.store.agreement import Agreement
from broker.store.coordination import Coordination
from broker.store.queue import dumps_job, loads_job
from broker.waiting import ALL_EVEN, TenantShares
from tests.harness.clockwork import at_once
from worker.dispatch import Dispatcher, DispatcherStatistics

HOURS = 3600


class Doorman:
    """Coordination, agreement and the bell for one dispatcher. `answers` are what it takes next, `rings` what the bell says; at
    the end of the answers the dispatcher is told to stop."""

    job_serializer = staticmethod(dumps_job)
    job_deserializer = staticmethod(loads_job)

    def __init__(self, *answers: Taken | Exception, slots: int = 100) -> None:
        self.redis = self
        self.answers = list(answers)
        self.rings: list[Any] = []
        self.apart_until = 0.0
        self.asked: list[int] = []
        self.over: list[Over] = []
        self.bells: list[tuple[Any, ...]] = []
        self.times: list[float] = []
        self.back: list[dict[str, float]] = []
        self.ran: list[str] = []
        self.result: bool | float | Exception = False
        self.cleared: list[str] = []
        self.away = False
        self.seen: list[str] = []
        self.beats = 0
        self.loop = asyncio.get_running_loop()
        self.begun = self.loop.time()
        anything = cast(Any, self)
        self.dispatcher = Dispatcher(
            self._noted, cast(Coordination, anything), cast(Agreement, anything), anything, slots, 3000
        )

    async def _run(self, ctx: dict[Any, Any], job: str) -> bool:
        self.ran.append(job)
        if isinstance(self.result, Exception):
            raise self.result
        if not isinstance(self.result, bool):
            await asyncio.sleep(self.result)
        return bool(self.result)

    async def clear(self, job: str) -> None:
        if self.away:
            raise StorageUnavailable("MISCONF")
        self.cleared.append(job)

    async def _noted(self, ctx: dict[Any, Any], job: str) -> bool:
        name = job.partition(":")[0]
        self.seen.append(f"in {name}")
        try:
            return await self._run(ctx, job)
        finally:
            self.seen.append(f"out {name}")

    @property
    def apart(self) -> bool:
        return self.seconds < self.apart_until

    @property
    def seconds(self) -> float:
        return round(self.loop.time() - self.begun, 2)

    async def take(self, most: int, *, lock_ms: int, again_ms: int, shares: TenantShares, over: Over) -> Taken:
        assert shares == ALL_EVEN
        self.over.append(over)
        assert (lock_ms, again_ms) == (4 * HOURS * 1000, 3000)
        self.asked.append(most)
        self.times.append(self.seconds)
        answer = self.answers.pop(0)
        if not self.answers:
            self.dispatcher.stop()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def put_back(self, jobs: dict[str, float]) -> None:
        self.back.append(jobs)

    async def execute_command(self, *words: Any) -> Any:
        self.bells.append(words)
        ring = self.rings.pop(0) if self.rings else None
        if isinstance(ring, Exception):
            raise ring
        await asyncio.sleep(0 if ring else words[1])
        return ring

    async def listen(self) -> None:
        async with asyncio.timeout(1000):
            await self.dispatcher.listen()


def jobs(*names: str, left: int = 0) -> Taken:
    return Taken(left, {f"{name}:1": 5.0 for name in names})


NONE = Taken(0, {})
BELL = ("BLMPOP", 1.0, 1, keys.WAKE, "RIGHT", "COUNT", 10)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> dict[str, asyncio.Event]:
    """Replaces what is done for a job: each runs until its event is set. An event that is there already ends it at once."""
    events: dict[str, asyncio.Event] = {}

    async def run(door: Doorman, ctx: dict[Any, Any], job: str) -> bool:
        await events.setdefault(job.partition(":")[0], asyncio.Event()).wait()
        return True

    monkeypatch.setattr(Doorman, "_run", run)
    return events


@pytest.mark.parametrize(("left", "most"), [(1, 1), (2, 1), (3, 2), (8, 4), (9, 5), (19, 10), (500, 10)])
def test_of_what_waits_it_takes_half_and_never_more_than_ten(left: int, most: int) -> None:
    async def scene() -> None:
        door = Doorman(Taken(left, {}), NONE)
        await door.listen()
        assert door.asked == [1, most]
        assert door.bells == []

    at_once(scene())


def test_no_more_is_taken_than_there_are_slots(running: dict[str, asyncio.Event]) -> None:
    async def scene() -> None:
        door = Doorman(jobs("a", "b", left=50), NONE, slots=5)
        await door.listen()
        assert door.asked == [1, 3]
        rung = Doorman(jobs("c"), NONE, NONE, slots=5)
        rung.rings = [(b"wake", [b"1"] * 4)]
        await rung.listen()
        assert rung.bells[0][-1] == 4
        assert rung.asked == [1, 4, 1]

    at_once(scene())


def test_where_nothing_waits_it_listens_for_the_bell_and_takes_as_many_as_it_rang_for() -> None:
    async def scene() -> None:
        door = Doorman(NONE, NONE, NONE, NONE)
        door.rings = [(b"wake", [b"1", b"1", b"1"]), None, (b"wake", [b"1"])]
        await door.listen()
        assert door.bells == [BELL] * 3
        assert door.asked == [1, 3, 1, 1]
        assert door.times == [0, 0, 1, 1], "a bell may be lost"

    at_once(scene())


def test_a_worker_without_a_free_slot_asks_for_nothing_until_one_is_freed(running: dict[str, asyncio.Event]) -> None:
    async def scene() -> None:
        door = Doorman(jobs("a", "b", left=7), jobs("c"), NONE, slots=2)
        listening = asyncio.create_task(door.listen())
        await asyncio.sleep(5)
        assert door.asked == [1]
        assert door.dispatcher.statistics() == DispatcherStatistics(
            slots=2, running=2, starting=2, waiting=7, takes=1, begun=2, put_back=0, unavailable=0
        )
        running["a"].set()
        await asyncio.sleep(5)
        assert (door.asked, door.times[-1]) == ([1, 1], 5.0), "without a bell"
        seen = door.dispatcher.statistics()
        assert (seen.running, seen.waiting, seen.takes, seen.begun) == (2, 0, 2, 3)
        running["b"].set()
        await listening
        assert (door.asked, door.bells) == ([1, 1, 1], [])
        assert door.seen == ["in a", "in b", "out a", "in c", "out b"]

    at_once(scene())


def test_of_a_burst_it_takes_no_more_than_it_can_start_at_a_time(running: dict[str, asyncio.Event]) -> None:
    async def scene() -> None:
        names = [f"job{number}" for number in range(33)]
        cuts = (0, 1, 11, 21, 31, 32)
        burst = [jobs(*names[begin:end], left=500) for begin, end in pairwise(cuts)]
        door = Doorman(*burst, jobs(names[32], left=0), NONE, slots=1000)
        listening = asyncio.create_task(door.listen())
        await asyncio.sleep(5)
        assert door.asked == [1, 10, 10, 10, 1]
        assert door.dispatcher.statistics().starting == 32
        door.dispatcher.started("job7:1")
        await asyncio.sleep(5)
        assert (door.asked[5:], door.dispatcher.statistics().starting) == ([1], 32)
        running["job3"].set()  # nothing came of it
        await listening
        seen = door.dispatcher.statistics()
        assert (door.asked[6:], seen.starting, seen.running) == ([1], 31, 32)

    at_once(scene())


def test_the_last_slot_is_used(running: dict[str, asyncio.Event]) -> None:
    async def scene() -> None:
        door = Doorman(jobs("a", left=3), jobs("b", left=2), NONE, slots=2)
        listening = asyncio.create_task(door.listen())
        await asyncio.sleep(1)
        assert sorted(door.dispatcher.tasks) == ["a:1", "b:1"]
        running["a"].set()
        await listening

    at_once(scene())


def test_nothing_is_taken_while_the_records_are_elsewhere() -> None:
    async def scene() -> None:
        door = Doorman(NONE, NONE)
        door.apart_until = 2.1
        await door.listen()
        assert (door.asked, door.times) == ([1, 1], [2.25, 3.25])
        assert len(door.bells) == 1

    at_once(scene())


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (ConnectionError("gone"), "ConnectionError"), (OutOfMemoryError("x"), "OOM"), (OSError("gone"), "OSError"),
        (StorageUnavailable("LOADING"), "Redis is away: LOADING"),
    ],
)  # fmt: skip
def test_redis_being_away_is_sat_out_and_told(error: Exception, word: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        door = Doorman(Taken(9, {}), error, NONE, NONE)
        door.rings = [ConnectionError("gone")]
        await door.listen()
        assert door.asked == [1, 5, 1, 1]
        assert door.times == [0, 0, 0.25, 0.5]
        assert len(door.bells) == 1
        seen = door.dispatcher.statistics()
        assert (seen.takes, seen.unavailable, seen.waiting) == (3, 2, 0)

    at_once(scene())
    assert caplog.messages == [f"no jobs: {word}", "no jobs: ConnectionError"]


def test_who_is_told_to_stop_at_the_bell_stops_at_once() -> None:
    async def scene() -> None:
        door = Doorman(NONE, NONE)
        listening = asyncio.create_task(door.dispatcher.listen())
        await asyncio.sleep(0.5)
        door.dispatcher.stop()
        await asyncio.wait({listening})
        assert (door.seconds, door.asked) == (0.5, [1])

    at_once(scene())


def test_who_is_told_to_stop_while_all_slots_are_used_stops_at_once(running: dict[str, asyncio.Event]) -> None:
    async def scene() -> None:
        door = Doorman(jobs("a"), NONE, slots=1)
        listening = asyncio.create_task(door.dispatcher.listen())
        await asyncio.sleep(0.5)
        door.dispatcher.stop()
        async with asyncio.timeout(1):
            await asyncio.wait({listening})
        assert listening.done()
        assert door.asked == [1]

    at_once(scene())


@pytest.mark.parametrize("got", [jobs("a", "b", left=3), Taken(3, {})])
def test_what_was_taken_while_it_was_told_to_stop_is_put_back(got: Taken, running: dict[str, asyncio.Event]) -> None:
    async def scene() -> None:
        door = Doorman(got)
        await door.listen()
        assert door.back == ([got.jobs] if got.jobs else [])
        assert (door.dispatcher.tasks, door.bells, door.asked) == ({}, [], [1])
        seen = door.dispatcher.statistics()
        assert (seen.put_back, seen.begun, seen.waiting) == (len(got.jobs), 0, 3)

    at_once(scene())


def test_who_is_told_to_stop_while_it_takes_puts_back_what_it_gets_and_is_not_cancelled_over_it() -> None:
    async def scene() -> None:
        door = Doorman(NONE, jobs("a"))
        door.rings = [(b"wake", [b"1"])]
        await door.listen()
        assert (door.asked, door.back) == ([1, 1], [{"a:1": 5.0}])

    at_once(scene())


def test_a_job_that_runs_here_is_not_begun_twice_and_one_that_ran_is_begun_again(
    running: dict[str, asyncio.Event],
) -> None:
    async def scene() -> None:
        door = Doorman(jobs("a"), jobs("a", "b"), jobs("a"), NONE)
        door.rings = [(b"wake", [b"1"]), None, None]
        listening = asyncio.create_task(door.listen())
        await asyncio.sleep(0.5)
        assert door.seen == ["in a", "in b"]
        assert door.dispatcher.statistics().running == 2
        running.pop("a").set()
        await asyncio.sleep(2)
        assert door.seen == ["in a", "in b", "out a", "in a"]
        await listening

    at_once(scene())


def test_a_job_that_is_cancelled_is_forgotten_without_a_word(
    running: dict[str, asyncio.Event], caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        errors: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        door = Doorman(jobs("a"), NONE)
        await door.listen()
        (task,) = door.dispatcher.tasks.values()
        task.cancel()
        await asyncio.wait({task})
        await asyncio.sleep(0)
        assert (door.dispatcher.tasks, door.dispatcher.statistics().running, errors) == ({}, 0, [])

    at_once(scene())
    assert caplog.messages == []


def test_arq_is_told_of_the_queue_and_to_leave_signals_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene() -> None:
        worker = Doorman(NONE).dispatcher
        (function,) = worker.functions.values()
        assert function.name == "generate"
        assert (worker.queue_name, worker.max_jobs) == (keys.QUEUE, 100)
        assert (worker.poll_delay_s, worker.health_check_interval, worker._handle_signals) == (2, HOURS, False)
        assert (worker.job_serializer, worker.job_deserializer) == (dumps_job, loads_job)

    at_once(scene())


@pytest.mark.parametrize("error", [None, ConnectionError("gone"), OutOfMemoryError("x"), OSError("gone")])
def test_arq_beats_and_asks_for_no_jobs_and_a_beat_that_fails_ends_nothing(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def beat(_: Worker) -> None:
        beats.append(1)
        if error is not None:
            raise error

    async def scene() -> None:
        door = Doorman(NONE)
        await door.dispatcher._poll_iteration()
        assert (beats, door.asked) == ([1], [])

    beats: list[int] = []
    monkeypatch.setattr(Worker, "heart_beat", beat)
    with caplog.at_level(logging.WARNING):
        at_once(scene())
    assert len(caplog.messages) == (error is not None)


@pytest.mark.parametrize("cleared", [False, True])
def test_a_job_is_run_by_its_name_and_cleared_away_unless_its_end_has_done_so(cleared: bool) -> None:
    async def scene() -> None:
        door = Doorman(jobs("a"), NONE)
        door.result = cleared
        await door.listen()
        await asyncio.sleep(0.1)
        assert (door.ran, door.seen) == (["a:1"], ["in a", "out a"])
        assert door.cleared == ([] if cleared else ["a:1"])
        assert (door.dispatcher.tasks, door.dispatcher.statistics().running) == ({}, 0)

    at_once(scene())


def test_a_job_that_fails_as_nobody_knows_is_told_of_and_cleared_away(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        door = Doorman(jobs("a"), NONE)
        door.result = ValueError("no")
        await door.listen()
        await asyncio.sleep(0.1)
        assert (door.cleared, door.dispatcher.tasks) == (["a:1"], {})

    at_once(scene())
    assert [(each.levelname, each.message) for each in caplog.records] == [
        ("ERROR", "a:1: failed in a way that has no name")
    ]


def test_a_job_that_is_cancelled_while_it_runs_is_cleared_away() -> None:
    async def scene() -> None:
        door = Doorman(jobs("a"), NONE)
        door.result = 1000
        await door.listen()
        await asyncio.sleep(0.1)
        (task,) = door.dispatcher.tasks.values()
        task.cancel()
        await asyncio.wait({task})
        assert (door.cleared, door.seen) == (["a:1"], ["in a", "out a"])

    at_once(scene())


def test_what_cannot_be_cleared_away_is_left_to_the_sweeper(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        door = Doorman(jobs("a"), NONE)
        door.away = True
        await door.listen()
        await asyncio.sleep(0.1)
        assert door.dispatcher.tasks == {}

    at_once(scene())
    assert caplog.messages == ["a:1: not cleared away: Redis is away: MISCONF"]
