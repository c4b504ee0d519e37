"""What the archivers have to do, in coordination: ended generations, by when their logs go to the archive, and objects, by when
it is looked whether anything in Redis still names them. An object is here before it is in the archive."""

from collections.abc import Sequence

from arq.connections import ArqRedis

from broker import keys
from broker.store import archive_steps
from broker.store.client import storage_errors
from broker.store.lua import step


class Archiving:
    """Holds no state but the connection. Every method may raise StorageUnavailable or StorageFull."""

    def __init__(self, redis: ArqRedis) -> None:
        self.redis = redis

    due = step(archive_steps.due)
    look_in = step(archive_steps.look_in)

    async def drop(self, names: Sequence[str]) -> None:
        """Nobody need look at these any more."""
        with storage_errors():
            await self.redis.zrem(keys.ARCHIVE, *names)

    async def begin_sweep(self) -> bool:
        """Whether it is time to sweep the archive, and nobody does; then it is this process's for SWEEPING_MS."""
        with storage_errors():
            return bool(await self.redis.set(keys.ARCHIVE_SWEPT, 1, nx=True, px=keys.SWEEPING_MS))

    async def go_on_sweeping(self) -> None:
        """It takes longer."""
        with storage_errors():
            await self.redis.set(keys.ARCHIVE_SWEPT, 1, px=keys.SWEEPING_MS)

    async def end_sweep(self) -> None:
        """The archive was swept; the next time is in SWEPT_MS."""
        with storage_errors():
            await self.redis.set(keys.ARCHIVE_SWEPT, 1, px=keys.SWEPT_MS)
