"""arq, made quick and sturdy.

arq polls, which puts half a second before the first token, and a shorter poll re-checks every running job each time. Here
the API pushes the job's id on a wake list behind its back; a worker with a free slot pops it and starts the job through
arq's own `start_jobs`. The poll stays, slow, for wake-ups that were lost. And Redis going away, which ends arq's worker,
is sat out.
"""

import asyncio
import logging

from arq.connections import ArqRedis
from arq.typing import WorkerCoroutine
from arq.worker import Worker, func
from redis.exceptions import RedisError, WatchError

from broker import keys
from broker.connect import AWAY
from broker.coordination import JOB

log = logging.getLogger("respool.dispatch")

_POLL_SECONDS = 2.0
_POP_SECONDS = 1.0
_PAUSE_SECONDS = 0.25
_LONGEST_JOB_SECONDS = 4 * 3600
"""Longer than all attempts of the longest generation: arq's own timeout never strikes first."""


class Dispatcher(Worker):
    """An arq worker that is told of jobs. `wakes` is a connection of its own, as it blocks."""

    def __init__(self, coroutine: WorkerCoroutine, redis: ArqRedis, wakes: ArqRedis, max_jobs: int) -> None:
        super().__init__(
            [func(coroutine, name=JOB, keep_result=0, max_tries=1_000_000)],
            redis_pool=redis,
            queue_name=keys.QUEUE,
            handle_signals=False,
            max_jobs=max_jobs,
            job_timeout=_LONGEST_JOB_SECONDS,
            poll_delay=_POLL_SECONDS,
            queue_read_limit=max(1000, max_jobs * 5),
            health_check_interval=3600,
            log_results=False,
            job_serializer=redis.job_serializer,
            job_deserializer=redis.job_deserializer,
        )
        self._wakes = wakes
        self._slot_freed = asyncio.Event()

    def _release_sem_dec_counter_on_complete(self) -> None:
        super()._release_sem_dec_counter_on_complete()
        self._slot_freed.set()

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """As arq's, without asking Redis about jobs that run right here, and one by one: a job that cannot be started because
        Redis goes away meanwhile gives back the slot that arq has counted for it. The sweeper brings it again."""
        for job_id in job_ids:
            if self.job_counter >= self.max_jobs:
                return
            if job_id.decode() in self.tasks:
                continue
            try:
                await super().start_jobs([job_id])
            except (*AWAY, WatchError) as error:  # a connection that is lost while arq watches a key is a WatchError
                self._release_sem_dec_counter_on_complete()
                log.warning("%s: not started: %r", job_id.decode(), error)

    async def _poll_iteration(self) -> None:
        self._reap()
        try:
            await super()._poll_iteration()
        except AWAY as error:
            log.warning("no poll: %r", error)

    def _reap(self) -> None:
        """Forgets finished jobs. A job that failed in arq's own bookkeeping (Redis was away) ends no worker."""
        for job_id, task in list(self.tasks.items()):
            if task.done():
                del self.tasks[job_id]
                if not task.cancelled() and (error := task.exception()) is not None:
                    log.warning("%s: arq's bookkeeping failed: %r", job_id, error)

    async def listen(self) -> None:
        """Pops wake-ups while there is a free slot, until cancelled."""
        while self.allow_pick_jobs:
            if self.job_counter >= self.max_jobs:
                self._slot_freed.clear()
                await self._slot_freed.wait()
                continue
            try:
                popped = await self._wakes.execute_command("BRPOP", keys.WAKE, _POP_SECONDS)  # type: ignore[no-untyped-call]
                if popped is not None:
                    await self._start(popped[1])
            except (*AWAY, RedisError) as error:
                log.warning("no wake-ups: %r", error)
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _start(self, job_id: bytes) -> None:
        if not self.allow_pick_jobs:
            await self._wakes.execute_command("LPUSH", keys.WAKE, job_id)  # type: ignore[no-untyped-call]  # somebody else's now
            return
        await self.start_jobs([job_id])
