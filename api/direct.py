"""Our uvicorn protocol class: it lends a viewer the transport itself.

The seam: uvicorn takes any protocol class as `http=`; ours is its httptools one with the ASGI extension `respool.socket`
in each request's scope. A response that has been started with `send` may then write its chunks through it, and ends with
`send` again. What this saves is, per viewer and event, a task woken and an ASGI call; what remains is the kernel's send.
Everything works without it, on any ASGI server.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.viewer import Viewer

EXTENSION: Final = "respool.socket"
_CLOSE_SECONDS: Final = 5.0


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
                await self._cut()
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

    async def _cut(self) -> None:
        """Closes behind what was written, without the chunk that would end the response."""
        self._done = asyncio.get_running_loop().create_future()
        self._protocol.transport.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._done
        except TimeoutError:
            self._protocol.transport.abort()

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


class DirectProtocol(HttpToolsProtocol):
    """uvicorn's httptools protocol, and the extension."""

    socket: Socket | None = None
    paused = False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: {"socket": Socket(self)}}

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
