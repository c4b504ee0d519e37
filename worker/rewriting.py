"""Has Redis rewrite its append-only file, in which what was deleted stays until then: at least once per period, and soon
after an erasure, though not more often than that may be. Of many workers one asks, of each server one at a time.

Redis rewrites by itself when its file has doubled, which on a quiet server is never.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from arq.connections import ArqRedis
from redis.exceptions import RedisError, ResponseError

from broker.errors import BrokerError
from broker.refusals import word
from broker.store import erase_steps
from broker.store.client import storage_errors
from broker.store.cluster import servers_of

log = logging.getLogger("respool.rewriting")

SOON_SECONDS: Final = 3600.0
"""The shortest time between two rewrites of one server that erasures ask for: each costs a fork, and the disk its whole
data."""
_EVERY_SECONDS: Final = 60.0


class Rewriting:
    """Run it as a task. `period` is seconds between two rewrites, at most. `servers` gives a client of each server,
    coordination's first; what is noted is noted there."""

    def __init__(
        self, coordination: ArqRedis, servers: Callable[[], Awaitable[Sequence[ArqRedis]]], period: float,
        soon: float = SOON_SECONDS,
    ) -> None:  # fmt: skip
        self._coordination = coordination
        self._servers = servers
        self._period = period
        self._soon = min(soon, period)
        self._refused = False

    async def run(self) -> None:
        """Looks about once a minute, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS * random.uniform(0.5, 1.5))
            try:
                await self.look()
            except (BrokerError, RedisError, OSError) as error:
                log.debug("no append-only file was rewritten: %r", type(error).__name__)

    async def look(self) -> int:
        """How many servers were asked now. Raises StorageUnavailable and RedisError."""
        return sum([await self._see_to(server) for server in await self._servers()])

    async def _see_to(self, server: ArqRedis) -> bool:
        try:
            with storage_errors():
                pipe = server.pipeline(transaction=False)
                pipe.execute_command("INFO", "server", "persistence")
                (info,) = await pipe.execute()
            if not _writes_a_file(info) or _rewrites(info):
                return False
            if not await self._is_due(str(info.get("run_id", ""))):
                return False
            await server.execute_command("BGREWRITEAOF")  # type: ignore[no-untyped-call]
        except ResponseError as error:
            self._is_refused(word(error))
            return False
        log.info("Redis rewrites its append-only file")
        return True

    async def _is_due(self, run: str) -> bool:
        """Whether it is time, and nobody else asks."""
        call = erase_steps.rewrite_due(run, round(self._period * 1000), round(self._soon * 1000))
        return await call.run(self._coordination)

    def _is_refused(self, why: str) -> None:
        if not self._refused:
            log.warning("Redis does not let us rewrite its append-only file (%s): what was deleted stays in it", why)
        self._refused = True


def _writes_a_file(info: dict[str, Any]) -> bool:
    return bool(info.get("aof_enabled"))


def _rewrites(info: dict[str, Any]) -> bool:
    return bool(info.get("aof_rewrite_in_progress") or info.get("rdb_bgsave_in_progress") or info.get("loading"))


def servers_behind(coordination: ArqRedis, logs: ArqRedis) -> Callable[[], Awaitable[Sequence[ArqRedis]]]:
    """The servers of both roles. One that plays both is asked once a period all the same: it says which run of Redis it is."""

    async def servers() -> Sequence[ArqRedis]:
        with storage_errors():
            return [coordination, *await servers_of(logs)]

    return servers
