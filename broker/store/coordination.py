"""The coordination role: accepting requests once, `due`, the queue, indexes, heartbeats.

arq's queue is how a worker learns quickly of work; `due` is what guarantees that somebody does. Indexes are hints: a
reader of one looks at the records and believes these.

Every method may raise StorageUnavailable or StorageFull (see broker.store.client).
"""

from collections.abc import Iterable, Mapping, Sequence

from arq.connections import ArqRedis
from redis.asyncio.client import Pipeline

from broker import keys
from broker.errors import IdempotencyMismatch, LimitReached, QueueFull, StorageForbidden, StorageRefused
from broker.keyed import same
from broker.limits import NO_DEMAND, Demand
from broker.record import State
from broker.replies import Accepted, Full, Limited, Look, Mismatch, Place
from broker.store import archive_steps, coordination_steps, queue, webhook_steps
from broker.store.client import storage_errors
from broker.store.lua import step
from broker.store.queue import Job
from broker.tags import NO_TAGS, Tags


class Coordination:
    """Holds no state but the connection. `archive_after_ms`: when logs go to the archive; None where there is none."""

    def __init__(self, redis: ArqRedis, archive_after_ms: int | None = None) -> None:
        self.redis = redis
        self.archive_after_ms = archive_after_ms

    async def ready(self) -> None:
        """Raises StorageUnavailable if there is no connection to Redis to be had."""
        pool = self.redis.connection_pool
        with storage_errors():
            await pool.release(await pool.get_connection())

    # -- submitting

    async def submit(
        self, id_: str, idempotency_key: str | None, fingerprint: str, first_due_ms: int, tags: Tags = NO_TAGS,
        owner: str = "", most_waiting: int | None = None, demand: Demand = NO_DEMAND,
    ) -> Accepted:  # fmt: skip
        """Reserves the id: from now on `due` holds it. May be repeated. Raises IdempotencyMismatch, QueueFull, LimitReached."""
        call = coordination_steps.submit(
            id_, idempotency_key, fingerprint, first_due_ms, tags, owner, most_waiting, demand
        )
        accepted = await call.run(self.redis)
        if isinstance(accepted, Full):
            raise QueueFull
        if isinstance(accepted, Limited):
            raise LimitReached(accepted.which, accepted.wait_ms)
        if isinstance(accepted, Mismatch):
            raise IdempotencyMismatch
        return accepted

    async def knows(self, idempotency_key: str) -> bool:
        """Whether the key has made a generation in the last 24 hours."""
        with storage_errors():
            return bool(await self.redis.exists(coordination_steps.idempotency(idempotency_key)))

    async def made_by(self, idempotency_key: str, fingerprint: str) -> str | None:
        """The generation that this key has made, None if it has made none. Raises IdempotencyMismatch."""
        with storage_errors():
            before = await self.redis.get(coordination_steps.idempotency(idempotency_key))
        if before is None:
            return None
        id_, _, made_for = before.decode().partition(" ")
        if not same(made_for, fingerprint):
            raise IdempotencyMismatch
        return str(id_)

    async def enqueue(
        self, id_: str, ordinal: int, *, created_ms: int | None = None, place_ms: int | None = None, owner: str = ""
    ) -> None:
        """Puts the job for attempt number `ordinal` into arq's queue, unless it waits there, and wakes a worker; removes
        those of earlier attempts. Its place is that of its submit, however often it is enqueued; `created_ms` tells it where
        the lists have forgotten it, `place_ms` where it has another."""
        if ordinal == 1:  # there are no earlier ones
            call = coordination_steps.enqueue(id_, ordinal, created_ms=created_ms, place_ms=place_ms, owner=owner)
            return await call.run(self.redis)
        with storage_errors():
            pipe = self.redis.pipeline(transaction=True)
            _queue_job(pipe, Job(id_, ordinal, owner), created_ms, place_ms)
            await pipe.execute()
        return None

    # -- taking

    take = step(coordination_steps.take)

    async def clear(self, name: str) -> None:
        """Removes a job that was taken, and its lock."""
        with storage_errors():
            await self.redis.delete(*queue.traces(name))

    async def put_back(self, jobs: dict[str, float]) -> None:
        """Returns jobs that were taken to their places in their lines, and wakes another worker."""
        await coordination_steps.give_back(jobs).run(self.redis)

    standing = step(coordination_steps.standing)

    # -- looking after

    overdue = step(coordination_steps.overdue)
    resume = step(coordination_steps.resume)

    async def look_again(self, in_ms: Mapping[str, int]) -> None:
        """Sets when somebody must look at generations, by Redis's clock."""
        if in_ms:
            await coordination_steps.look_again(in_ms).run(self.redis)

    async def postpone(self, starts_ms: Mapping[str, int]) -> None:
        """Has generations looked at when they may start, by Redis's clock, and not before."""
        if starts_ms:
            await coordination_steps.postpone(starts_ms).run(self.redis)

    async def waiting(self, looks: Mapping[str, Look]) -> set[str]:
        """Of which of these generations the job of the next attempt is where a worker will find it: in the queue, and in
        nobody's hands."""
        with storage_errors():
            pipe = self.redis.pipeline(transaction=False)
            queue.look(pipe, (_next(id_, look).name for id_, look in looks.items()))
            replies = iter(await pipe.execute())
        rows = zip(looks, replies, replies, replies, strict=True)
        return {id_ for id_, *reply in rows if queue.waits(*reply)}

    async def enqueue_lost(self, looks: Mapping[str, Look]) -> None:
        """Enqueues the next attempts of generations whose jobs arq has lost, and removes every trace of these."""
        with storage_errors():
            pipe = self.redis.pipeline(transaction=True)
            for id_, look in looks.items():
                queue.drop(pipe, _next(id_, look).name)
                _queue_job(pipe, _next(id_, look), look.created_ms, look.place_ms or None)
                if look.state == "queued":  # whoever took it has listed it as running
                    _move(pipe, id_, look.state, look.created_ms, owner=look.owner)
            await pipe.execute()

    # -- recovering

    async def run_id(self) -> str | None:
        """A name that the server has until it ends, and no other, nor it after a restart; None if it does not tell."""
        try:
            with storage_errors():
                info = await self.redis.info("server")
        except (StorageForbidden, StorageRefused):
            return None
        run = info.get("run_id")
        return None if run is None else str(run)

    async def without_look(self, ids: Sequence[str]) -> list[str]:
        """Those of these generations that nobody will look at: neither soon nor when they may start."""
        if not ids:
            return []
        with storage_errors():
            pipe = self.redis.pipeline(transaction=False)
            for looks in (keys.DUE, keys.STARTING):
                pipe.zmscore(looks, list(ids))
            due, starting = await pipe.execute()
        return [id_ for id_, *looks in zip(ids, due, starting, strict=True) if looks == [None, None]]

    async def list_again(self, lost: Mapping[str, Look], tags: Mapping[str, Tags]) -> None:
        """Lists generations that are on no list any more, in the order of their submits and under the tags that some have, and
        has a sweeper look at them at once. The look comes last, for by that it is seen what was lost."""
        with storage_errors():
            pipe = self.redis.pipeline(transaction=False)
            for id_, look in lost.items():
                _move(pipe, id_, look.state, look.created_ms, tags.get(id_, NO_TAGS), look.owner)
                pipe.zadd(keys.DUE, {id_: 0}, nx=True)
            pipe.pexpire(keys.DUE, keys.INDEX_MS)
            await pipe.execute()

    # -- indexes

    async def move(self, id_: str, state: State, created_ms: int, tags: Tags = NO_TAGS, owner: str = "") -> None:
        """Lists the generation under `state` and no other, and under its tags."""
        with storage_errors():
            pipe = self.redis.pipeline(transaction=False)
            _move(pipe, id_, state, created_ms, tags, owner)
            await pipe.execute()

    async def retire(self, ended: Mapping[str, Look]) -> None:
        """Lists up to 100 ended generations under their final states, removes what is left of their jobs, and lets a sweeper
        look again no sooner than when they have expired, to take them off the lists. But Redis may take a fresh end back, in
        this very moment perhaps: one is looked at again soon, and filed for good when it has stood."""
        await self.settle(ended)
        await self.archive(ended)
        await self.tell([id_ for id_, look in ended.items() if look.hooked])
        await coordination_steps.file(ended).run(self.redis)

    async def settle(self, ended: Mapping[str, Look]) -> None:
        """Charges tenants what these ended generations have cost. Whoever files an end does that first, as `archive`."""
        if any(look.cost is not None for look in ended.values()):
            await coordination_steps.settle(ended).run(self.redis)

    async def tell(self, ids: Sequence[str]) -> None:
        """Has ends told by their webhooks that nobody sees to yet. Whoever files an end, or unlists what has expired, does that
        first, as `archive`."""
        if ids:
            await webhook_steps.add(ids, anew=False).run(self.redis)

    async def archive(self, ended: Mapping[str, Look]) -> None:
        """Has ended generations archived when their time comes. Whoever files an end does that first: what is filed nobody
        looks at again before it has expired."""
        if self.archive_after_ms is not None:
            in_ms = {id_: max(0, self.archive_after_ms - look.ended_ms) for id_, look in ended.items()}
            await archive_steps.look_in(in_ms).run(self.redis)

    tagged = step(coordination_steps.tagged)

    async def running(self, limit: int) -> list[str]:
        """Up to `limit` of everybody's generations that were taken and have not ended, the oldest submits first."""
        with storage_errors():
            found: list[bytes] = await self.redis.zrange(keys.RUNNING, 0, limit - 1)
        return [raw.decode() for raw in found]

    async def listed(self, index: str, before: Place | None, limit: int, owner: str = "") -> list[Place]:
        """Up to `limit` of this owner's (µs of submit, id), newest first, behind `before`."""
        top: str = "+inf" if before is None else str(before[0])
        with storage_errors():
            # Two submits may share a microsecond; a few more than asked for let those be skipped that come before the cursor.
            list_ = keys.index(index, owner)
            rows = await self.redis.zrevrangebyscore(list_, top, "-inf", 0, limit + 8, withscores=True)
        found = [(int(score), raw.decode()) for raw, score in rows]
        return [row for row in found if before is None or row < before][:limit]

    async def hold_back(self, id_: str, created_ms: int, owner: str, ms: int) -> None:
        """Lists a generation as queued that waits for its upstream in nobody's hands; a sweeper looks at it after `ms`."""
        with storage_errors():
            pipe = self.redis.pipeline(transaction=False)
            _move(pipe, id_, "queued", created_ms, owner=owner)
            coordination_steps.hold_back(id_, ms).queue(pipe)
            await pipe.execute()

    async def held_back(self, ids: Sequence[str]) -> set[str]:
        """Which of these wait for their upstream in nobody's hands, or did a moment ago."""
        if not ids:
            return set()
        with storage_errors():
            scores = await self.redis.zmscore(keys.HELD, list(ids))
        return {id_ for id_, score in zip(ids, scores, strict=True) if score is not None}

    async def ranks(self, of: Iterable[tuple[str, str]]) -> list[int | None]:
        """How many jobs of the same owner are before that of each (generation, owner); None for one that does not wait."""
        with storage_errors():
            pipe = self.redis.pipeline(transaction=False)
            for id_, owner in of:
                pipe.zrank(keys.queue(owner), Job(id_, 1, owner).name)
            ranks: list[int | None] = await pipe.execute()
        return ranks

    async def unlist(self, ids: Sequence[str], owner: str = "") -> None:
        """Takes up to 100 generations that have expired, or that Redis has lost, out of the queue, of all indexes and of `due`.
        `owner`: whose they are, if coordination has not noted it."""
        if ids:
            await coordination_steps.unlist(ids, owner).run(self.redis)

    # -- workers

    beat = step(coordination_steps.beat)

    async def alive(self, worker: str) -> bool:
        with storage_errors():
            return bool(await self.redis.exists(keys.worker(worker)))


def _next(id_: str, look: Look) -> Job:
    return Job(id_, look.ordinal + 1, look.owner)


def _queue_job(pipe: Pipeline, job: Job, created_ms: int | None, place_ms: int | None) -> None:
    call = coordination_steps.enqueue(job.id, job.ordinal, created_ms=created_ms, place_ms=place_ms, owner=job.owner)
    call.queue(pipe)
    if earlier := range(1, job.ordinal)[-queue.MOST_JOBS :]:
        queue.drop(pipe, *(job._replace(ordinal=each).name for each in earlier))


def _move(pipe: Pipeline, id_: str, state: State, created_ms: int, tags: Tags = NO_TAGS, owner: str = "") -> None:
    coordination_steps.move(id_, state, created_ms, owner).queue(pipe)
    if tags:
        coordination_steps.tag(id_, tags, created_ms, owner).queue(pipe)
