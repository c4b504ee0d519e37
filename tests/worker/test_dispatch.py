"""What becomes of a job that fails, without a server."""

import asyncio
import gc
import logging
from typing import Any, cast

import pytest
from arq.worker import Worker
from redis.exceptions import ConnectionError

from broker.replies import Taken
from broker.store.agreement import Agreement
from broker.store.coordination import Coordination
from broker.store.queue import dumps_job, loads_job
from worker.dispatch import Dispatcher

JOB = "gen_0123456789abcdefghjkmnpqrs:0"


class Queue:
    """Gives out one job, again and again: one whose taking Redis has lost."""

    apart = False
    job_serializer = staticmethod(dumps_job)
    job_deserializer = staticmethod(loads_job)

    def __init__(self, times: int) -> None:
        self.redis = self
        self.left = times
        self.dispatcher: Dispatcher

    async def take(self, most: int, **_: object) -> Taken:
        await asyncio.sleep(0)
        self.left -= 1
        if not self.left:
            self.dispatcher.stop()
        return Taken(1, {JOB: 0.0})

    async def put_back(self, jobs: dict[str, float]) -> None:
        pass


def test_a_job_whose_bookkeeping_failed_is_told_in_a_line_each_time_and_frees_its_slot(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(worker: Worker, job_id: str, score: int) -> None:
        raise ConnectionError("Connection lost")

    async def nothing(ctx: dict[Any, Any], *arguments: Any, **more: Any) -> bool:
        raise AssertionError("the job itself is never reached")

    async def run() -> None:
        queue = Queue(times=4)
        anything = cast(Any, queue)
        dispatcher = Dispatcher(nothing, cast(Coordination, queue), cast(Agreement, queue), anything, 2, 1000)
        queue.dispatcher = dispatcher
        async with asyncio.timeout(5):
            await dispatcher.listen()
        await asyncio.sleep(0)
        assert (dispatcher.statistics().running, dispatcher.tasks) == (0, {})

    monkeypatch.setattr(Dispatcher, "run_job", lost)
    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
        gc.collect()
    assert [record.getMessage() for record in caplog.records] == [f"{JOB}: ConnectionError"] * 3
