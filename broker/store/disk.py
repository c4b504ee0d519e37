"""Waits until Redis has on its disk what it has executed, or on a replica where it has no disk."""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from arq.connections import ArqRedis

from broker.errors import StorageUnavailable
from broker.store.fsyncs import Cycle
from broker.store.logs import Logs

log = logging.getLogger("respool.disk")

_GATHER_SECONDS: Final = 0.05
_PAUSE_SECONDS: Final = 0.05
_TRY_SECONDS: Final = 5.0


class Disk:
    """One per process. Those who ask for the same server within 50 ms share one wait, so that of each at most twenty are under
    way in a second."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._gathering: dict[ArqRedis, asyncio.Task[bool]] = {}
        self._waits: set[asyncio.Task[bool]] = set()

    async def synced(self, id_: str) -> Logs | None:
        """The server that has this generation, when all that it had executed before the call is safe; waits as long as it
        cannot tell. None if the generation has gone to another server meanwhile. Raises StorageUnavailable if no server has
        it."""
        server = await self._logs.at(id_)
        wait = self._gathering.get(server.redis)
        if wait is None:
            wait = self._gathering[server.redis] = asyncio.get_running_loop().create_task(self._wait(server, id_))
            self._waits.add(wait)
            wait.add_done_callback(self._waits.discard)
        return server if await asyncio.shield(wait) else None

    def cancel(self) -> None:
        """Ends the waits that are under way."""
        for wait in list(self._waits):
            wait.cancel()

    async def _wait(self, server: Logs, id_: str) -> bool:
        await asyncio.sleep(_GATHER_SECONDS)
        del self._gathering[server.redis]
        cycle = Cycle()
        while not await self._try(server, cycle):
            if not await self._has(server, id_):
                return False
            await asyncio.sleep(_PAUSE_SECONDS)
        return True

    async def _has(self, server: Logs, id_: str) -> bool:
        """Whether the generation is where it was, as far as anybody knows."""
        with suppress(StorageUnavailable):
            return (await self._logs.at(id_)).redis is server.redis
        return True

    async def _try(self, server: Logs, cycle: Cycle) -> bool:
        """Waits a few seconds. Redis must say that it is safe; where it says so of its disk, its fsyncs must bear it out."""
        try:
            async with asyncio.timeout(_TRY_SECONDS):
                first = await server.fsyncs()
                if first is not None:
                    cycle.see(first)
                where = await server.acknowledged()
                if where == "replica" or (
                    where == "disk" and first and await self._complete(server, cycle, first.server)
                ):
                    return True
        except (StorageUnavailable, TimeoutError):
            pass
        log.warning("Redis has not confirmed yet what it has written")
        return False

    @staticmethod
    async def _complete(server: Logs, cycle: Cycle, run: str) -> bool:
        """False if another process answers: what the first one said is not true of it."""
        while (sample := await server.fsyncs()) is not None and sample.server == run:
            if cycle.see(sample):
                return True
            await asyncio.sleep(max(_PAUSE_SECONDS, cycle.wait_ms(sample) / 1000))
        return False
