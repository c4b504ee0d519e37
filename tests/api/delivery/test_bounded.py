"""One connection, without a socket: what it may make a process hold, parse, or wait for, byte by byte."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from api.access.origin import ORIGINS, Origins
from api.delivery.bounded import BoundedProtocol
from api.delivery.connections import HEALTH_ROOM, SECONDS, Connections, Owed

HOST = b"Host: a.example\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /echo HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LIMIT = 32 * 1024
Message = dict[str, Any]


def post(body: bytes, *headers: bytes) -> bytes:
    return POST + b"".join(headers) + b"Content-Length: %d\r\n\r\n" % len(body) + body


def joined(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Each header's values as one."""
    return {name: b", ".join(value for other, value in headers if other == name) for name, _ in headers}


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closing = self.aborted = self.ended = False
        self.reads = True
        self.can_end = True

    def write(self, data: bytes) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return self.can_end

    def write_eof(self) -> None:
        assert self.can_end
        self.ended = True

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def get_extra_info(self, _name: str) -> None:
        return None


class App:
    """Answers with what it was asked. `/slow` waits for `go_on`, `/early` begins its answer before it reads the body, `/whole`
    answers before it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[bytes, bytes], bytes]] = []
        self.left = 0
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        path = scope["path"]
        start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
        if path == "/early":
            await send(start)
        if path == "/whole":
            await send(start)
            await send({"type": "http.response.body", "body": b"ok"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left += 1
                return
            body, more = body + message["body"], message["more_body"]
        self.asked.append((scope["method"], path, joined(scope["headers"]), body))
        if path == "/slow":
            await self.go_on.wait()
        if path != "/early":
            await send(start)
        await send({"type": "http.response.body", "body": b"ok"})


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Wire:
    """A connection and what is at both of its ends."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connections: Connections | None = None,
        state: dict[str, Any] | None = None,
    ) -> None:
        self.loop = loop
        self.clock = Clock()
        self.connections = connections or Connections(5, self.clock)
        self.app = App()
        self.transport = Transport()
        self.state = ServerState()
        self.state.default_headers = [(b"x-ours", b"1")]
        config = uvicorn.Config(cast(Any, self.app), log_config=None, ws="none", lifespan="off", access_log=False)
        self.protocol = BoundedProtocol(
            self.connections, config=config, server_state=self.state, app_state=state or {}, _loop=loop
        )
        self.protocol.connection_made(cast(Any, self.transport))

    def send(self, data: bytes, step: int = 1 << 30) -> None:
        for at in range(0, len(data), step):
            self.protocol.data_received(data[at : at + step])
        self.run()

    def run(self) -> None:
        for _ in range(30):
            self.loop.run_until_complete(asyncio.sleep(0))

    def answers(self) -> list[tuple[int, bytes, bytes]]:
        """Status, head and body of each, from what has been written."""
        found, rest = [], self.transport.written
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            if b"problem+json" in head and not rest:
                length = 0  # to HEAD
            found.append((int(head.split(b" ")[1]), head, rest[:length]))
            rest = rest[length:]
        return found

    def statuses(self) -> list[int]:
        return [status for status, _, _ in self.answers()]

    def refusal(self) -> str:
        """The code of the last answer, which is a problem that ends the connection; nothing behind it is read."""
        status, head, body = self.answers()[-1]
        problem = json.loads(body)
        assert problem["status"] == status
        assert head.endswith(b"\r\nconnection: close")
        assert b"content-type: application/problem+json" in head
        assert b"x-ours: 1" in head
        assert self.transport.ended
        assert self.protocol.owed is Owed.END
        before = self.transport.written
        self.send(GET)
        assert self.transport.written == before
        return str(problem["code"])

    def owed_after(self, data: bytes) -> Owed | None:
        self.send(data)
        return self.protocol.owed


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


@pytest.fixture
def wire(loop: asyncio.AbstractEventLoop) -> Wire:
    return Wire(loop)


# -- what is read


def test_requests_are_passed_on_whole_however_they_come(loop: asyncio.AbstractEventLoop) -> None:
    request = post(b"body", b"A:  b \t\r\n") + GET.replace(b"GET /", b"GET /there?x")
    for step in (1, 7, 1 << 20):
        wire = Wire(loop)
        wire.send(request, step)
        assert wire.statuses() == [200, 200]
        (method, path, headers, body), (next_method, next_path, _, nothing) = wire.app.asked
        assert (method, path, headers[b"a"], body) == ("POST", "/echo", b"b", b"body")
        assert (next_method, next_path, nothing) == ("GET", "/there", b"")
        assert wire.state.total_requests == 2


def test_a_body_is_not_counted_and_what_was_before_a_head_is_not_either(loop: asyncio.AbstractEventLoop) -> None:
    letters = bytes(range(97, 123)) * 4000
    for step in (1000, 1 << 14, 1 << 30):
        wire = Wire(loop)
        wire.send(post(letters), step)
        wire.send(CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(letters), letters), step)
        wire.send(CHUNKED + b"1a\r\n%b\r\n" % letters[:26] * 4000 + b"0\r\n\r\n", step)
        assert [body for *_, body in wire.app.asked] == [letters] * 3
    wire = Wire(loop)
    wire.send(post(b"a" * 16_000) + GET[:-2] + b"A: ")
    wire.send(b"a" * 20_000)
    wire.send(b"\r\n\r\n")
    assert wire.statuses() == [200, 200]
    wire.send(CHUNKED)
    wire.send(b"3e80\r\n" + b"a" * 16_000 + b"\r\n0\r\n")
    wire.send(b"A: " + b"a" * 20_000)
    wire.send(b"\r\n\r\n")
    assert wire.statuses() == [200] * 3


def test_a_head_has_at_most_32_kib_whatever_it_is_made_of(loop: asyncio.AbstractEventLoop) -> None:
    fixed = len(b"/" + b"Hosta.example" + b"A") + 2 * 4
    for name, head, trailer in (
        ("value", GET[:-2] + b"A: %b\r\n\r\n", b""),
        ("name", GET[:-2] + b"A%b: \r\n\r\n", b""),
        ("target", GET.replace(b"/ ", b"/%b ")[:-2] + b"A: \r\n\r\n", b""),
        ("trailer", CHUNKED.replace(b"/echo", b"/"), b"0\r\nA: %b\r\n\r\n"),
    ):
        most = LIMIT - fixed - (len(b"Transfer-Encodingchunked") + 4 if trailer else 0)
        for size, status in ((most, 200), (most + 1, 431)):
            wire = Wire(loop)
            long = b"a" * size
            wire.send(head % long if not trailer else head + trailer % long)
            assert wire.statuses() == [status], name
            if status == 431:
                assert wire.refusal() == "head_too_large"


def test_a_head_that_does_not_end_is_refused_behind_32_kib(loop: asyncio.AbstractEventLoop) -> None:
    for name, before, begun in (
        ("empty lines", b"", b""),
        ("target", b"", b"G"),
        ("value", b"", b"G"),
        ("behind another", GET[:-2] + b"A: " + b"a" * 20_000 + b"\r\n\r\n", b"G"),
        ("behind a body", post(b"a" * 20_000), b"G"),
        ("empty lines", post(b"a"), b""),
        ("trailer", b"", CHUNKED + b"0\r\n"),
    ):
        for step in (64, LIMIT):
            wire = Wire(loop)
            wire.send(before, 1000)
            wire.protocol.data_received(begun)
            rest = {"empty lines": b"\r\n" * LIMIT, "trailer": b"A: " + b"a" * LIMIT}.get(name)
            if rest is None:
                rest = b"ET /" + b"a" * LIMIT if name == "target" else GET[1:-2] + b"A: " + b"a" * LIMIT
            wire.send(rest[:LIMIT], step)
            assert 431 not in wire.statuses(), name
            wire.send(rest[LIMIT : LIMIT + 1])
            assert wire.statuses()[-1] == 431, name
            assert wire.refusal() == "head_too_large"


def test_of_a_head_that_does_not_end_48_kib_are_kept_however_much_comes_at_once(
    loop: asyncio.AbstractEventLoop,
) -> None:
    for size, statuses in ((48 * 1024, []), (48 * 1024 + 1, [431])):
        wire = Wire(loop)
        wire.send((GET[:-2] + b"A: ").ljust(size, b"a"))
        assert wire.statuses() == statuses


def test_what_is_said_of_each_chunk_is_no_part_of_the_head(wire: Wire) -> None:
    wire.send(CHUNKED)
    for _ in range(20):
        wire.protocol.data_received(b"1;" + b"x" * 5000 + b"\r\n")
        wire.protocol.data_received(b"a\r\n")
    wire.send(b"0\r\n\r\n")
    assert [body for *_, body in wire.app.asked] == [b"a" * 20]


def test_two_heads_in_turn_have_32_kib_each(wire: Wire) -> None:
    head = GET[:-2] + (b"A: " + b"a" * 990 + b"\r\n") * 20 + b"\r\n"
    wire.send(head * 2, 1000)
    assert wire.statuses() == [200, 200]


def test_a_head_and_its_trailers_have_at_most_100_lines(loop: asyncio.AbstractEventLoop) -> None:
    lines = b"A: a\r\n"
    for request, status in (
        (GET[:-2] + lines * 99 + b"\r\n", 200),
        (GET[:-2] + lines * 100 + b"\r\n", 431),
        (CHUNKED + b"0\r\n" + lines * 98 + b"\r\n", 200),
        (CHUNKED + b"0\r\n" + lines * 99 + b"\r\n", 431),
    ):
        wire = Wire(loop)
        wire.send(request * 2 if status == 200 else request)
        assert wire.statuses() == ([200, 200] if status == 200 else [431])


def test_a_trailer_is_no_header(wire: Wire) -> None:
    wire.send(CHUNKED + b"1\r\na\r\n0\r\nX-Late: 1\r\n\r\n")
    ((_, _, headers, body),) = wire.app.asked
    assert (body, headers) == (b"a", {b"host": b"a.example", b"transfer-encoding": b"chunked"})


def test_what_is_behind_a_request_that_ends_the_connection_is_dropped(loop: asyncio.AbstractEventLoop) -> None:
    for behind in (GET, b"\x00 no HTTP", b"a" * 100_000):
        for step in (1000, 1 << 30):
            wire = Wire(loop)
            wire.send(GET[:-2] + b"Connection: close\r\n\r\n" + behind, step)
            assert wire.statuses() == [200]
            assert wire.transport.closing
            assert wire.protocol.owed is Owed.NEXT


# -- what is refused


def test_whoever_asks_for_an_upgrade_is_answered_once_and_nothing_behind_it_is_parsed(
    loop: asyncio.AbstractEventLoop,
) -> None:
    letters = bytes(range(97, 123)) * 2000
    asks = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    for padding, body in (
        (b"", letters),
        (b"A: " + b"a" * 17_000 + b"\r\n", letters),
        (b"", b"\r\n" * 100 + GET),
        (b"Connection: close\r\n", letters),
    ):
        for step in (1000, 1 << 30):
            wire = Wire(loop)
            wire.send(post(body, asks, padding, b"B: c\r\n") + GET + b"a" * 50_000, step)
            ((status, head, _),) = wire.answers()
            assert (status, head.endswith(b"connection: close")) == (200, True)
            ((method, path, headers, found),) = wire.app.asked
            assert (method, path, found) == ("POST", "/echo", body)
            assert headers[b"b"] == b"c"
            assert headers[b"connection"] == b"close"
            assert not headers.keys() & {b"upgrade", b"http2-settings"}
            assert wire.transport.closing


def test_a_head_that_two_could_read_differently_is_refused_with_the_reason(wire: Wire) -> None:
    wire.send(GET.replace(b"/ ", b"/%2f ") + GET)
    assert json.loads(wire.answers()[0][2])["detail"].startswith("No path here has")
    assert wire.refusal() == "malformed_head"


@pytest.mark.parametrize(
    "request_", [b"\x16\x03 no HTTP", GET.replace(b"1.1", b"7.7"), GET.replace(b"\r\nH", b"\r\n H")]
)
def test_what_cannot_be_read_is_refused(wire: Wire, request_: bytes) -> None:
    wire.send(request_)
    assert wire.refusal() == "malformed_head"


def test_a_target_that_is_no_url_is_refused_behind_the_answers_before_it(loop: asyncio.AbstractEventLoop) -> None:
    for target in (b"http://a:99999/", b"/\xc3\xa9"):
        wire = Wire(loop)
        wire.send(b"GET %b HTTP/1.1\r\nHost: a:99999\r\n\r\n" % target)
        assert wire.refusal() == "malformed_head"
    running = Wire(loop)
    running.send(GET.replace(b"/ ", b"/slow ") + b"GET http://a:99999/ HTTP/1.1\r\nHost: a:99999\r\n\r\n")
    assert running.answers() == []
    running.app.go_on.set()
    running.run()
    assert running.statuses() == [200, 400]


def test_a_failure_of_ours_is_500_and_the_log_has_it(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("api.delivery.bounded.fault", lambda *_: 1 / 0)
    wire.send(GET)
    assert wire.refusal() == "internal_error"
    assert "ZeroDivisionError" in caplog.text


def test_a_refusal_has_no_body_for_head_and_no_end_where_there_is_none_to_write(
    loop: asyncio.AbstractEventLoop,
) -> None:
    wire = Wire(loop)
    wire.send(GET.replace(b"GET /", b"HEAD /%"))
    assert wire.transport.written.endswith(b"\r\n\r\n")
    assert wire.statuses() == [400]
    tls = Wire(loop)
    tls.transport.can_end = False
    tls.send(GET.replace(b"/ ", b"/% "))
    assert tls.statuses() == [400]


def test_eight_requests_wait_behind_one_and_the_next_is_refused_behind_their_answers(
    loop: asyncio.AbstractEventLoop,
) -> None:
    slow = GET.replace(b"/ ", b"/slow ")
    for waiting, refused in ((8, False), (9, True)):
        wire = Wire(loop)
        wire.send(slow + b"".join(GET.replace(b"/ ", b"/%d " % number) for number in range(waiting)))
        assert wire.answers() == []
        assert wire.protocol.owed is None
        wire.app.go_on.set()
        wire.run()
        assert wire.statuses() == [200] * 9 + [429] * refused
        assert [path for _, path, *_ in wire.app.asked] == ["/slow", *(f"/{number}" for number in range(8))]
        if refused:
            assert wire.refusal() == "too_many_pipelined"
        else:
            assert wire.protocol.owed is Owed.NEXT


def test_while_a_request_waits_nothing_more_is_read(wire: Wire) -> None:
    wire.send(GET.replace(b"/ ", b"/slow "))
    wire.send(GET.replace(b"/ ", b"/whole "))
    assert not wire.transport.reads
    wire.app.go_on.set()
    wire.run()
    assert wire.statuses() == [200, 200]
    assert wire.transport.reads


def test_what_waits_behind_a_request_is_not_done_for_a_client_that_has_left_meanwhile(wire: Wire) -> None:
    wire.send(GET.replace(b"/ ", b"/slow ") + GET)
    wire.transport.close()
    wire.app.go_on.set()
    wire.run()
    assert [path for _, path, *_ in wire.app.asked] == ["/slow"]


def test_what_cannot_be_read_behind_a_request_is_refused_behind_its_answer(loop: asyncio.AbstractEventLoop) -> None:
    running = Wire(loop)
    running.send(GET.replace(b"/ ", b"/slow ") + b"\x00")
    running.send(GET)
    assert running.answers() == []
    running.app.go_on.set()
    running.run()
    assert running.statuses() == [200, 400]
    answered = Wire(loop)
    answered.send(GET)
    answered.send(b"\x00")
    assert answered.statuses() == [200, 400]
    for wire in (running, answered):
        assert wire.refusal() == "malformed_head"


def test_a_body_that_breaks_its_framing_is_refused_if_nothing_is_answered_yet(loop: asyncio.AbstractEventLoop) -> None:
    wire = Wire(loop)
    wire.send(CHUNKED + b"1\r\na\r\n")
    wire.send(b"no size\r\n")
    assert wire.refusal() == "malformed_head"
    assert (wire.app.left, wire.app.asked) == (1, [])


def test_a_body_that_breaks_its_framing_ends_the_connection_behind_an_answer_that_has_begun(
    loop: asyncio.AbstractEventLoop,
) -> None:
    early = Wire(loop)
    early.send(CHUNKED.replace(b"/echo", b"/early"))
    early.send(b"no size\r\n")
    assert not early.transport.closing
    assert early.protocol.cycle.keep_alive is False
    whole = Wire(loop)
    whole.send(CHUNKED.replace(b"/echo", b"/whole"))
    whole.send(b"no size\r\n")
    assert whole.statuses() == [200]
    assert whole.transport.aborted
    waiting = Wire(loop)
    waiting.send(GET.replace(b"/ ", b"/slow ") + CHUNKED + b"no size\r\n")
    assert (waiting.answers(), waiting.protocol.owed) == ([], None)
    assert waiting.protocol.cycle.keep_alive is False
    waiting.app.go_on.set()
    waiting.run()
    assert waiting.statuses() == [200]


# -- what is owed


def test_what_a_connection_owes_follows_what_it_has_sent(wire: Wire) -> None:
    assert wire.owed_after(b"") is Owed.REQUEST
    assert wire.owed_after(b"\r\n") is Owed.REQUEST
    assert wire.owed_after(GET[:9]) is Owed.HEAD
    assert wire.owed_after(GET[9:]) is Owed.NEXT
    assert wire.owed_after(post(b"body")[:-1]) is None
    assert wire.owed_after(b"y") is Owed.NEXT
    assert wire.owed_after(b"\r\n") is Owed.NEXT
    assert wire.owed_after(GET.replace(b"/ ", b"/slow ") + GET[:9]) is None
    wire.app.go_on.set()
    wire.run()
    assert wire.protocol.owed is Owed.HEAD
    assert wire.owed_after(GET[9:]) is Owed.NEXT
    assert wire.statuses() == [200] * 4
    wire.protocol.connection_lost(None)
    assert wire.protocol.owed is None
    assert repr(wire.connections) == "<0 of 5 connections; no one waited for>"
    wire.send(GET)
    assert wire.statuses() == [200] * 4


def test_a_head_that_is_late_is_told_so_and_any_other_silence_is_not(loop: asyncio.AbstractEventLoop) -> None:
    late = Wire(loop)
    late.send(GET[:9])
    late.clock.now = SECONDS[Owed.HEAD]
    late.connections.tick()
    assert late.refusal() == "head_timeout"
    for data in (b"", GET):
        silent = Wire(loop)
        silent.send(data)
        silent.clock.now = SECONDS[Owed.NEXT]
        silent.connections.tick()
        assert silent.transport.aborted
        before = silent.transport.written
        assert before.count(b"HTTP/1.1") == bool(data)
        silent.send(GET)
        assert silent.transport.written == before


def test_a_connection_that_is_closing_is_told_nothing_more(wire: Wire) -> None:
    wire.send(GET[:9])
    wire.transport.close()
    wire.protocol.overdue(Owed.HEAD)
    assert wire.answers() == []
    assert wire.protocol.owed is Owed.END


def test_a_client_that_leaves_while_it_is_answered_is_told_of_to_the_application(wire: Wire) -> None:
    wire.send(post(b"body")[:-1])
    wire.protocol.connection_lost(OSError())
    wire.run()
    assert wire.app.left == 1
    assert wire.protocol not in wire.state.connections


def test_whatever_is_answered_lets_the_page_read_it_whose_origin_is_named(loop: asyncio.AbstractEventLoop) -> None:
    state = {ORIGINS: Origins(None, frozenset({"https://app.example"}))}
    allow = b"access-control-allow-origin: https://app.example"
    page = GET[:-2] + b"Origin: https://app.example\r\n\r\n"
    for request, allowed in (
        (page, [True]),
        (page.replace(b"/ ", b"/% "), [True]),
        (CHUNKED[:-2] + b"Origin: https://app.example\r\n\r\nno size\r\n", [True]),
        (GET, [False]),
        (page.replace(b"app", b"evil"), [False]),
        (page + GET + page, [True, False, True]),
    ):
        wire = Wire(loop, state=state)
        wire.send(request)
        assert [allow in head for _, head, _ in wire.answers()] == allowed
    behind = Wire(loop, state=state)
    behind.send(page)
    behind.send(b"\x00")
    assert [allow in head for _, head, _ in behind.answers()] == [True, False]
    none = Wire(loop)
    none.send(page.replace(b"/ ", b"/% "))
    assert [allow in head for _, head, _ in none.answers()] == [False]


class Busy:
    """Another connection, which is being answered."""

    owed: Owed | None = None

    def overdue(self, owed: Owed) -> None: ...

    def give_way(self) -> None: ...


def test_beyond_the_bound_health_checks_alone_are_answered_once_on_each_connection(
    loop: asyncio.AbstractEventLoop,
) -> None:
    connections = Connections(1, Clock())
    busy = Busy()
    assert connections.take(busy)
    connections.wait_for(busy, None)
    for path, status in ((b"/healthz", 200), (b"/readyz", 200), (b"/healthz/", 503), (b"/v1/generations", 503)):
        wire = Wire(loop, connections)
        assert wire.answers() == []
        wire.send(GET.replace(b"/ ", path + b" ") + GET)
        assert wire.statuses() == [status]
        if status == 503:
            assert wire.refusal() == "too_many_connections"
        else:
            assert wire.answers()[0][1].endswith(b"connection: close")
            assert wire.transport.closing
        wire.protocol.connection_lost(None)
    connections.leave(busy)
    wire = Wire(loop, connections)
    wire.send(GET + GET)
    assert wire.statuses() == [200, 200]


def test_beyond_the_room_for_health_checks_a_connection_is_refused_at_once(loop: asyncio.AbstractEventLoop) -> None:
    connections = Connections(1, Clock())
    for _ in range(HEALTH_ROOM):
        busy = Busy()
        connections.take(busy)
        connections.wait_for(busy, None)
    last = Wire(loop, connections)
    assert last.answers() == []
    connections.wait_for(last.protocol, None)
    for state in ({}, {ORIGINS: Origins(None, frozenset({"https://app.example"}))}):
        assert Wire(loop, connections, state).refusal() == "too_many_connections"
