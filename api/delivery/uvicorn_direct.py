"""Our uvicorn protocol classes.

The seam: uvicorn takes any protocol class as `http=`; ours are its httptools one with ASGI extensions in each request's scope.
Everything works without them, on any ASGI server.

`HttpProtocol` has `respool.cut`, for uvicorn's own close waits without end for a client that takes nothing. It also tells of a
client's leaving where more requests wait behind the running one, sends no chunks to a client of HTTP/1.0, and bounds
what is held for a client on TLS.

`DirectProtocol` has `respool.lend` besides: a response that was started with `send` hands its viewer over, and the connection
writes what the viewer has until it is done; the application's task ends meanwhile. It also asks the fast path (fast_path.py)
about each request before there is an application's task at all. What this saves is, per viewer and event, a task woken and an
ASGI call, and, per viewer, all that uvicorn keeps for a response; what remains is the kernel's send.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from api.delivery.bounded import BoundedProtocol
from api.delivery.fast_path import FAST_PATH, FastPath
from api.delivery.lending import MOST_BUFFERED, Borrowed
from api.delivery.progress import bytes_taken
from api.dialects.native import NATIVE
from api.intake.negotiate import EVENT_STREAM_HEADERS
from api.viewing.framing import chunk
from api.viewing.viewer import Viewer

LEND: Final = "respool.lend"
CUT: Final = "respool.cut"
_CLOSE_SECONDS: Final = 5.0
_LAST_CHUNK: Final = b"0\r\n\r\n"


_BEGINNING: Final = b"".join(
    (
        *(b"%b: %b\r\n" % header for header in EVENT_STREAM_HEADERS),
        b"transfer-encoding: chunked\r\n\r\n",
        chunk(NATIVE.keep_alive),
    )
)


class HttpProtocol(BoundedProtocol):
    """The bounded protocol, and `respool.cut`. `_running` is the request that is being answered; uvicorn's own `cycle`
    is the last one that came."""

    _running: RequestResponseCycle | None = None
    _gone: asyncio.Event | None = None
    _abort: asyncio.TimerHandle | None = None
    _lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # What it is without TLS anyway; on it uvloop would hold half a megabyte for a client that does not read.
        transport.set_write_buffer_limits(high=MOST_BUFFERED)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        self._lost = True
        if self._abort is not None:
            self._abort.cancel()
        if self._gone is not None:
            self._gone.set()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {CUT: {"cut": self.cut, "taken": self.taken}}

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app if cycle.scope["http_version"] >= "1.1" else _without_chunks(cycle, app))

    def taken(self) -> int:
        """A number that changes whenever the client has taken something."""
        return bytes_taken(self.transport)

    async def cut(self, seconds: float = _CLOSE_SECONDS) -> None:
        """As `close_within`; returns when the connection is gone."""
        if not self._lost:
            self._gone = asyncio.Event()
            self.close_within(seconds)
            await self._gone.wait()

    def close_within(self, seconds: float) -> None:
        """Ends the connection without the chunk that would end the response: behind what was written, or, if the client does
        not take that within so many seconds, without it."""
        self.transport.close()
        self._abort = self.loop.call_later(seconds, self.transport.abort)


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

        scope["extensions"].pop(LEND, None)
        await app(scope, receive, without_chunks)

    return answer


class DirectProtocol(HttpProtocol):
    """The same, and `respool.lend`. While there is a `_viewer`, the connection is its own: for uvicorn the response is over,
    and requests that come meanwhile wait behind it."""

    _viewer: Viewer | None = None
    _left: Callable[[Viewer], object]
    _last: bytes
    _keep_alive: bool
    _paused = False
    _borrowed: Borrowed | None = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"][LEND] = {"lend": self.lend}

    def _begin(self) -> None:
        fast_path: FastPath | None = self.app_state.get(FAST_PATH)
        if (
            fast_path is None
            or not self._is_plain_get()
            or (viewer := fast_path.admit(self.url, self.headers, chunk, self.client[0] if self.client else "")) is None
        ):
            super()._begin()
            return
        lines = [STATUS_LINE[200], *(b"%b: %b\r\n" % header for header in self.server_state.default_headers)]
        lines += [b"%b: %b\r\n" % header for header in self._sharing()]
        if not (keeps := self.parser.should_keep_alive()):
            lines.append(b"connection: close\r\n")
        self.cycle = _COMPLETE
        self._follow(viewer, fast_path.left, b"", keeps, head=b"".join((*lines, _BEGINNING)))

    def _is_plain_get(self) -> bool:
        """Whether it is a request that uvicorn would give to the application at once, and without a word."""
        return (
            (self.cycle is None or self.cycle.response_complete)
            and self._viewer is None
            and self.parser.get_method() == b"GET"
            and self.parser.get_http_version() == "1.1"
            and not (self.expect_100_continue or self.access_log)
            and self.limit_concurrency is None
        )

    def lend(self, viewer: Viewer, left: Callable[[Viewer], object], last: bytes) -> None:
        """Takes over a response that was started on HTTP/1.1, in chunks, as the viewer's view is. What the viewer gives is
        written until it is done, then `last`; or the connection is cut, by the client or here. Whichever it is, `left` is
        called, once."""
        cycle = self._running
        assert cycle is not None
        cycle.response_complete = True
        if self.cycle is cycle:
            self.cycle = _COMPLETE
        self._running = None
        self._follow(viewer, left, last, cycle.keep_alive)

    def _follow(
        self, viewer: Viewer, left: Callable[[Viewer], object], last: bytes, keep_alive: bool, *, head: bytes = b""
    ) -> None:
        if self.transport.is_closing():
            left(viewer)
            return
        if not self._in_head:  # of a request behind this one
            self.scope, self.headers = None, []  # type: ignore[assignment]
        self._viewer, self._left, self._last, self._keep_alive = viewer, left, last, keep_alive
        viewer.wake = self._write
        viewer.abort = self.transport.abort
        viewer.taken = self.taken
        self._borrowed = Borrowed(self.transport)
        if head:  # the fast path lets in nobody whose stream is over: there is a first write, and more to come
            self.transport.write(head + viewer.take())
        self._lets_write(not self._paused)

    def _write(self) -> None:
        """Everything that the viewer has and the transport takes."""
        viewer = self._viewer
        assert viewer is not None
        while not self._paused:
            if body := viewer.take():
                self.transport.write(body)
            else:
                if viewer.done is not None:
                    viewer.release()
                    # Whoever woke the viewer may be in the middle of others.
                    self.loop.call_soon(self._conclude)
                return

    def _conclude(self) -> None:
        """The viewer is done: the response ends, or the connection does."""
        if (viewer := self._give_back()) is None:
            return
        if viewer.done == "cut":
            self.close_within(_CLOSE_SECONDS)
            return
        self.transport.write(chunk(self._last) + _LAST_CHUNK if self._last else _LAST_CHUNK)
        if not self._keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _give_back(self) -> Viewer | None:
        viewer, self._viewer = self._viewer, None
        if viewer is not None:
            viewer.release()
            if self._borrowed is not None:
                self._borrowed.give_back()
                self._borrowed = None
            self._left(viewer)
        return viewer

    # -- what uvicorn and the loop tell

    def _is_busy(self) -> bool:
        return self._viewer is not None or super()._is_busy()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._viewer is None:
            super()._start_asgi_task(cycle, app)
        else:
            self.flow.pause_reading()
            self.pipeline.append((cycle, app))

    def shutdown(self) -> None:
        if self._viewer is None:
            super().shutdown()
        else:
            self._keep_alive = False

    def pause_writing(self) -> None:
        super().pause_writing()
        self._paused = True
        self._lets_write(False)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._paused = False
        self._lets_write(True)

    def _lets_write(self, lets: bool) -> None:
        """Tells the viewer whether the transport takes more."""
        viewer = self._viewer
        if viewer is None or viewer.done is not None:
            return
        viewer.blocked_since = None if lets else self.loop.time()
        viewer.lend(self._borrowed.loan if lets and self._borrowed is not None else None)
        if lets:
            self._write()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._give_back()


class _Complete(RequestResponseCycle):
    """What uvicorn sees of a response that is none of its business: it is complete."""

    response_complete = True
    message_event = asyncio.Event()

    def __init__(self) -> None:
        """It has nothing of a request's."""


_COMPLETE: Final = _Complete()
