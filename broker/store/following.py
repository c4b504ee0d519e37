"""Connections that lead to the primary, wherever that is: each looks where to connect, and none outlives a move.

A primary that was frozen, or cut off, and comes back does not know yet that another has its place. For some seconds it takes
writes that are lost with the rest of its data: so nobody must be connected to it.
"""

import asyncio
from typing import Any, Final

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as NoAnswer

from broker.refusals import word
from broker.store.address import Guided
from broker.store.connections import Plain, Secure
from broker.store.pool import Pool
from broker.store.sentinels import Place

_CONNECT_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.1
_PRIMARY: Final = b"master"


class _Following(Plain):
    """Connects to the primary alone, and drops what turns out to be none."""

    def __init__(self, *, address: Guided, **options: Any) -> None:
        super().__init__(**options)
        self._address = address
        self.place: Place | None = None

    async def connect(self) -> None:
        try:
            await super().connect()  # type: ignore[no-untyped-call]
        except ConnectionError as error:
            if isinstance(error.__cause__, RedisError):  # redis-py hides what `_connect` raises
                raise error.__cause__ from None
            raise

    async def _connect(self) -> None:
        """All of it, login and role too, as this is what is repeated."""
        place = self.place = await self._address.find()
        self.host, self.port = place.host, place.port
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await super()._connect()  # type: ignore[no-untyped-call]
                await super().on_connect()
                await self._check_role()
        except TimeoutError:
            raise NoAnswer(f"{self.host}:{self.port} does not answer") from None
        if self._address.known != place:
            raise ConnectionError("the primary has moved")

    async def on_connect(self) -> None:
        """`_connect` has done it."""

    async def _check_role(self) -> None:
        await self.send_command("ROLE", check_health=False)
        try:
            role = await self.read_response()
        except ResponseError as error:  # forbidden: then the first write tells
            if word(error) != "NOPERM":
                raise
            return
        if role[0] != _PRIMARY:
            raise ReadOnlyError("READONLY it is a replica")

    def abandon(self) -> None:
        """Ends it under whoever waits for its answer: that one is told that the connection is lost."""
        if self._writer is not None:
            self._writer.transport.abort()


class _SecureFollowing(_Following, Secure):
    """Over TLS."""


class FollowingPool(Pool):
    """Its connections go when the primary does. One task looks out for that, from the first connection until `disconnect`."""

    def __init__(self, *, address: Guided, **options: Any) -> None:
        connection_class = _SecureFollowing if address.secure else _Following
        super().__init__(connection_class=connection_class, address=address, **options)
        self._address = address
        self._watch: asyncio.Task[None] | None = None

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        if self._watch is None or self._watch.done():
            self._watch = asyncio.get_running_loop().create_task(self._follow())
        await super().ensure_connection(connection)

    async def disconnect(self, inuse_connections: bool = True) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            await asyncio.wait({watch}, timeout=_CONNECT_SECONDS)
        await super().disconnect(inuse_connections)

    async def _follow(self) -> None:
        while True:
            try:
                place = await self._address.find()
            except ConnectionError:
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            await self._leave_all_but(place)
            await self._address.left(place)
            await self._leave_all_but(None)

    async def _leave_all_but(self, place: Place | None) -> None:
        """Ends all connections that do not lead there."""
        busy, idle = (
            [each for each in connections if isinstance(each, _Following) and each.place != place]
            for connections in (self._in_use_connections, self._available_connections)
        )
        for connection in busy:
            connection.abandon()
        for connection in idle:
            await connection.disconnect(nowait=True)


__all__ = ["FollowingPool"]
