"""The event stream as an ASGI response: a viewer's bytes to its socket, and a watch for the client's leaving."""

import asyncio
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.hub import Hub
from api.viewer import KEEP_ALIVE, Dropped, Viewer

HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
DONE: Final = b"data: [DONE]\n\n"


class EventStream(Response):
    """Sends a viewer's frames until the terminal one, then closes cleanly; in any other case it cuts the connection, as a
    clean end of an unfinished stream would be taken for the generation's end. It owns the viewer."""

    def __init__(self, hub: Hub, viewer: Viewer, *, first: bytes = b"", last: bytes = b"", status: int = 200,
                 headers: list[tuple[bytes, bytes]] | None = None) -> None:  # fmt: skip
        self._hub = hub
        self._viewer = viewer
        self._first = KEEP_ALIVE + first
        self._last = last
        self.status_code = status
        self.raw_headers = HEADERS + (headers or [])
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        leaving = asyncio.create_task(self._await_leaving(receive))
        sending = asyncio.current_task()
        assert sending is not None
        self._viewer.cut = sending.cancel
        try:
            await self._send(send)
        except asyncio.CancelledError:
            if self._viewer.sending_since is None:
                raise
            raise Dropped from None  # it took nothing for too long
        finally:
            leaving.cancel()
            self._hub.detach(self._viewer)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self._first, "more_body": True})
        viewer, clock = self._viewer, asyncio.get_running_loop().time
        while (body := await viewer.next()) is not None:
            viewer.sending_since = clock()
            await send({"type": "http.response.body", "body": body, "more_body": True})
            viewer.sending_since = None
        await send({"type": "http.response.body", "body": self._last, "more_body": False})

    async def _await_leaving(self, receive: Receive) -> None:
        """A server that is told nothing of a lost connection lets sends vanish, so somebody must listen for it."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._viewer.drop()
