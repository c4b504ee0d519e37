"""Nothing accepted is lost: `due` names every generation that has not ended, and when to look at it again. Each worker
takes what is overdue, and sees to it that it ends or is in somebody's hands."""

import asyncio
import logging

from broker.coordination import Coordination
from broker.errors import BrokerError
from broker.logs import Logs
from broker.record import TERMINAL

log = logging.getLogger("respool.sweeper")

_BATCH = 100
_LEASE_SLACK_MS = 50


class Sweeper:
    """`every` is seconds between looks, `again_ms` how long nobody else gets a generation that was looked at."""

    def __init__(self, logs: Logs, coordination: Coordination, every: float, again_ms: int) -> None:
        self._logs = logs
        self._coordination = coordination
        self._every = every
        self._again_ms = again_ms

    async def run(self) -> None:
        """Sweeps until cancelled."""
        while True:
            try:
                more = await self.sweep() == _BATCH
            except BrokerError as error:
                log.warning("no sweep: %s", error)
                more = False
            await asyncio.sleep(0 if more else self._every)

    async def sweep(self) -> int:
        """One round; how many generations it looked at."""
        ids = await self._coordination.overdue(_BATCH, self._again_ms)
        for id_ in ids:
            await self._see_to(id_)
        return len(ids)

    async def _see_to(self, id_: str) -> None:
        look = await self._logs.look(id_)
        if look is None:
            # Submitted but never made (its API process died in between, so no client was told), or expired.
            await self._coordination.unlist(id_)
        elif look.state in TERMINAL:
            await self._coordination.retire(id_, look)
        elif look.lease_ms:
            await self._coordination.look_again(id_, look.lease_ms + _LEASE_SLACK_MS)
        elif not await self._coordination.waits(id_, look.ordinal + 1):
            log.info("%s: attempt %d goes to the queue", id_, look.ordinal + 1)
            await self._coordination.drop_job(id_, look.ordinal + 1)
            await self._coordination.enqueue(id_, look.ordinal + 1, created_ms=look.created_ms)
            # It may have ended since the look, and then nobody would look again at what has just been put there.
            await self._coordination.look_again(id_, self._again_ms)
