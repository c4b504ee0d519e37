"""uvicorn's httptools protocol, bounded: what one connection may make a process hold, parse, or wait for.

What is refused here, before there is an application's task, is answered with a problem document, in its turn, and nothing
behind it is parsed: the connection reads and drops until the client ends it, or two seconds, so that the answer is not lost.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.access.origin import ORIGINS, Header, Origins
from api.delivery.connections import Connections, Owed
from api.delivery.request_head import fault, opens_socket
from api.intake.problems import Code, Problem, from_unexpected
from api.intake.shapes import worded

_MOST_HEAD: Final = 32 * 1024
"""Bytes of request line, headers and trailers. Without a bound one client makes a process hold whatever it sends."""
_MOST_LINES: Final = 100
"""Headers and trailers. Each costs much more than its bytes."""
_PIECE: Final = 16 * 1024
"""Bytes that the parser gets at a time, so that it is stopped soon behind a bound: it keeps half a line without a word."""
_MOST_WAITING: Final = 8
"""Requests behind one that is being answered. A read of 64 KiB may hold thousands."""
_HEALTH: Final = frozenset({b"/healthz", b"/readyz"})
_OF_THIS_HOP: Final = frozenset({b"connection", b"upgrade", b"http2-settings"})


SOCKETS: Final = "respool.sockets"
"""Under which name the application's life span puts the paths at which it speaks WebSocket into its state, and how many bytes a
message may have at each."""


class _Refused(Exception):
    """Leaves the parser through its callback."""

    def __init__(self, code: Code, detail: str | None = None) -> None:
        self.problem = Problem(code, detail)


class BoundedProtocol(HttpToolsProtocol):
    """Subclasses override `_begin`, which starts what answers a request whose head is in order."""

    owed: Owed | None = None
    _health_only: bool
    _deaf = False  # what comes is dropped
    _refusal: Problem | None = None  # to be told when what was asked before it is answered
    _in_head = False
    _in_body = False
    _counts = True  # what is parsed is no body's data
    _step = 0  # changes with each of these three
    _unfinished = 0  # bytes since then
    _size: int  # of the head
    _lines: int
    _upgrading = False

    def __init__(self, connections: Connections, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections = connections

    # -- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._health_only = not self._connections.take(self)
        if self._connections.crowded:
            self._answer(Problem(Code.TOO_MANY_CONNECTIONS))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._deaf = True
        self._connections.leave(self)

    def overdue(self, owed: Owed) -> None:
        if owed is Owed.HEAD:
            self._refuse(Problem(Code.HEAD_TIMEOUT))
        else:
            self.give_way()

    def give_way(self) -> None:
        self._deaf = True
        self.transport.abort()

    def _is_busy(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    # -- parsing

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        try:
            self._parse(data)
        except _Refused as refused:
            self._refuse(refused.problem)
        except httptools.HttpParserError as error:
            self._refuse(_problem_of(error))
        else:
            self._owe()

    def _owe(self) -> None:
        if self._is_busy():
            self._connections.wait_for(self, None)
        elif self._in_head:
            self._connections.wait_for(self, Owed.HEAD)

    def _parse(self, data: bytes) -> None:
        for at in range(0, len(data), _PIECE):
            piece, step = data[at : at + _PIECE], self._step
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                rest = piece[upgrade.args[0] :] + data[at + _PIECE :]
                break
            if self._deaf:
                return
            if self._counts and step == self._step:
                self._unfinished += len(piece)
                if self._unfinished > _MOST_HEAD:
                    raise _Refused(Code.HEAD_TOO_LARGE)
        else:
            return
        if self._becomes_socket():
            self._hand_over(rest)
        else:
            self._parse(self._without_upgrade() + rest)

    def _becomes_socket(self) -> bool:
        """Whether what was parsed opens a WebSocket, and nothing is being answered before it."""
        sockets: Mapping[bytes, int] = self.app_state.get(SOCKETS, {})
        return (
            self.url.partition(b"?")[0] in sockets
            and self.parser.get_method() == b"GET"
            and not self._is_busy()
            and self._should_upgrade_to_ws()
            and opens_socket(self.headers)
        )

    def _hand_over(self, rest: bytes) -> None:
        """To uvicorn's protocol for WebSockets, which counts as this connection from now on."""
        self._deaf = True
        self._connections.leave(self)
        self.scope["method"] = "GET"
        self.handle_websocket_upgrade()
        if rest and isinstance(successor := self.transport.get_protocol(), asyncio.Protocol):
            successor.data_received(rest)

    def _without_upgrade(self) -> bytes:
        """The head that was parsed, as one that asks for no upgrade, and for the connection's end. The parser takes whatever is
        behind a head that asks for one as of the other protocol, and the body is not there for it."""
        self._upgrading = False
        head = [b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        head += [b"%b: %b\r\n" % header for header in self.headers if header[0] not in _OF_THIS_HOP]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does: it is dropped
        return b"".join((*head, b"connection: close\r\n\r\n"))

    def _enter(self, *, head: bool = False, body: bool = False) -> None:
        self._in_head, self._in_body, self._counts = head, body, not body
        self._step += 1
        self._unfinished = 0

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._enter(head=True)
        self._size = self._lines = 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines += 1
        self._count(len(name) + len(value) + 4)
        if self._in_head:  # a trailer would be a header of the request behind its head
            super().on_header(name, value.rstrip(b" \t"))

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > _MOST_HEAD or self._lines > _MOST_LINES:
            raise _Refused(Code.HEAD_TOO_LARGE)

    def on_headers_complete(self) -> None:
        wrong = fault(self.url, self.parser.get_http_version(), self.headers)
        if wrong is not None:
            raise _Refused(Code.MALFORMED_HEAD, wrong)
        if self._health_only and self.url not in _HEALTH:
            raise _Refused(Code.TOO_MANY_CONNECTIONS)
        if len(self.pipeline) >= _MOST_WAITING:
            raise _Refused(Code.TOO_MANY_PIPELINED)
        if self.parser.should_upgrade():
            self._upgrading = True
        else:
            self._begin()
        self._enter(body=True)  # not before: who cannot begin is refused as of its head

    def _begin(self) -> None:
        super().on_headers_complete()
        if sharing := self._sharing():
            self.cycle.default_headers = [*self.cycle.default_headers, *sharing]
        if self._health_only:
            self.cycle.keep_alive = False

    def on_chunk_header(self) -> None:
        """Behind it come data, or trailers."""
        self._counts = True
        self._step += 1

    def on_body(self, body: bytes) -> None:
        self._counts = False
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._upgrading:
            return
        super().on_message_complete()
        self._enter()
        if not self.parser.should_keep_alive():
            self._deaf = True

    # -- answering

    def on_response_complete(self) -> None:
        """As uvicorn's, without a timer for each connection."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            # A client that takes nothing must not hold it open.
            self._connections.wait_for(self, Owed.NEXT)
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._refusal is not None:
            self._answer(self._refusal)
        else:
            self._connections.wait_for(self, Owed.HEAD if self._in_head else Owed.NEXT)

    def _refuse(self, problem: Problem) -> None:
        """Tells it when all that was asked before is answered; nothing more is parsed."""
        self._deaf = True
        self._owe()
        if not self._in_body:
            self._refusal = problem
            if not self._is_busy():
                self._answer(problem)
        elif self.cycle.response_complete:
            self.give_way()
        elif self.cycle.response_started or self.pipeline:
            self.cycle.keep_alive = False
        else:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._answer(problem)

    def _answer(self, problem: Problem) -> None:
        """The last words on this connection."""
        self._deaf = True
        self._connections.wait_for(self, Owed.END)
        if self.transport.is_closing():
            return
        response = worded(problem, *self._asked())
        headers = [
            *self.server_state.default_headers, *self._sharing(), *response.raw_headers, (b"connection", b"close"),
        ]  # fmt: skip
        lines = [STATUS_LINE[response.status_code], *(b"%b: %b\r\n" % header for header in headers), b"\r\n"]
        body = b"" if self.parser.get_method() == b"HEAD" else bytes(response.body)
        self.transport.write(b"".join(lines) + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _asked(self) -> tuple[str, Sequence[Header]]:
        """The path and the headers, as far as they were read."""
        if not (self._in_head or self._in_body):
            return "", ()
        return self.url.partition(b"?")[0].decode("latin-1"), self.headers

    def _sharing(self) -> Sequence[Header]:
        """Headers for the page that asked, as far as its request's head was read."""
        origins: Origins | None = self.app_state.get(ORIGINS)
        return origins.sharing(self.headers) if origins is not None and (self._in_head or self._in_body) else ()


def _problem_of(error: httptools.HttpParserError) -> Problem:
    """What stopped the parser: itself, or one of our callbacks."""
    if isinstance(error, httptools.HttpParserCallbackError):
        match error.__context__:
            case _Refused() as refused:
                return refused.problem
            case httptools.HttpParserInvalidURLError():
                pass
            case _:
                return from_unexpected(error)  # the log has the callback's own behind it
    return Problem(Code.MALFORMED_HEAD)
