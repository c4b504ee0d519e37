"""arq, made quick and sturdy.

arq polls, which puts half a second before the first token, and a shorter poll re-checks every running job each time. Here
whoever queues a job also pushes onto a wake list, a doorbell that has no order and may be lost: a worker with a free slot
that hears it takes the job whose turn it is, whichever rang, and goes on until its slots or the queue are used up. A
slot that gets free takes the next job without a bell, however long that has waited. Of a burst it takes only so many as it can
start at a time: the others keep their places in the queue, for any worker. And Redis going away, which ends arq's worker, is
sat out.
"""

import asyncio
import logging
from dataclasses import dataclass
from functools import partial

from arq.connections import ArqRedis
from arq.typing import WorkerCoroutine
from arq.worker import Worker, func
from redis.exceptions import RedisError

from broker import keys
from broker.errors import BrokerError
from broker.refusals import word
from broker.replies import Over
from broker.store.agreement import Agreement
from broker.store.coordination import Coordination
from broker.store.queue import JOB
from broker.waiting import ALL_EVEN, TenantShares

log = logging.getLogger("respool.dispatch")

_POLL_SECONDS = 2.0
_BELL_SECONDS = 1.0
"""After so long without a bell the queue is asked all the same: a bell may be lost."""
_PAUSE_SECONDS = 0.25
_MOST_TAKEN = 10
"""Of a burst, so that other workers get their share."""
_MOST_STARTING = 32
"""Jobs whose claims are under way: half as many as there are connections, so that each has one at once."""
_LONGEST_JOB_SECONDS = 4 * 3600
"""How long a job is locked: longer than all attempts of the longest generation."""


@dataclass(frozen=True, slots=True)
class DispatcherStatistics:
    """A dispatcher's slots and jobs now, and what it has done since its process began."""

    slots: int
    running: int
    """Slots in use."""
    starting: int
    """Those of them whose generations are not claimed yet."""
    waiting: int
    """Jobs left that any worker may take, when it was asked last; 100 if there were more."""
    takes: int
    """Times that the queue was asked and answered."""
    begun: int
    """Jobs begun here."""
    put_back: int
    """Jobs that came when nothing more was taken, and went back."""
    unavailable: int
    """Times that Redis was waited for."""


class Dispatcher(Worker):
    """An arq worker that is told of jobs. `coroutine` is given a job's name and returns whether the end of the generation has
    cleared its job away. `wakes` is a connection of its own, as it blocks; `again_ms` after a job is ours a sweeper looks
    whether anything came of it; `shares`: what each tenant gets of the slots."""

    def __init__(
        self, coroutine: WorkerCoroutine, coordination: Coordination, agreement: Agreement, wakes: ArqRedis,
        max_jobs: int, again_ms: int, shares: TenantShares = ALL_EVEN,
    ) -> None:  # fmt: skip
        super().__init__(
            [func(coroutine, name=JOB)],
            redis_pool=coordination.redis,
            queue_name=keys.QUEUE,
            handle_signals=False,
            max_jobs=max_jobs,
            poll_delay=_POLL_SECONDS,
            health_check_interval=3600,
            job_serializer=coordination.redis.job_serializer,
            job_deserializer=coordination.redis.job_deserializer,
        )
        self._coordination = coordination
        self._agreement = agreement
        self._wakes = wakes
        self._again_ms = again_ms
        self._shares = shares
        self._jobs_over, self._held_seconds = 0, 0.0
        self._starting: set[str] = set()
        self._room_made = asyncio.Event()
        self._at_the_bell: asyncio.Task[None] | None = None
        self._waiting = self._takes = self._begun = self._put_back = self._unavailable = 0

    @property
    def free(self) -> int:
        """How many more jobs may be begun now."""
        return min(self.max_jobs - self.job_counter, _MOST_STARTING - len(self._starting))

    def statistics(self) -> DispatcherStatistics:
        return DispatcherStatistics(
            slots=self.max_jobs,
            running=self.job_counter,
            starting=len(self._starting),
            waiting=self._waiting,
            takes=self._takes,
            begun=self._begun,
            put_back=self._put_back,
            unavailable=self._unavailable,
        )

    def started(self, name: str) -> None:
        """To be called when it is decided whether the job's generation is ours."""
        self._starting.discard(name)
        self._room_made.set()

    # -- taking jobs

    async def listen(self) -> None:
        """Takes jobs while there is room for one, until `stop`; none whose records are on another server."""
        left = 1  # not known: what waits may have waited since before there was a worker
        while self.allow_pick_jobs:
            try:
                if self._agreement.apart:
                    await asyncio.sleep(_PAUSE_SECONDS)
                    left = 1
                elif self.free <= 0:
                    self._room_made.clear()
                    await self._room_made.wait()
                    left = max(left, 1)
                else:
                    # Half of what waits, so that others get their share.
                    most = (left + 1) // 2 or await self._bell()
                    left = await self._take(min(most, self.free, _MOST_TAKEN))
            except (RedisError, OSError, BrokerError) as error:
                self._unavailable += 1
                log.warning("no jobs: %s", error if isinstance(error, BrokerError) else word(error))
                left = 1
                await asyncio.sleep(_PAUSE_SECONDS)

    def stop(self) -> None:
        """Takes nothing more. `listen` returns when what it is about to get has been put back."""
        self.allow_pick_jobs = False
        self._room_made.set()
        if self._at_the_bell is not None:
            self._at_the_bell.cancel()

    async def _bell(self) -> int:
        """Waits for the bell; how many jobs it has rung for, 1 if it was silent for long."""
        self._at_the_bell = asyncio.current_task()
        try:
            rung = await self._wakes.execute_command(  # type: ignore[no-untyped-call]
                "BLMPOP", _BELL_SECONDS, 1, keys.WAKE, "RIGHT", "COUNT", min(self.free, _MOST_TAKEN)
            )
        finally:
            self._at_the_bell = None
        return 1 if rung is None else len(rung[1])

    async def _take(self, most: int) -> int:
        """Starts up to `most` jobs; how many wait still."""
        over = Over(self._jobs_over, round(self._held_seconds * 1000))
        taken = await self._coordination.take(
            most, lock_ms=_LONGEST_JOB_SECONDS * 1000, again_ms=self._again_ms, shares=self._shares, over=over
        )
        self._jobs_over -= over.jobs
        self._held_seconds -= over.held_ms / 1000
        self._takes += 1
        self._waiting = taken.left
        if not self.allow_pick_jobs:  # somebody else's now
            if taken.jobs:
                await self._coordination.put_back(taken.jobs)
                self._put_back += len(taken.jobs)
            return 0
        for name, place in taken.jobs.items():
            # One that runs here was in the queue again because Redis has lost its latest seconds.
            if (running := self.tasks.get(name)) is None or running.done():
                await self._start(name, int(place))
        return taken.left

    async def _start(self, name: str, place: int) -> None:
        await self.sem.acquire()
        self.job_counter += 1
        self._begun += 1
        self._starting.add(name)
        task = self.tasks[name] = self.loop.create_task(self.run_job(name, place))
        task.add_done_callback(partial(self._over, name, self.loop.time()))

    def _over(self, name: str, since: float, task: asyncio.Task[None]) -> None:
        """Forgets a finished job at once. One that failed in arq's own bookkeeping (Redis was away) ends no worker."""
        self._jobs_over += 1
        self._held_seconds += self.loop.time() - since
        self._release_sem_dec_counter_on_complete()
        self.started(name)
        if self.tasks.get(name) is task:
            del self.tasks[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("%s: %s", name, word(error))

    async def run_job(self, job_id: str, score: int) -> None:
        """Instead of arq's, which asks Redis for what the job's name says and counts its tries there: `due` sees to that a job
        is run again. What is left of the job is cleared away, unless the end of its generation has done so."""
        cleared = False
        try:
            cleared = await self.functions[JOB].coroutine(self.ctx, job_id)
            self.jobs_complete += 1
        except Exception:
            self.jobs_failed += 1
            log.exception("%s: failed in a way that has no name", job_id)
        finally:
            if not cleared:
                await asyncio.shield(self._clear(job_id))

    async def _clear(self, job_id: str) -> None:
        """It runs shielded, so that what it raises would be nobody's if the worker ends meanwhile; and what it leaves behind,
        the sweeper clears away."""
        try:
            await self._coordination.clear(job_id)
        except BrokerError as error:
            log.warning("%s: not cleared away: %s", job_id, error)

    # -- arq's bookkeeping

    async def _poll_iteration(self) -> None:
        """Instead of arq's, which asks the queue too."""
        try:
            await self.heart_beat()
        except (RedisError, OSError) as error:  # a full Redis ends no worker either
            log.warning("no heartbeat of arq's: %s", word(error))
