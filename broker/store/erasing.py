"""Erasing a generation: of all that any server of ours has of it nothing readable stays.

    1  coordination notes that it is to be erased: from here on a sweeper completes it, whoever dies
    2  a key service that keeps data keys forgets its own
    3  the logs: record, log and webhook go in one step; a tombstone stays, under which nothing is made again
    4  all APIs are told; lists, jobs and looks go
    5  the object in the archive goes, if there is one
    6  a sweeper does it all once more after some seconds: what a failover has brought back goes again, as does what others who
       were just at it have listed since

Each may be repeated.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from arq.connections import ArqRedis

from broker import keys
from broker.errors import ArchiveUnavailable, ExpiredGeneration, SealingUnavailable, UnknownGeneration
from broker.record import State
from broker.store import erase_steps
from broker.store.archive import Archive, name_of
from broker.store.client import storage_errors
from broker.store.coordination import Coordination
from broker.store.erase_steps import Erased
from broker.store.logs import Logs

log = logging.getLogger("respool.erasing")

_CARE_MS: Final = 10_000
"""More than an erasure takes: then a sweeper goes on with it."""
_ONCE_MORE_MS: Final = 15_000
"""More than a crash or a failover of Redis may lose, and than whoever had just read a record works with it."""
_AGAIN_MS: Final = 60_000
"""Between two tries to erase what the archive has."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """`was`: its state before; None if it had been erased before. `complete`: the archive has nothing of it either. `durable`:
    where Redis says that this will not come back; None if it does not say so."""

    id: str
    was: State | None
    complete: bool
    durable: Literal["disk", "replica"] | None = None


class Erasing:
    """Holds no state but the connections. `archive`: None where there is none. Methods may raise StorageUnavailable,
    StorageFull or, where a key service does not answer, SealingUnavailable: what was begun then a sweeper completes."""

    def __init__(self, logs: Logs, coordination: Coordination, archive: Archive | None) -> None:
        self._logs = logs
        self._coordination = coordination
        self._archive = archive

    @property
    def _redis(self) -> ArqRedis:
        return self._coordination.redis

    async def erase(self, id_: str, *, confirm: bool = True) -> Receipt:
        """May be repeated. `confirm`: waits for two seconds, at most, that it is durable. Raises UnknownGeneration,
        ExpiredGeneration, or SealingUnavailable: then a sweeper does it when the key service is back."""
        await erase_steps.look_in(id_, _CARE_MS).run(self._redis)
        erased = await self._erase(id_)
        if erased.why in ("unknown", "expired"):
            await self._drop(id_)
            raise UnknownGeneration if erased.why == "unknown" else ExpiredGeneration
        complete = await self._clean_up(id_, erased)
        durable = await (await self._logs.at(id_)).acknowledged() if confirm else None
        return Receipt(id_, erased.was, complete, durable)

    async def complete(self, limit: int) -> int:
        """Sees to erasures that are not complete, or were complete some seconds ago; how many these were. None of it must be
        done where the logs may be on another server."""
        ids = await erase_steps.due(limit, _AGAIN_MS).run(self._redis)
        for id_ in ids:
            try:
                erased = await self._erase(id_)
            except SealingUnavailable as error:
                log.warning("%s: it is not erased yet: %s", id_, error)
                continue
            if await self._clean_up(id_, erased) and erased.why != "erased":
                await self._drop(id_)
        return len(ids)

    async def told(self, after: int, limit: int) -> Sequence[tuple[str, int]]:
        """Which generations were erased of late, and their numbers, behind this number, in their order."""
        with storage_errors():
            rows = await self._redis.zrangebyscore(keys.ERASED, f"({after}", "+inf", 0, limit, withscores=True)
        return [(raw.decode(), int(score)) for raw, score in rows]

    async def _erase(self, id_: str) -> Erased:
        """A key service that keeps data keys is told first, as what it calls them by is in the record."""
        await self._logs.destroy_key(id_)
        return await erase_steps.erase(id_).run(self._logs.redis)

    async def _clean_up(self, id_: str, erased: Erased) -> bool:
        """All but the logs; whether nothing is left."""
        if erased.why != "again":
            await erase_steps.tell([id_]).run(self._redis)
        await self._coordination.unlist([id_])
        with storage_errors():
            pipe = self._redis.pipeline(transaction=False)
            for listed in (keys.WEBHOOKS, keys.ARCHIVE):
                pipe.zrem(listed, id_)
            await pipe.execute()
        complete = not erased.mark or await self._erase_object(id_, erased.mark)
        await erase_steps.look_in(id_, _ONCE_MORE_MS if complete else _AGAIN_MS).run(self._redis)
        return complete

    async def _erase_object(self, id_: str, mark: str) -> bool:
        name = name_of(id_, mark)
        try:
            if self._archive is None:
                raise ArchiveUnavailable("there is none here")
            await self._archive.erase([name])
        except ArchiveUnavailable as error:
            log.warning("%s: the archive has it yet: %s", id_, error)
            return False
        await erase_steps.erased_object(id_, mark).run(self._logs.redis)
        with storage_errors():
            await self._redis.zrem(keys.ARCHIVE, name)
        return True

    async def _drop(self, id_: str) -> None:
        """Nobody need look at it again."""
        with storage_errors():
            await self._redis.zrem(keys.ERASING, id_)
