"""Our uvicorn protocol classes.

The seam: uvicorn takes any protocol class as `http=`; ours are its httptools one with ASGI extensions in each request's scope.
Everything works without them, on any ASGI server.

`HttpProtocol` has `respool.cut`, for uvicorn's own close waits without end for a client that takes nothing. It also tells of a
client's leaving where more requests wait behind the running one, sends no chunks to a client of HTTP/1.0, and bounds
what is held for a client on TLS.

`DirectProtocol` has `respool.socket` besides, which lends a viewer the transport itself. A response that has been started with
`send` may then write its chunks through it, and ends with `send` again. What this saves is, per viewer and event, a task
woken and an ASGI call; what remains is the kernel's send.
"""

import asyncio
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.viewer import Viewer

SOCKET: Final = "respool.socket"
CUT: Final = "respool.cut"
_CLOSE_SECONDS: Final = 5.0
_MOST_BUFFERED: Final = 64 * 1024


class Socket:
    """One connection's way to its transport."""

    __slots__ = ("_done", "_lost", "_protocol", "_viewer")

    def __init__(self, protocol: "DirectProtocol") -> None:
        self._protocol = protocol
        self._viewer: Viewer | None = None
        self._done: asyncio.Future[None] | None = None
        self._lost = False

    async def follow(self, viewer: Viewer) -> bool:
        """Writes what the viewer has, whenever it is woken, until it is done: True if that is the end, so that the response
        may be ended. Else the connection has been cut when this returns, by the client or here."""
        loop, protocol = asyncio.get_running_loop(), self._protocol
        if protocol.transport.is_closing():
            return False
        self._viewer = viewer
        self._done = loop.create_future()
        viewer.wake = self.write
        viewer.abort = protocol.transport.abort
        protocol.socket = self
        if protocol.paused:
            viewer.blocked_since = loop.time()
        else:
            viewer.direct = protocol.transport.write
        self.write()
        try:
            await self._done
            if viewer.done != "end" and not self._lost:
                await protocol.cut()
        finally:
            protocol.socket = None
            viewer.wake = viewer.abort = _nothing
            viewer.direct = None
        return viewer.done == "end" and not self._lost

    def write(self) -> None:
        """Everything that the viewer has and the transport takes."""
        viewer, protocol = self._viewer, self._protocol
        assert viewer is not None
        # Whoever owns the response hears of a lost connection one turn of the loop later; uvloop raises on a write meanwhile.
        while not protocol.paused and not self._lost:
            if body := viewer.take():
                protocol.write_chunk(body)
            else:
                if viewer.done is not None:
                    self._settle()
                return

    def _settle(self) -> None:
        if self._viewer is not None:
            self._viewer.direct = None
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    def lost(self) -> None:
        """The connection is gone."""
        self._lost = True
        self._settle()

    def blocked(self, since: float | None) -> None:
        """The transport refuses to take more since then, or takes more again."""
        assert self._viewer is not None
        self._viewer.blocked_since = since
        self._viewer.direct = None if since is not None else self._protocol.transport.write
        if since is None:
            self.write()


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's httptools protocol, and `respool.cut`. `_running` is the request that is being answered; uvicorn's own `cycle`
    is the last one that came."""

    _running: RequestResponseCycle | None = None
    _gone: asyncio.Event | None = None
    _lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # What it is without TLS anyway; on it uvloop would hold half a megabyte for a client that does not read.
        transport.set_write_buffer_limits(high=_MOST_BUFFERED)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        self._lost = True
        if self._gone is not None:
            self._gone.set()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {CUT: {"cut": self.cut}}

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app if cycle.scope["http_version"] >= "1.1" else _without_chunks(cycle, app))

    async def cut(self, seconds: float = _CLOSE_SECONDS) -> None:
        """Ends the connection without the chunk that would end the response: behind what was written, or, if the client does
        not take that within so many seconds, without it. Returns when the connection is gone."""
        if self._lost:
            return
        self._gone = asyncio.Event()
        self.transport.close()
        try:
            async with asyncio.timeout(seconds):
                await self._gone.wait()
        except TimeoutError:
            self.transport.abort()
            await self._gone.wait()


def _without_chunks(cycle: RequestResponseCycle, app: ASGIApp) -> Any:
    """The application for a client of HTTP/1.0, which does not know chunks: an answer that does not tell its length ends with
    the connection (RFC 9112, section 6.3)."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def without_chunks(message: Message) -> None:
            if message["type"] == "http.response.start":
                if not any(name.lower() == b"content-length" for name, _ in message["headers"]):
                    cycle.chunked_encoding = False
            elif not cycle.expected_content_length:
                cycle.expected_content_length = len(message["body"])
            await send(message)

        scope["extensions"].pop(SOCKET, None)
        await app(scope, receive, without_chunks)

    return answer


class DirectProtocol(HttpProtocol):
    """The same, and `respool.socket`."""

    socket: Socket | None = None
    paused = False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"][SOCKET] = {"socket": Socket(self)}

    def write_chunk(self, body: bytes) -> None:
        """One chunk of a response that was started, on HTTP/1.1, in chunks."""
        self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))

    def pause_writing(self) -> None:
        super().pause_writing()
        self.paused = True
        if self.socket is not None:
            self.socket.blocked(self.loop.time())

    def resume_writing(self) -> None:
        super().resume_writing()
        self.paused = False
        if self.socket is not None:
            self.socket.blocked(None)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.socket is not None:
            self.socket.lost()


def _nothing() -> None:
    return None
