"""A search of all records for what coordination has lost, after it has started anew: a restart or a failover may have cost it
its last second, and who accepted something then may be dead. Needed only where the logs have a server of their own."""

import asyncio
import logging

from arq.connections import ArqRedis

from broker import keys
from broker.errors import BrokerError
from broker.store.agreement import Agreement
from broker.store.client import storage_errors
from broker.store.cluster import servers_of
from broker.store.coordination import Coordination
from broker.store.logs import Logs
from broker.store.recovery import put_back

log = logging.getLogger("respool.rescan")

_EVERY_SECONDS = 5.0
_PAGE_KEYS = 500
_PACE_SECONDS = 0.05
"""Between two pages: 10,000 keys a second at most, about 3,000 generations."""
_RECORD = keys.record("gen_*")


class Rescan:
    """Run it as a task. The logs server remembers against which run of coordination its records were held last, so that it does
    not matter which workers lived when coordination restarted; one worker searches at a time."""

    def __init__(self, logs: Logs, coordination: Coordination, agreement: Agreement) -> None:
        self._logs = logs
        self._coordination = coordination
        self._agreement = agreement

    async def run(self) -> None:
        """Looks every 5 s, until cancelled."""
        while True:
            try:
                await self.look()
            except BrokerError as error:
                log.warning("no search of the records: %s", error)
            await asyncio.sleep(_EVERY_SECONDS)

    async def look(self) -> int | None:
        """Searches if coordination has started anew since the last search, and nobody else does; how many generations it put
        back, None if it did not search."""
        if self._agreement.apart or (run := await self._coordination.run_id()) is None:
            return None
        redis = self._logs.redis
        with storage_errors():
            if await redis.getex(keys.RECOVERED, px=keys.INDEX_MS) == run.encode():
                return None
            if not await redis.set(keys.RECOVERING, 1, nx=True, px=keys.RECOVERING_MS):
                return None
        try:
            found = await self._search()
            with storage_errors():
                await redis.set(keys.RECOVERED, run, px=keys.INDEX_MS)
        finally:
            with storage_errors():
                await redis.delete(keys.RECOVERING)
        log.info("coordination has started anew: %d generations were put back", found)
        return found

    async def _search(self) -> int:
        with storage_errors():
            servers = await servers_of(self._logs.redis)
        return sum([await self._search_in(server) for server in servers])

    async def _search_in(self, server: ArqRedis) -> int:
        cursor, found = 0, 0
        while True:
            with storage_errors():
                cursor, names = await server.scan(cursor, match=_RECORD, count=_PAGE_KEYS)
                await self._logs.redis.pexpire(keys.RECOVERING, keys.RECOVERING_MS)
            ids = [keys.generation(name.decode()) for name in names]
            found += len(await put_back(self._logs, self._coordination, ids))
            if cursor == 0:
                return found
            await asyncio.sleep(_PACE_SECONDS)
