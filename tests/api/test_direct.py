"""A connection that its viewer owns, without a socket: what becomes of the viewer when the client leaves, stalls, comes back to
life, or the stream ends."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.direct import DirectProtocol
from api.feed import Feed
from api.pages import Page, Pages
from api.stream import EventStream
from api.viewer import Viewer
from broker.events import local_frame
from broker.ids import BEGINNING

ID = "gen_" + "0" * 26
TOLD = local_frame("queued", position=1)


class Empty(Pages):
    def __init__(self) -> None:
        """A log in which there is nothing yet."""

    def after(self, id_: str, cursor: object) -> Page:
        return Page([], BEGINNING, ended=False, full=False)


class Transport:
    """Takes everything; over TLS, so that nothing is sent behind its back."""

    def __init__(self, *, closing: bool = False) -> None:
        self.written = b""
        self.closing = closing
        self.aborted = False

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted = True

    def write(self, data: bytes) -> None:
        self.written += data

    def get_extra_info(self, name: str) -> object:
        return name == "sslcontext"

    def set_write_buffer_limits(self, high: int) -> None:
        pass


class Connection:
    """A connection on which a response has been lent to a viewer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, closing: bool = False) -> None:
        self.transport = Transport(closing=closing)
        self.left: list[Viewer] = []
        self.viewer = viewer_of(Feed(ID, 100_000, 0.0))
        self.protocol = DirectProtocol.__new__(DirectProtocol)
        self.protocol.loop = loop
        self.protocol.transport = cast(Any, self.transport)
        self.protocol.flow = cast(Any, SimpleNamespace(pause_writing=lambda: None, resume_writing=lambda: None))
        self.protocol._follow(self.viewer, self.left.append, b"", keep_alive=True)


def viewer_of(feed: Feed) -> Viewer:
    viewer = Viewer(ID, feed, Empty(), BEGINNING)
    feed.viewers[viewer] = None
    return viewer


@pytest.fixture
def loop() -> Any:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_who_left_before_the_stream_began_is_detached(loop: asyncio.AbstractEventLoop) -> None:
    connection = Connection(loop, closing=True)
    assert connection.left == [connection.viewer]
    connection.viewer.tell(TOLD)
    assert connection.transport.written == b""


def test_what_the_viewer_is_told_is_written_while_the_socket_takes_more(loop: asyncio.AbstractEventLoop) -> None:
    connection = Connection(loop)
    connection.viewer.tell(TOLD)
    assert TOLD in connection.transport.written
    connection.protocol.pause_writing()
    connection.viewer.tell(TOLD)
    assert connection.transport.written.count(TOLD) == 1
    connection.protocol.resume_writing()
    assert connection.transport.written.count(TOLD) == 2


def test_who_was_slow_and_reads_again_is_slow_no_more(loop: asyncio.AbstractEventLoop) -> None:
    connection = Connection(loop)
    assert connection.viewer.blocked_since is None
    connection.protocol.pause_writing()
    assert connection.viewer.blocked_since is not None
    connection.protocol.resume_writing()
    assert connection.viewer.blocked_since is None


def test_a_viewer_that_is_dropped_leaves_and_its_connection_is_closed_without_a_last_chunk(
    loop: asyncio.AbstractEventLoop,
) -> None:
    connection = Connection(loop)
    connection.viewer.drop()
    loop.run_until_complete(asyncio.sleep(0))
    assert connection.left == [connection.viewer]
    assert connection.transport.closing
    assert not connection.transport.written.endswith(b"0\r\n\r\n")


def test_through_asgi_too_a_viewer_is_slow_only_while_a_send_waits() -> None:
    async def scene() -> None:
        feed, sent = Feed(ID, 100_000, 0.0), asyncio.Event()
        viewer = viewer_of(feed)
        detached: list[Viewer] = []
        seen: list[float | None] = []

        async def send(message: Any) -> None:
            if TOLD in message.get("body", b""):
                seen.append(viewer.blocked_since)
                sent.set()

        async def receive() -> Any:
            await sent.wait()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append(viewer.blocked_since)
            return {"type": "http.disconnect"}

        stream = EventStream(cast(Any, SimpleNamespace(detach=detached.append)), viewer)
        viewer.tell(TOLD)
        await asyncio.wait_for(stream({"type": "http", "extensions": {}}, receive, send), 5)
        assert seen[0] is not None
        assert seen[1] is None
        assert detached == [viewer]

    asyncio.run(scene())
