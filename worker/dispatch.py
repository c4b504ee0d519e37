"""arq, made quick and sturdy.

arq polls, which puts half a second before the first token, and a shorter poll re-checks every running job each time. Here
the API pushes the job's id on a wake list behind its back; a worker with a free slot pops it and starts the job as arq
would. The poll stays, slow, for wake-ups that were lost. And Redis going away, which ends arq's worker,
is sat out.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix
from arq.typing import WorkerCoroutine
from arq.worker import Worker, func
from redis.exceptions import RedisError

from broker import keys
from broker.connect import AWAY
from broker.coordination import JOB, generation_of_job

log = logging.getLogger("respool.dispatch")

_POLL_SECONDS = 2.0
_POP_SECONDS = 1.0
_PAUSE_SECONDS = 0.25
_MOST_POPPED = 10
"""Of a burst, so that other workers get their share."""
_LONGEST_JOB_SECONDS = 4 * 3600
"""Longer than all attempts of the longest generation: arq's own timeout never strikes first."""


class Dispatcher(Worker):
    """An arq worker that is told of jobs. `wakes` is a connection of its own, as it blocks; `ahead` is entered with a
    generation's id when its job is ours, before arq looks up what is to be done."""

    def __init__(
        self, coroutine: WorkerCoroutine, redis: ArqRedis, wakes: ArqRedis, max_jobs: int,
        ahead: Callable[[str], AbstractContextManager[None]],
    ) -> None:  # fmt: skip
        super().__init__(
            [func(coroutine, name=JOB, keep_result=0, max_tries=1_000_000)],
            redis_pool=redis,
            queue_name=keys.QUEUE,
            handle_signals=False,
            max_jobs=max_jobs,
            keep_result=0,  # of jobs that arq gives up, too: it would take none of that name while their result is kept
            job_timeout=_LONGEST_JOB_SECONDS,
            poll_delay=_POLL_SECONDS,
            queue_read_limit=max(1000, max_jobs * 5),
            health_check_interval=3600,
            log_results=False,
            job_serializer=redis.job_serializer,
            job_deserializer=redis.job_deserializer,
        )
        self._wakes = wakes
        self._ahead = ahead
        self._slot_freed = asyncio.Event()

    def _release_sem_dec_counter_on_complete(self) -> None:
        super()._release_sem_dec_counter_on_complete()
        self._slot_freed.set()

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """As arq's, which asks Redis four times for each job: here they are locked in one trip, as many as there are free
        slots. Jobs that run right here are passed over."""
        self._reap()
        names = [name for job_id in job_ids if (name := job_id.decode()) not in self.tasks]
        while names and (free := self.max_jobs - self.job_counter) > 0:
            await self._take(names[:free])
            del names[:free]

    async def _take(self, names: list[str]) -> None:
        """Starts those of these jobs that wait in the queue and are nobody's. The slots are held while Redis is asked; what
        goes wrong gives them back, and the sweeper brings the jobs again."""
        for _ in names:
            await self.sem.acquire()
        self.job_counter += len(names)
        pipe = self.pool.pipeline(transaction=False)
        for name in names:
            pipe.set(in_progress_key_prefix + name, b"1", px=_LONGEST_JOB_SECONDS * 1000, nx=True)
            pipe.zscore(self.queue_name, name)
        try:
            replies = await pipe.execute()
        except BaseException:
            for _ in names:
                self._release_sem_dec_counter_on_complete()
            raise
        gone = []
        for name, locked, score in zip(names, replies[::2], replies[1::2], strict=True):
            # It may run here: started meanwhile, and then Redis lost its lock.
            ours = (running := self.tasks.get(name)) is not None and not running.done()
            if locked and score is not None and not ours:
                task = self.tasks[name] = self.loop.create_task(self.run_job(name, int(score)))
                task.add_done_callback(lambda _: self._release_sem_dec_counter_on_complete())
                continue
            self._release_sem_dec_counter_on_complete()
            if locked and not ours:
                gone.append(in_progress_key_prefix + name)
        if gone:
            await self.pool.delete(*gone)

    async def run_job(self, job_id: str, score: int) -> None:
        """As arq's, with a start."""
        with self._ahead(generation_of_job(job_id)):
            await super().run_job(job_id, score)

    async def _poll_iteration(self) -> None:
        self._reap()
        try:
            await super()._poll_iteration()
        except (*AWAY, RedisError) as error:  # a full Redis ends no worker either
            log.warning("no poll: %r", error)

    def _reap(self) -> None:
        """Forgets finished jobs. A job that failed in arq's own bookkeeping (Redis was away) ends no worker."""
        for job_id, task in list(self.tasks.items()):
            if task.done():
                del self.tasks[job_id]
                if not task.cancelled() and (error := task.exception()) is not None:
                    log.warning("%s: arq's bookkeeping failed: %r", job_id, error)

    async def finish_job(self, job_id: str, *arguments: Any) -> None:
        """As arq's. It runs shielded, so that what it raises would be nobody's if the worker ends meanwhile; and what it leaves
        behind, the sweeper clears away."""
        try:
            await super().finish_job(job_id, *arguments)
        except (*AWAY, RedisError) as error:
            log.warning("%s: arq's bookkeeping failed: %r", job_id, error)

    async def listen(self) -> None:
        """Pops wake-ups while there is a free slot, until cancelled."""
        while self.allow_pick_jobs:
            if (free := self.max_jobs - self.job_counter) <= 0:
                self._slot_freed.clear()
                await self._slot_freed.wait()
                continue
            try:
                popped = await self._wakes.execute_command(  # type: ignore[no-untyped-call]
                    "BLMPOP", _POP_SECONDS, 1, keys.WAKE, "RIGHT", "COUNT", min(free, _MOST_POPPED)
                )
                if popped is not None:
                    await self._start(popped[1])
            except (*AWAY, RedisError) as error:
                log.warning("no wake-ups: %r", error)
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _start(self, job_ids: list[bytes]) -> None:
        if not self.allow_pick_jobs:  # somebody else's now
            await self._wakes.execute_command("LPUSH", keys.WAKE, *job_ids)  # type: ignore[no-untyped-call]
            return
        await self.start_jobs(job_ids)
