"""Waits until Redis has on its disk what it has executed, or on a replica where it has no disk."""

import asyncio
import logging
from typing import Final

from broker.errors import StorageUnavailable
from broker.store.fsyncs import Cycle
from broker.store.logs import Logs

log = logging.getLogger("respool.disk")

_GATHER_SECONDS: Final = 0.05
_PAUSE_SECONDS: Final = 0.05
_TRY_SECONDS: Final = 5.0


class Disk:
    """One per process. Those who ask within 50 ms share one wait, so that at most twenty are under way in a second."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._gathering: asyncio.Task[None] | None = None
        self._waits: set[asyncio.Task[None]] = set()

    async def synced(self) -> None:
        """Returns when all that Redis had executed before the call is safe; waits as long as Redis cannot tell."""
        wait = self._gathering
        if wait is None:
            wait = self._gathering = asyncio.get_running_loop().create_task(self._wait())
            self._waits.add(wait)
            wait.add_done_callback(self._waits.discard)
        await asyncio.shield(wait)

    def cancel(self) -> None:
        """Ends the waits that are under way."""
        for wait in list(self._waits):
            wait.cancel()

    async def _wait(self) -> None:
        await asyncio.sleep(_GATHER_SECONDS)
        self._gathering = None
        cycle = Cycle()
        while True:
            if await self._try(cycle):
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _try(self, cycle: Cycle) -> bool:
        """Waits a few seconds. Redis must say that it is safe; where it says so of its disk, its fsyncs must bear it out."""
        try:
            async with asyncio.timeout(_TRY_SECONDS):
                first = await self._logs.fsyncs()
                if first is not None:
                    cycle.see(first)
                where = await self._logs.acknowledged()
                if where == "replica" or (where == "disk" and first and await self._complete(cycle, first.server)):
                    return True
        except (StorageUnavailable, TimeoutError):
            pass
        log.warning("Redis has not confirmed yet what it has written")
        return False

    async def _complete(self, cycle: Cycle, server: str) -> bool:
        """False if another server answers: what the first one said is not true of it."""
        while (sample := await self._logs.fsyncs()) is not None and sample.server == server:
            if cycle.see(sample):
                return True
            await asyncio.sleep(max(_PAUSE_SECONDS, cycle.wait_ms(sample) / 1000))
        return False
