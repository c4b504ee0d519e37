"""A connection that its viewer owns, without a socket: what becomes of the viewer when the client leaves, stalls, comes back to
life, or the stream ends."""

import asyncio
import socket
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from api.access.origin import ORIGINS, Origins
from api.delivery.asgi import EventStream
from api.delivery.connections import Connections, Owed
from api.delivery.fast_path import FAST_PATH
from api.delivery.uvicorn_direct import CUT, LEND, DirectProtocol, HttpProtocol
from api.dialects import Dialect, State
from api.dialects.native import local_frame
from api.dialects.sse import RETRY
from api.viewing.feed import Feed
from api.viewing.framing import Framing, chunk
from api.viewing.pages import Page, Pages
from api.viewing.rendition import Loan
from api.viewing.viewer import Viewer
from broker.ids import BEGINNING, EntryId
from tests.api.viewing.test_feed import CHUNKED, arrive

ID = "gen_" + "0" * 26
TOLD = local_frame("queued", position=1)
Message = dict[str, Any]


class Empty(Pages):
    def __init__(self) -> None:
        """A log in which there is nothing yet."""

    def after(self, id_: str, dialect: Dialect, cursor: EntryId, state: State) -> Page:
        return Page([], BEGINNING, ended=False, full=False)


class Transport:
    """Takes everything; over TLS, so that nothing is sent behind its back, or on the socket that is `lent`."""

    def __init__(self, *, closing: bool = False, tls: bool = True, lent: object = None) -> None:
        self.written = b""
        self.closing = closing
        self.aborted = False
        self.reads = True
        self.limits: list[int] = []
        self._told = {"sslcontext": True} if tls else {"socket": lent}

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted = True

    def write(self, data: bytes) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def get_extra_info(self, name: str) -> object:
        return self._told.get(name)

    def get_write_buffer_size(self) -> int:
        return 7

    def set_write_buffer_limits(self, high: int) -> None:
        self.limits.append(high)


class Connection:
    """A connection on which a response has been lent to a viewer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, closing: bool = False) -> None:
        self.transport = Transport(closing=closing)
        self.left: list[Viewer] = []
        self.viewer = viewer_of(new_feed())
        self.protocol = DirectProtocol.__new__(DirectProtocol)
        self.protocol.loop = loop
        self.protocol.transport = cast(Any, self.transport)
        self.protocol.flow = cast(Any, SimpleNamespace(pause_writing=lambda: None, resume_writing=lambda: None))
        self.protocol._follow(self.viewer, self.left.append, b"", keep_alive=True)


def viewer_of(feed: Feed) -> Viewer:
    return arrive(feed, Empty(), view=CHUNKED)


def new_feed() -> Feed:
    """One that has heard nothing yet."""
    return Feed(ID, "", 100_000, 0.0, lambda *_: None)


@pytest.fixture
def loop() -> Any:
    loop = asyncio.new_event_loop()
    yield loop
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
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
        sent = asyncio.Event()
        viewer = arrive(new_feed(), Empty())
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


# -- with uvicorn around it


class App:
    """`/lend` lends its response to `viewer`, `/hang` waits for its client to leave, `/parts` does not tell its length, `/long`
    tells a wrong one."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.left: list[Viewer] = []
        self.scopes: list[Message] = []
        self.gone: list[str] = []
        self.go_on = asyncio.Event()
        self.last = b""

    @property
    def paths(self) -> list[str]:
        return [scope["path"] for scope in self.scopes]

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        path = scope["path"]
        if path == "/hang":
            while (await receive())["type"] != "http.disconnect":
                pass
            self.gone.append(path)
            return
        if path == "/wait":
            await self.go_on.wait()
        tells = path not in ("/lend", "/parts")
        headers = [(b"a", b"b"), *([(b"Content-Length", b"4")] if tells else [])]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ab", "more_body": True})
        if path == "/lend":
            scope["extensions"][LEND]["lend"](self.viewer, self.left.append, self.last)
        else:
            await send(
                {"type": "http.response.body", "body": b"cdef" if path == "/long" else b"cd", "more_body": False}
            )


class Later:
    """The loop; what is to be called later is only noted."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.later: list[tuple[float, Any]] = []
        self.cancelled = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def call_later(self, seconds: float, what: Any) -> Any:
        self.later.append((seconds, what))
        return self

    def cancel(self) -> None:
        self.cancelled += 1


class Line:
    """A connection as uvicorn makes it. `door` lets in whoever asks for /door."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        kind: type[HttpProtocol] = DirectProtocol,
        lent: socket.socket | None = None,
        *,
        door: bool = True,
    ) -> None:
        self.loop = Later(loop)
        self.transport = Transport(tls=lent is None, lent=lent)
        self.feed = new_feed()
        self.viewer = viewer_of(self.feed)
        self.app = App(self.viewer)
        self.left: list[Viewer] = []
        self.asked: list[tuple[bytes, list[tuple[bytes, bytes]]]] = []
        state = ServerState()
        state.default_headers = [(b"x-ours", b"1")]
        config = uvicorn.Config(cast(Any, self.app), log_config=None, ws="none", lifespan="off", access_log=False)
        origins = Origins(None, frozenset({"https://app.example"}))
        app_state = (
            {FAST_PATH: SimpleNamespace(admit=self._admit, left=self.left.append), ORIGINS: origins} if door else {}
        )
        self.protocol = kind(
            Connections(5, lambda: 0.0), config=config, server_state=state, app_state=app_state,
            _loop=cast(Any, self.loop),
        )  # fmt: skip
        self.protocol.connection_made(cast(Any, self.transport))

    @property
    def lent(self) -> Loan | None:
        """What the viewer follows with."""
        assert self.viewer.rendition is not None
        return self.viewer.rendition._following.get(self.viewer)

    def _admit(
        self, target: bytes, headers: list[tuple[bytes, bytes]], framing: Framing, address: str
    ) -> Viewer | None:
        assert framing is chunk
        self.asked.append((target, headers))
        return self.viewer if target == b"/door" else None

    def send(self, *parts: bytes) -> bytes:
        """What is written to those."""
        before = len(self.transport.written)
        for part in parts:
            self.protocol.data_received(part)
        return self.run()[before:]

    def run(self) -> bytes:
        for _ in range(20):
            self.loop.run_until_complete(asyncio.sleep(0))
        return self.transport.written

    def end(self) -> bytes:
        """What is written when the generation ends."""
        before = len(self.transport.written)
        self.viewer._ended = True
        self.viewer.wake()
        return self.run()[before:]

    def lose(self) -> None:
        self.protocol.connection_lost(None)
        self.run()


def get(path: str, *headers: bytes, version: bytes = b"1.1", method: bytes = b"GET") -> bytes:
    return b"%b %b HTTP/%b\r\nHost: a\r\n%b\r\n" % (method, path.encode(), version, b"".join(headers))


BEGUN = b"HTTP/1.1 200 OK\r\nx-ours: 1\r\n"
LENT = BEGUN + b"a: b\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n"
STREAM = (
    b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-store\r\nx-accel-buffering: no\r\n"
    b"transfer-encoding: chunked\r\n\r\n5\r\n: ka\n\r\n"
)
LAST_CHUNK = b"0\r\n\r\n"
PLAIN = BEGUN + b"a: b\r\ncontent-length: 4\r\n\r\nabcd"


@pytest.fixture
def line(loop: asyncio.AbstractEventLoop) -> Line:
    return Line(loop)


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize(("kind", "extensions"), [(HttpProtocol, {CUT}), (DirectProtocol, {CUT, LEND})])
def test_each_request_is_told_what_its_connection_can(
    loop: asyncio.AbstractEventLoop, kind: type[HttpProtocol], extensions: set[str]
) -> None:
    line = Line(loop, kind)
    assert line.transport.limits == [65536]
    assert line.send(get("/") * 2) == PLAIN * 2
    for scope in line.app.scopes:
        assert scope["extensions"].keys() == extensions
        assert scope["extensions"][CUT]["taken"]() == -7
        assert scope["extensions"][CUT]["cut"] == line.protocol.cut
    line.lose()


def test_a_client_that_leaves_is_told_of_to_the_running_request_whatever_waits_behind_it(line: Line) -> None:
    line.send(get("/hang") + get("/hang"))
    line.lose()
    assert (line.app.paths, line.app.gone) == (["/hang"], ["/hang"])


def test_a_connection_that_is_lost_is_no_more_one_of_the_process_and_hears_nothing(line: Line) -> None:
    line.send(get("/"))
    assert line.protocol in line.protocol.connections
    line.lose()
    assert line.protocol not in line.protocol.connections
    assert repr(line.protocol._connections) == "<0 of 5 connections; no one waited for>"
    assert line.send(get("/")) == b""


def test_who_is_cut_is_gone_when_the_transport_says_so(line: Line) -> None:
    for seconds, given in ((5.0, ()), (0, (0,))):
        cutting = line.loop.create_task(line.protocol.cut(*given))
        line.run()
        assert line.transport.closing
        assert line.loop.later[-1] == (seconds, line.transport.abort)
        assert not cutting.done()
        line.lose()
        assert cutting.done()
        assert line.loop.cancelled == 1
        line = Line(line.loop._loop)
    line.lose()
    line.loop.run_until_complete(asyncio.wait_for(line.protocol.cut(), 5))
    assert line.loop.later == []


def test_a_client_of_the_old_version_is_sent_no_chunks(loop: asyncio.AbstractEventLoop) -> None:
    head = BEGUN + b"a: b\r\n"
    for path, answer in (
        ("/parts", head + b"connection: close\r\n\r\nabcd"),
        ("/", head + b"content-length: 4\r\nconnection: close\r\n\r\nabcd"),
        ("/long", head + b"content-length: 4\r\nconnection: close\r\n\r\nab"),
    ):
        line = Line(loop)
        assert line.send(get(path, version=b"1.0")) == answer
        assert line.transport.closing
        assert line.app.scopes[0]["extensions"].keys() == {CUT}
    line = Line(loop)
    assert line.send(get("/parts")) == LENT + b"2\r\ncd\r\n" + LAST_CHUNK
    assert not line.transport.closing


def test_whom_the_door_lets_in_has_a_stream_without_the_application(line: Line) -> None:
    line.viewer.tell(TOLD)
    written = line.send(get("/door", b"Origin: https://app.example\r\n"))
    sharing = (
        b"access-control-allow-origin: https://app.example\r\n"
        b"access-control-expose-headers: "
        b"Location, Retry-After, Generation-Id, Respool-Generation, RateLimit, RateLimit-Policy, "
        b"X-Should-Retry, Request-Id, X-Workflow-Run-Id, X-Workflow-Stream-Tail-Index, "
        b"Stream-Next-Offset, Stream-Up-To-Date, Stream-Closed, Stream-Cursor, ETag\r\n"
    )
    begins = BEGUN + sharing + STREAM
    assert written == begins + chunk(RETRY + TOLD)
    assert line.asked == [(b"/door", [(b"host", b"a"), (b"origin", b"https://app.example")])]
    assert line.app.scopes == []
    line.viewer.tell(TOLD)
    assert line.run() == written + chunk(TOLD)
    assert line.end() == LAST_CHUNK
    assert line.left == [line.viewer]
    assert not line.transport.closing
    assert line.send(get("/")) == PLAIN


def test_who_asks_the_door_for_the_last_time_is_closed_behind_the_stream(line: Line) -> None:
    assert line.send(get("/door", b"Connection: close\r\n")) == BEGUN + b"connection: close\r\n" + STREAM
    assert not line.transport.closing
    assert line.end() == LAST_CHUNK
    assert line.transport.closing


def test_the_door_is_asked_about_plain_requests_only(loop: asyncio.AbstractEventLoop) -> None:
    for request in (
        get("/", method=b"POST"),
        get("/", method=b"HEAD"),
        get("/", b"Expect: 100-continue\r\n"),
        get("/", version=b"1.0"),
    ):
        line = Line(loop)
        line.send(request)
        assert (line.asked, line.app.paths) == ([], ["/"])
    for name, value in (("access_log", True), ("limit_concurrency", 1000)):
        line = Line(loop)
        setattr(line.protocol, name, value)
        line.send(get("/"))
        assert (line.asked, line.app.paths) == ([], ["/"])
    line = Line(loop, door=False)
    line.send(get("/"))
    assert line.app.paths == ["/"]
    line = Line(loop)
    line.send(get("/"))
    line.send(get("/wait"))
    line.send(get("/door"))
    assert [target for target, _ in line.asked] == [b"/", b"/wait"]
    line.lose()


def test_a_response_that_is_lent_ends_with_its_viewer_and_the_connection_goes_on(line: Line) -> None:
    for last, ending in ((b"", b""), (b"last", chunk(b"last"))):
        line.app.last = last
        assert line.send(get("/lend")) == LENT
        assert cast(Any, line.protocol.scope) is None
        assert line.protocol.headers == []
        assert line.protocol.owed is None
        assert line.end() == ending + LAST_CHUNK
        assert not line.transport.closing
        assert line.app.left == [line.viewer]
        assert line.protocol.owed is Owed.NEXT
        line.app.left.clear()
        line.viewer = line.app.viewer = viewer_of(line.feed)
    assert line.send(get("/")) == PLAIN


@pytest.mark.parametrize("before", [True, False])
def test_what_is_asked_behind_a_stream_is_answered_behind_it_in_turn(line: Line, before: bool) -> None:
    behind = get("/") + get("/parts") + get("/")
    if before:
        line.send(get("/lend") + behind[:-60], behind[-60:])
    else:
        line.send(get("/lend"))
        line.send(behind)
    assert line.app.paths == ["/lend"]
    assert not line.transport.reads
    assert line.end() == LAST_CHUNK + PLAIN + LENT + b"2\r\ncd\r\n" + LAST_CHUNK + PLAIN
    assert line.app.paths == ["/lend", "/", "/parts", "/"]
    assert line.transport.reads


def test_what_is_asked_behind_a_stream_waits_even_if_only_half_a_head_has_come_or_the_door_knows_it(line: Line) -> None:
    request = get("/door", b"X-A: b\r\n")
    line.protocol.data_received(get("/lend") + request[:-10])
    line.run()
    line.send(request[-10:])
    assert line.asked == [(b"/lend", [(b"host", b"a")])]
    assert line.end() == LAST_CHUNK + PLAIN
    assert line.app.scopes[-1]["headers"] == [(b"host", b"a"), (b"x-a", b"b")]


def test_one_request_behind_a_stream_is_enough_to_read_no_more(line: Line) -> None:
    line.send(get("/lend"))
    line.send(get("/"))
    assert not line.transport.reads
    assert line.end() == LAST_CHUNK + PLAIN
    assert line.transport.reads


def test_what_comes_while_a_request_from_behind_a_stream_is_answered_waits_for_that(line: Line) -> None:
    line.send(get("/lend") + get("/wait"))
    assert line.end() == LAST_CHUNK
    assert line.send(get("/")) == b""
    assert line.app.paths == ["/lend", "/wait"]
    line.app.go_on.set()
    assert line.run().endswith(LAST_CHUNK + PLAIN * 2)


def test_a_connection_that_is_lent_keeps_nothing_of_the_response_that_began_on_it(line: Line) -> None:
    line.protocol.data_received(get("/lend"))
    cycle = weakref.ref(line.protocol.cycle)
    assert line.run() == LENT
    assert cycle() is None
    assert line.end() == LAST_CHUNK


def test_what_cannot_be_read_is_refused_behind_what_is_being_answered(loop: asyncio.AbstractEventLoop) -> None:
    for path in ("/lend", "/wait"):
        line = Line(loop)
        line.send(get(path))
        assert line.send(b"\x00 no HTTP") == b""
        line.app.go_on.set()
        ending = line.end() if path == "/lend" else line.run()
        assert b"HTTP/1.1 400 " in ending


def test_a_process_that_goes_closes_idle_connections_at_once_and_streams_at_their_end(
    loop: asyncio.AbstractEventLoop,
) -> None:
    idle, streams = Line(loop), Line(loop)
    streams.send(get("/lend"))
    for line in (idle, streams):
        line.protocol.shutdown()
    assert (idle.transport.closing, streams.transport.closing) == (True, False)
    assert streams.end() == LAST_CHUNK
    assert streams.transport.closing


def test_who_is_cut_has_five_seconds_to_take_what_was_written(line: Line) -> None:
    line.send(get("/lend"))
    line.viewer.drop()
    assert not line.transport.closing, "whoever dropped it is in the middle of others"
    line.viewer.abort()
    assert line.run() == LENT
    assert (line.transport.closing, line.transport.aborted) == (True, False)
    assert line.loop.later == [(5.0, line.transport.abort)]


def test_a_viewer_whose_client_has_left_is_detached_once_and_has_nothing_of_its_connection(line: Line) -> None:
    line.send(get("/lend"))
    assert line.viewer.taken() == -7
    line.lose()
    assert line.app.left == [line.viewer]
    line.viewer.tell(TOLD)
    line.viewer.abort()
    assert (line.run(), line.viewer.taken(), line.transport.aborted) == (LENT, 0, False)


def test_who_takes_nothing_can_be_ended_from_outside(line: Line) -> None:
    line.send(get("/lend"))
    line.viewer.abort()
    assert line.transport.aborted


def test_nothing_is_written_while_the_transport_takes_nothing_not_even_at_first(line: Line) -> None:
    line.protocol.pause_writing()
    assert line.protocol.flow.write_paused
    line.send(get("/door"))
    assert line.viewer.blocked_since is not None
    written = line.transport.written
    line.viewer.tell(TOLD)
    assert line.run() == written
    line.protocol.resume_writing()
    assert not line.protocol.flow.write_paused
    assert line.run() == written + chunk(RETRY + TOLD)
    line.viewer.done = "end"
    line.protocol.pause_writing()
    assert line.viewer.blocked_since is None, "it has nothing more to write"


def test_a_stream_that_is_lent_while_the_transport_takes_nothing_begins_when_it_takes_more(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = line.transport.write

    def fill(data: bytes) -> None:
        write(data)
        if b"ab" in data:
            line.protocol.pause_writing()

    monkeypatch.setattr(line.transport, "write", fill)
    line.viewer.tell(TOLD)
    assert line.send(get("/lend")) == LENT
    assert line.lent is None
    line.protocol.resume_writing()
    assert line.run() == LENT + chunk(RETRY + TOLD)


def test_a_feed_writes_to_the_socket_itself_while_that_takes_more(
    loop: asyncio.AbstractEventLoop, sockets: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = sockets
    line = Line(loop, lent=ours)
    line.viewer.tell(TOLD)
    line.viewer.position = 0
    line.send(get("/door"))
    assert line.transport.limits == [65536, 0]
    loan = line.lent
    assert loan
    assert loan.send(b"abc") == 3
    assert theirs.recv(9) == b"abc"
    loan.write(b"rest")
    assert line.transport.written.endswith(b"rest")
    line.protocol.pause_writing()
    assert line.lent is None
    line.protocol.resume_writing()
    assert line.lent
    line.end()
    assert line.lent is None
    assert line.transport.limits == [65536, 0, 65536]
    ours.send(b"still open")
    assert theirs.recv(99) == b"still open"


def test_on_tls_a_feed_gives_all_to_the_transport(line: Line) -> None:
    line.viewer.tell(TOLD)
    line.viewer.position = 0
    line.send(get("/door"))
    loan = line.lent
    assert loan
    assert loan.send(b"abc") == 0
    loan.write(b"abc")
    assert line.transport.written.endswith(b"abc")
    assert line.transport.limits == [65536]
    line.end()
    assert line.transport.limits == [65536]
