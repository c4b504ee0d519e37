"""The bytes of an answer, given on as they come.

The SDK's own way to them is a task that wakes for each read, and then seven generators: its transport's, three of httpx2's
around that, its decoder's two, ours. Here aiohttp's protocol, which parses HTTP for the SDK, gets a companion while an answer
is read: right after the bytes of a read are parsed, whoever reads is called with them, in the same callback of the loop. The
connection stays aiohttp's: it opens it, ends it, and takes it back.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, cast

import aiohttp
import httpx2

Take = Callable[[bytes], bool]
"""Called with what has come; says whether to go on."""

_SLICE: Final = 16 * 1024
"""Bytes that are given on at once: some hundred events, so that whoever takes them can say in time that it is too much."""


class Body(Protocol):
    """The body of one response."""

    async def read(self, take: Take) -> bool:
        """Gives `take` what comes until the end (True) or until it wants no more (False); then it may be called again. Raises
        httpx2's errors, and whatever `take` raises."""


def body_of(response: httpx2.Response) -> Body:
    """The quick way to the bytes, or the way of the SDK where they are compressed or the transport is another one."""
    # Neither httpx2 nor the SDK's transport has a public name for what it wraps.
    wrapped = getattr(getattr(response.stream, "_stream", None), "_aiohttp_response", None)
    if isinstance(wrapped, aiohttp.ClientResponse) and "content-encoding" not in response.headers:
        return TappedBody(wrapped)
    return PlainBody(response)


class PlainBody:
    """A body as httpx2 gives it."""

    def __init__(self, response: httpx2.Response) -> None:
        self._chunks = response.aiter_bytes()

    async def read(self, take: Take) -> bool:
        async for data in self._chunks:
            if not take(data):
                return False
        return True


class TappedBody:
    """A body right from aiohttp's parser."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def read(self, take: Take) -> bool:
        connection = self._response.connection
        transport = connection.transport if connection is not None else None
        tap = _Tap(self._response.content, take, transport)
        try:
            tap.give_on()
            if transport is None and not tap.done.done():
                raise httpx2.ReadError("the connection is closed")
            await tap.done
        finally:
            tap.remove()
        if tap.error is not None:
            raise tap.error
        return tap.ended


class _Tap(asyncio.Protocol):
    """Stands before aiohttp's protocol on its connection, and calls `take` after it. Removes itself when it is `done`, in the
    same callback: from then on the connection may be another answer's."""

    def __init__(self, content: aiohttp.StreamReader, take: Take, transport: asyncio.Transport | None) -> None:
        self._content = content
        self._take = take
        self._transport = transport
        self.done = asyncio.get_running_loop().create_future()
        self.ended = False
        self.error: Exception | None = None
        if transport is not None:
            self._parser = cast(asyncio.Protocol, transport.get_protocol())
            transport.set_protocol(self)

    def give_on(self) -> None:
        """Gives on what is parsed."""
        content = self._content
        try:
            while data := content.read_nowait(_SLICE):
                if not self._take(data):
                    self.remove()
                    return
                if len(data) < _SLICE:
                    break
            if content.at_eof():
                self.ended = True
                self.remove()
        except aiohttp.ClientError as error:
            self.error = httpx2.ReadError(str(error))
            self.remove()
        except Exception as error:
            self.error = error
            self.remove()

    def remove(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
        if self._transport is not None and self._transport.get_protocol() is self:
            self._transport.set_protocol(self._parser)

    def data_received(self, data: bytes) -> None:
        self._parser.data_received(data)
        if not self.done.done():
            self.give_on()

    def eof_received(self) -> bool | None:
        return self._parser.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self._parser.connection_lost(error)
        if not self.done.done():
            self.give_on()
        if not self.done.done():  # aiohttp tells its reader nothing of what it could not parse
            self.error = httpx2.ReadError("the connection is lost")
            self.remove()

    def pause_writing(self) -> None:
        self._parser.pause_writing()

    def resume_writing(self) -> None:
        self._parser.resume_writing()
