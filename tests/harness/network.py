"""Connections without a server, for what speaks to Redis by itself: what was sent, and what comes back."""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from broker.store.wire import Wire

W = TypeVar("W", bound=Wire)


class Transport:
    """The connection of a wire. `answers` is told each command."""

    def __init__(self, wire: Wire, answers: Callable[[bytes], None] = lambda _: None) -> None:
        self.written: list[bytes] = []
        self.closing = self.aborted = False
        self.answers = answers
        self._wire = wire

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self.answers(data)

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        if not self.aborted:
            asyncio.get_running_loop().call_soon(self._wire.connection_lost, None)
        self.aborted = True


def connected(wire: Wire) -> Transport:
    """Its connection is made."""
    transport = Transport(wire)
    wire.connection_made(cast(asyncio.BaseTransport, transport))
    return transport


class Network(Generic[W]):
    """In place of the running loop's two ways to connect. Each command of a handshake gets this `answer`, or none, or there is
    an error."""

    def __init__(self, *, answer: bytes = b"+OK\r\n", error: Exception | None = None) -> None:
        self.answer, self.error = answer, error
        self.asked: list[tuple[Any, ...]] = []
        self.times: list[float] = []
        """When it was asked for a connection."""
        self.transports: list[Transport] = []
        self.wires: list[W] = []
        loop: Any = asyncio.get_running_loop()
        loop.create_connection, loop.create_unix_connection = self._tcp, self._unix

    async def _tcp(self, make: Callable[[], W], host: str, port: int, *, ssl: Any) -> tuple[Any, W]:
        return self._join(make, "tcp", host, port, ssl)

    async def _unix(self, make: Callable[[], W], path: str) -> tuple[Any, W]:
        return self._join(make, "unix", path)

    def _join(self, make: Callable[[], W], *where: Any) -> tuple[Any, W]:
        self.asked.append(where)
        self.times.append(asyncio.get_running_loop().time())
        if self.error is not None:
            raise self.error
        wire = make()

        def answer(command: bytes) -> None:
            if self.answer and any(word in command for word in (b"ECHO", b"AUTH", b"SELECT")):
                asyncio.get_running_loop().call_soon(wire.data_received, self.answer)

        transport = Transport(wire, answer)
        wire.connection_made(cast(asyncio.BaseTransport, transport))
        self.transports.append(transport)
        self.wires.append(wire)
        return transport, wire
