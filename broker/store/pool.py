"""The pool of connections: who finds none free has a place in a line, and a full pool is no Redis that is away."""

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError, RedisError

from broker.refusals import CrowdedError


class Pool(ConnectionPool):
    """At most `max_connections`. Who finds none free stands in a line, which is served in its order: for `timeout` seconds at
    most, with `most_waiting` others at most. Raises CrowdedError where Redis answers others meanwhile, ConnectionError where
    it does not.

    Gives out the connections that live before those that must be made anew: a Redis that takes no new ones serves the
    old ones all the same."""

    def __init__(self, *, timeout: float, most_waiting: int, **options: Any) -> None:
        super().__init__(**options)
        self.timeout = timeout
        self.most_waiting = most_waiting
        self._line: deque[asyncio.Future[AbstractConnection]] = deque()
        self._answered_at = time.monotonic()  # nobody has waited in vain yet

    @property
    def waiting(self) -> int:
        """How many stand in the line."""
        return len(self._line)

    @property
    def served(self) -> bool:
        """Whether Redis has answered anybody of late."""
        return self._answered_at >= time.monotonic() - self.timeout

    async def get_connection(self, *_: Any, **__: Any) -> AbstractConnection:
        free = self.can_get_connection()  # then nobody waits
        connection: AbstractConnection = self.get_available_connection() if free else await self._turn()  # type: ignore[no-untyped-call]
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        """Hands it to who has waited longest."""
        if connection.is_connected:
            self._answered_at = time.monotonic()
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(connection)
                return
        await super().release(connection)
        if not connection.is_connected:
            self._available_connections.remove(connection)
            self._available_connections.insert(0, connection)  # the last one is given out first

    async def _turn(self) -> AbstractConnection:
        began = time.monotonic()
        if len(self._line) >= self.most_waiting:
            raise self._none_free(began - self.timeout)
        turn: asyncio.Future[AbstractConnection] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            async with asyncio.timeout(self.timeout):
                return await turn
        except BaseException as error:
            if not turn.done() or turn.cancelled():
                with suppress(ValueError):
                    self._line.remove(turn)
            else:
                await self.release(turn.result())  # it came just when it was wanted no more
            if isinstance(error, TimeoutError):
                raise self._none_free(began) from None
            raise

    def _none_free(self, since: float) -> RedisError:
        """What it means that none was free since then."""
        if self._answered_at >= since:
            return CrowdedError("all connections are in use")
        return ConnectionError("no connection came back")


def crowded(redis: Redis, by: int) -> bool:
    """Whether so many or more wait for a connection of this client while Redis answers others."""
    pool = redis.connection_pool
    return isinstance(pool, Pool) and pool.waiting >= by and pool.served


__all__ = ["Pool", "crowded"]
