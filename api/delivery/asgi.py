"""The event stream as an ASGI response: a viewer's bytes to its socket, and a watch for the client's leaving.

There are two ways to the socket. Any ASGI server has `send`: a task per viewer is woken, takes and sends. Our own protocol
class (uvicorn_direct.py) takes the viewer over: the hub's wake is the write, and the task is over as soon as the stream has
begun.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access.gate import WHO
from api.delivery.fast_path import FAST_PATH, FastPath
from api.delivery.uvicorn_direct import CUT, LEND
from api.intake.negotiate import EVENT_STREAM_HEADERS
from api.viewing.framing import Framing, chunk, plain
from api.viewing.hub import Hub
from api.viewing.hubs import Hubs
from api.viewing.transcripts import Told
from api.viewing.viewer import Viewer
from broker.errors import BrokerError
from broker.ids import BEGINNING

Detach = Callable[[Viewer], object]
"""What is done with a viewer that is over: as a hub's."""
_OPEN_SECONDS: Final = 6.0


class Dropped(Exception):
    """The stream ends before the generation does. Raised to the server, which then cuts the connection: a clean end would be
    taken for the generation's."""


class Stalled(Dropped):
    """Its client takes nothing: closing would wait for it."""


def framing_of(scope: Scope) -> Framing:
    """How the viewer of this request must frame what it gives to its server: a connection that takes it over writes chunks as
    they come."""
    return chunk if LEND in scope.get("extensions", {}) else plain


async def open_viewer(hub: Hub | Hubs, viewer: Viewer, opening: Callable[[], Awaitable[Told]]) -> None:
    """Gives the viewer what stands for all that is before its frames. Whoever would wait too long for it is sent away: it is
    made meanwhile."""
    try:
        async with asyncio.timeout(_OPEN_SECONDS):
            told = await opening()
    except (BrokerError, TimeoutError):
        hub.send_away(viewer)
    else:
        if told.cursor != BEGINNING:
            viewer.open_with(told.pieces, told.cursor)


class EventStream(Response):
    """Sends a viewer's frames until the terminal one, then closes cleanly; in any other case it cuts the connection. It owns
    the viewer. `first` goes before the frames, `last` behind them. `opening` is awaited when the client has been told that its
    stream is there: it stands for what is up to its cursor. `detach`: instead of the hub's own."""

    def __init__(self, hub: Hub | Hubs, viewer: Viewer, *, first: bytes = b"",
                 opening: Callable[[], Awaitable[Told]] | None = None, last: bytes = b"",
                 headers: list[tuple[bytes, bytes]] | None = None, detach: Detach | None = None) -> None:  # fmt: skip
        self._hub = hub
        self._detach = detach or hub.detach
        self._viewer = viewer
        self._first = viewer.view.dialect.keep_alive + viewer.begin(first)
        self._opening = opening
        self._last = last
        self.status_code = 200
        self.raw_headers = [*EVENT_STREAM_HEADERS, *(headers or [])]
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        extensions = scope.get("extensions", {})
        whole = lent = False
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self._first, "more_body": True})
            if self._opening is not None:
                await open_viewer(self._hub, self._viewer, self._opening)
            if (extension := extensions.get(LEND)) is not None:
                lent = True
                extension["lend"](self._viewer, self._detach, self._last)
            else:
                if (extension := extensions.get(CUT)) is not None:
                    self._viewer.taken = extension["taken"]
                whole = await self._pump(receive, send)
        except Dropped as dropped:
            if (extension := extensions.get(CUT)) is None:
                raise
            await (extension["cut"](0) if isinstance(dropped, Stalled) else extension["cut"]())
        finally:
            if not lent:
                self._detach(self._viewer)
        if whole:
            await send({"type": "http.response.body", "body": self._last, "more_body": False})

    async def _pump(self, receive: Receive, send: Send) -> bool:
        """Sends until the viewer is done; False if the client left first. Raises Dropped, Stalled."""
        viewer, clock = self._viewer, asyncio.get_running_loop().time
        more = asyncio.Event()
        viewer.wake = more.set
        sending = asyncio.current_task()
        assert sending is not None
        viewer.abort = sending.cancel
        leaving = asyncio.create_task(_await_leaving(receive, viewer))
        try:
            while viewer.done is None:
                more.clear()
                if body := viewer.take():
                    viewer.blocked_since = clock()
                    await send({"type": "http.response.body", "body": body, "more_body": True})
                    viewer.blocked_since = None
                elif viewer.done is None:
                    await more.wait()
        except asyncio.CancelledError:
            if viewer.blocked_since is None:
                raise
            raise Stalled from None
        finally:
            left = leaving.done()
            leaving.cancel()
        if viewer.done == "cut" and not left:
            raise Dropped
        return not left


class FastPathFirst:
    """ASGI middleware: streams for those whom the fast path lets in."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = scope.get("query_string", b"")
        if scope["type"] == "http" and scope["method"] == "GET" and (not query or query.startswith(b"token=")):
            fast_path: FastPath = scope["state"][FAST_PATH]
            framing, who = framing_of(scope), scope.get(WHO)
            target = scope["path"].encode() + (b"?" + query if query else b"")
            if (viewer := fast_path.admit(target, scope["headers"], framing, who=who)) is not None:
                await EventStream(fast_path.hub, viewer)(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _await_leaving(receive: Receive, viewer: Viewer) -> None:
    """A server lets what is sent to a lost connection vanish without a word, so somebody must listen for the loss."""
    while (await receive())["type"] != "http.disconnect":
        pass
    viewer.drop()
