"""One connection to Redis: redis-py's, where it would end a process or forget a cancel."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from redis._parsers.hiredis import NOT_ENOUGH_DATA, _AsyncHiredisParser
from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError, ReadOnlyError, RedisError

_SERIALIZER: Final = HiredisRespSerializer()


class Sturdy(AbstractConnection):
    """uvloop answers a write to a connection whose end it has just seen with RuntimeError. redis-py knows only OSError for
    that, and so the process that met it would end. And it sends within `asyncio.wait_for`, which before Python 3.12 forgets a
    cancel that comes just when it is done: a task that asks Redis again and again would go on for ever."""

    def pack_command(self, *args: Any) -> list[bytes]:
        """By hiredis, as redis-py's clients without asyncio do: a command of twenty words takes an eighth of the time. Raises
        DataError for what is no text, bytes or number."""
        packed: list[bytes] = _SERIALIZER.pack(*args)
        return packed

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        task = asyncio.current_task()
        cancels = task.cancelling() if task is not None else 0
        await super().send_packed_command(command, check_health)
        if task is not None and task.cancelling() > cancels:
            await self.disconnect(nowait=True)  # its answer is not read
            raise asyncio.CancelledError

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        """A replica was the primary once: the next connection leads to the new one, if its address, or its name, does. For a
        reply that has come already, as those of a pipeline do together, no timer is set."""
        try:
            reply = self._at_hand()
            if reply is NOT_ENOUGH_DATA:
                return await super().read_response(*arguments, **options)
            if isinstance(reply, ConnectionError):  # so redis-py calls what it answers while it reads its file
                await self.disconnect(nowait=True)
            if isinstance(reply, RedisError):
                raise reply
            return reply
        except ReadOnlyError:
            await self.disconnect(nowait=True)
            raise

    def _at_hand(self) -> Any:
        """The next reply, if it has been read."""
        parser = self._parser
        if isinstance(parser, _AsyncHiredisParser) and parser._connected and parser._reader is not None:
            return parser._reader.gets()
        return NOT_ENOUGH_DATA

    async def _send_packed_command(self, command: Iterable[bytes]) -> None:
        try:
            await super()._send_packed_command(command)
        except RuntimeError as error:
            raise ConnectionResetError(str(error)) from error


class Plain(Sturdy, Connection):
    """Over TCP."""


class Secure(Sturdy, SSLConnection):
    """Over TLS."""


class Local(Sturdy, UnixDomainSocketConnection):
    """Over a Unix socket."""


__all__ = ["Local", "Plain", "Secure", "Sturdy"]
