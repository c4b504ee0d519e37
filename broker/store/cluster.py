"""A client of a Redis Cluster that is used as one of a single server is: each command goes to the server that has its key,
over a bounded pool of that server's own.

redis-py's own cluster client does not do here: an error of one server closes its connections to all, a refused pipeline quotes
what it was sent (people's prompts), a full pool is an error, and it has no subscriptions (docs/decisions/0028).
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from arq.connections import ArqRedis
from redis.asyncio.client import Pipeline
from redis.crc import key_slot
from redis.exceptions import ConnectionError, RedisError, ResponseError

from broker.refusals import away, word
from broker.store.client import connect
from broker.store.queue import dumps_job, loads_job
from broker.store.topology import Topology, is_cluster

_AGAIN_SECONDS: Final = 1.0
"""For so long a command is repeated whose slot is on its way or whose server has just been replaced."""
_PAUSE_SECONDS: Final = 0.05
_RETRIES: Final = 1
"""Of one server, which gets over a dead connection; a server that has gone is not waited for, but another looked for."""
_BY_SCRIPT: Final = ("EVALSHA", "EVAL")
_KEYLESS: Final = ("INFO", "CONFIG GET", "TIME", "WAIT", "WAITAOF", "PING", "SCAN", "SCRIPT LOAD")

Command = tuple[tuple[Any, ...], Mapping[str, Any]]


class ClusterRedis(ArqRedis):
    """Every command names one slot; INFO and the like are asked of any server. `servers` are the clients of each alone."""

    def __init__(self, url: str, **options: Any) -> None:
        self._topology = Topology(url)
        self._options = options
        self._servers: dict[str, ArqRedis] = {}
        nowhere = connect("redis://nowhere", connections=1)  # what redis-py wants to have; nothing is sent over it
        super().__init__(pool_or_conn=nowhere.connection_pool, job_serializer=dumps_job, job_deserializer=loads_job)

    @property
    def is_none(self) -> bool:
        """Whether the servers that were asked say that they are no cluster."""
        return self._topology.is_none

    def _server(self, place: str) -> ArqRedis:
        if place not in self._servers:
            options = {"retries": _RETRIES, **self._options}
            self._servers[place] = connect(self._topology.url(place), **options)
        return self._servers[place]

    async def _know(self) -> None:
        """Raises ConnectionError if no server tells who has which slot."""
        if not self._topology.primaries:
            await self._topology.refresh()
        if not self._topology.primaries:
            raise ConnectionError("no server of the cluster tells who has which slot")

    async def servers(self) -> list[ArqRedis]:
        """Clients of all primaries that there are now: one that has left is in nobody's way. Raises ConnectionError."""
        await self._refresh()
        await self._know()
        return [self._server(place) for place in sorted(self._topology.primaries)]

    async def server_of(self, key: str) -> ArqRedis:
        """A client of the server that has this key now, and of no other. Raises ConnectionError."""
        await self._refresh()
        return self._server(self._place(key_slot(key.encode())))

    def _place(self, slot: int | None) -> str:
        if slot is None:
            return min(self._topology.primaries)
        if (place := self._topology.of(slot)) is None:
            raise ConnectionError("no server of the cluster has this slot")
        return place

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        (reply,) = await self._run([(args, options)], transaction=False)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        return _Pipeline(self, transaction)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        self._topology.close()
        for server in self._servers.values():
            await server.aclose(close_connection_pool=close_connection_pool)
        await super().aclose(close_connection_pool=close_connection_pool)

    # -- running

    async def _run(self, commands: list[Command], *, transaction: bool) -> list[Any]:
        """The reply to each, errors too, in order. Each server's part is one trip, and none waits for another's."""
        slots = [_slot(args) for args, _ in commands]
        replies: list[Any] = [None] * len(commands)
        left, end = list(range(len(commands))), time.monotonic() + _AGAIN_SECONDS
        await self._know()
        while left:
            parts: dict[str, list[int]] = defaultdict(list)
            for at in left:
                parts[self._place(slots[at])].append(at)

            async def part(place: str, asked: list[int]) -> None:
                found = await self._try(place, [commands[at] for at in asked], transaction=transaction)
                for at, reply in zip(asked, found, strict=True):
                    replies[at] = reply

            await asyncio.gather(*(part(place, asked) for place, asked in parts.items()))
            left = [at for at in left if _elsewhere(replies[at])]
            if not left or time.monotonic() >= end:
                break
            await self._follow(commands, replies, left)
            left = [at for at in left if _elsewhere(replies[at])]
            if left:
                await asyncio.sleep(_PAUSE_SECONDS)
                await self._refresh()
        return replies

    async def _try(self, place: str, commands: list[Command], *, transaction: bool) -> list[Any]:
        """What one server replies; if it cannot be reached, that is the reply to each."""
        pipe = self._server(place).pipeline(transaction=transaction)
        for args, options in commands:
            pipe.execute_command(*args, **options)
        try:
            return await pipe.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            return [error] * len(commands)

    async def _follow(self, commands: list[Command], replies: list[Any], left: list[int]) -> None:
        """While a slot is on its way, what has left already is where the reply says."""
        for at in left:
            if isinstance(replies[at], ResponseError) and word(replies[at]) == "ASK":
                place = str(replies[at]).split()[-1]
                _, replies[at] = await self._try(place, [(("ASKING",), {}), commands[at]], transaction=False)

    async def _refresh(self) -> None:
        await self._topology.refresh()
        for place in self._servers.keys() - self._topology.primaries:
            if (server := self._servers.pop(place, None)) is not None:  # nobody else has closed it meanwhile
                await server.aclose(close_connection_pool=True)


class _Pipeline(Pipeline):
    """Its commands may be of many slots, those of a transaction of one."""

    def __init__(self, cluster: ClusterRedis, transaction: bool) -> None:
        super().__init__(cluster.connection_pool, cluster.response_callbacks, transaction, None)
        self._cluster = cluster

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        commands, self.command_stack = list(self.command_stack), []
        replies = await self._cluster._run(commands, transaction=bool(self.is_transaction))
        for reply in replies:
            if isinstance(reply, Exception) and (raise_on_error or not isinstance(reply, ResponseError)):
                raise reply
        return replies


def _slot(args: tuple[Any, ...]) -> int | None:
    """The slot of a command's key, None for one without."""
    name = str(args[0]).upper()
    if name in _KEYLESS or len(args) == 1:
        return None
    key = args[3] if name in _BY_SCRIPT else args[1]
    return key_slot(key if isinstance(key, bytes) else str(key).encode())


def _elsewhere(reply: object) -> bool:
    """Whether another server may do it, or this one soon."""
    return isinstance(reply, ConnectionError | OSError) or (
        isinstance(reply, ResponseError) and away(reply) in ("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "READONLY")
    )


def connect_logs(url: str, **options: Any) -> ArqRedis:
    """The client of the role that may be a cluster; else as `connect`."""
    return ClusterRedis(url, **options) if is_cluster(url) else connect(url, **options)


async def servers_of(redis: ArqRedis) -> list[ArqRedis]:
    """Clients of each server that this client's keys are on. Raises ConnectionError."""
    return await redis.servers() if isinstance(redis, ClusterRedis) else [redis]
