"""Whether a Redis keeps what it is given: looked at when a process starts, and by /readyz."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

from arq.connections import ArqRedis

from broker import keys
from broker.errors import StorageForbidden, StorageFull, StorageRefused, StorageUnavailable, UnsafeStorage
from broker.settings import Trust
from broker.store.client import storage_errors
from broker.store.cluster import ClusterRedis, servers_of
from broker.store.following import FollowingPool

log = logging.getLogger("respool.connect")

_GUARD = "min_slaves_good_slaves"
"""INFO replication has it where both settings are above 0, and CONFIG may be forbidden."""
_START_SECONDS = 60.0
_START_PAUSE_SECONDS = 0.25


async def check_safe(redis: ArqRedis, trust: Trust) -> None:
    """Raises UnsafeStorage if this Redis would lose logs by itself: if it evicts; or, where that is to be checked, if it does
    not persist, or does not tell, as a managed one that forbids INFO; or if it is a cluster where one server is needed, or the
    reverse. Of a cluster each primary is asked. Raises StorageUnavailable too."""
    try:
        with storage_errors():
            servers = await servers_of(redis)
    except StorageUnavailable:
        if isinstance(redis, ClusterRedis) and redis.is_none:
            raise UnsafeStorage(
                "RESPOOL_LOGS_URL names a cluster, and Redis is none there: begin it with redis:// or rediss://"
            ) from None
        raise
    for server in servers:
        await _check(server, trust, of_cluster=isinstance(redis, ClusterRedis))


async def _check(redis: ArqRedis, trust: Trust, *, of_cluster: bool) -> None:
    told = {**await _info(redis, "memory"), **await _info(redis, "persistence"), **await _info(redis, "cluster")}
    if told.get("loading"):  # until it has read its file, a Redis says that it appends to none
        raise StorageUnavailable("LOADING")
    if told.get("cluster_enabled") == 1 and not of_cluster:
        raise UnsafeStorage(
            "Redis is a server of a cluster, which can have the logs alone: set RESPOOL_LOGS_URL to "
            "redis+cluster://host:port,… and RESPOOL_REDIS_URL to a server of its own"
        )
    policy = told.get("maxmemory_policy")
    if policy not in (None, "noeviction"):
        raise UnsafeStorage(f"Redis has maxmemory-policy {policy} and would evict live logs: set it to noeviction")
    if trust != "checked":
        return
    if policy is None or "aof_enabled" not in told:
        raise UnsafeStorage(
            "Redis does not tell whether it evicts and whether it persists: if it is sure to keep what it is given, "
            "set RESPOOL_STORAGE=trusted"
        )
    if told["aof_enabled"] == 0:
        raise UnsafeStorage(
            "Redis has appendonly no and would lose every generation when it stops: set it to yes, or RESPOOL_EPHEMERAL=1; "
            "or RESPOOL_STORAGE=trusted, if it keeps its data in another way"
        )


async def _info(redis: ArqRedis, section: str) -> dict[str, Any]:
    """What it tells; nothing where that is forbidden."""
    try:
        with storage_errors():
            told: dict[str, Any] = await redis.info(section)
    except (StorageForbidden, StorageRefused):
        return {}
    return told


async def check_cell(redis: ArqRedis, number: int) -> None:
    """Notes the number of the cell that this Redis is of. Raises UnsafeStorage if it is another's already: what it has could
    not be found by its ids. Raises StorageUnavailable."""
    with storage_errors():
        noted = await redis.getex(keys.CELL, px=keys.INDEX_MS)
    if noted is None:
        with suppress(StorageFull), storage_errors():
            await redis.set(keys.CELL, number, nx=True, px=keys.INDEX_MS)
    elif int(noted) != number:
        raise UnsafeStorage(
            f"Redis is of cell {int(noted)}, and RESPOOL_CELLS has it as cell {number}: a cell keeps its number. One server or "
            "pair that was used without RESPOOL_CELLS is cell 0"
        )


async def warn_unless_guarded(redis: ArqRedis) -> None:
    """Says so if a primary that has Sentinels would take writes that it has no replica for: when it is frozen or cut off, and
    another takes its place, these are lost. Raises StorageUnavailable."""
    if isinstance(redis.connection_pool, FollowingPool) and _GUARD not in await _info(redis, "replication"):
        log.warning(
            "Redis does not say that it has min-replicas-to-write and min-replicas-max-lag: set them, on all servers of these "
            "Sentinels, to 1 and some seconds, or a failover may lose writes that were acknowledged"
        )


async def reach(redis: ArqRedis, trust: Trust, cell: int = 0) -> None:
    """Waits at a process's start until Redis is there, for it may be starting too, and safe, and the cell's. Raises
    UnsafeStorage, or asyncio's TimeoutError after a minute."""
    async with asyncio.timeout(_START_SECONDS):
        while True:
            try:
                await check_safe(redis, trust)
                await check_cell(redis, cell)
                return await warn_unless_guarded(redis)
            except StorageUnavailable as error:
                log.warning("waiting for Redis: %s", error.why)
                await asyncio.sleep(_START_PAUSE_SECONDS)


async def check_writable(redis: ArqRedis) -> None:
    """Raises StorageUnavailable or StorageForbidden if this Redis takes no writes now. One that is full does: ends are still
    written, and what there is stays readable."""
    with suppress(StorageFull), storage_errors():
        await redis.set(keys.PROBE, 1, px=keys.PROBE_MS)


__all__ = ["check_cell", "check_safe", "check_writable", "reach", "warn_unless_guarded"]
