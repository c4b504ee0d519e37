"""One HTTP/1.1 connection: httptools reads requests, one at a time is answered, a client that goes is noticed at once."""

import asyncio
import contextlib
import itertools
import secrets
import socket
import struct
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Protocol, cast

import httptools

from worker.simulator.protocol import CONTINUE, response, stream_head
from worker.simulator.refused import Refused

_MAX_BODY = 32 << 20
# Requests that a client sent ahead of their answers; more than that is not a client of ours.
_MAX_PIPELINED = 16
_IDLE_S = 300.0
_RUN = secrets.token_hex(4)
_requests = itertools.count(1)
_connections = itertools.count(1)


@dataclass(slots=True)
class Request:
    """One request as it came; header names are in lower case. `too_large`: its body was thrown away."""

    id: str
    connection: int
    method: str = ""
    target: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    keep_alive: bool = True
    too_large: bool = False


class Answering(Protocol):
    """A response under way."""

    def resume(self) -> None:
        """The socket takes bytes again."""

    def lost(self) -> None:
        """The client went away."""


class Connection(asyncio.Protocol):
    """Reads requests and hands each to `serve`, which replies through this Wire or returns a response under way."""

    def __init__(self, serve: Callable[["Connection", Request], Answering | None], open_: set["Connection"]) -> None:
        self.paused = False
        self._serve = serve
        self._open = open_
        self._number = next(_connections)
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._incoming = self._new_request()
        self._waiting: deque[Request] = deque()
        self._current: Request | None = None
        self._answering: Answering | None = None
        self._idle: asyncio.TimerHandle | None = None

    # What asyncio calls.

    @property
    def from_here(self) -> bool:
        """Whether the client is on this machine."""
        host = str(self._transport.get_extra_info("peername")[0]).removeprefix("::ffff:")
        return ip_address(host.partition("%")[0]).is_loopback

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._open.add(self)
        self._rest()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._transport.abort()

    def eof_received(self) -> None:
        # Clients of this API never close one half only: who closes has gone, and what is unsent is of no use.
        self._gone()
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone()
        self._open.discard(self)
        if self._idle is not None:
            self._idle.cancel()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        if self._answering is not None:
            self._answering.resume()

    # What httptools calls.

    def on_message_begin(self) -> None:
        self._incoming = self._new_request()

    def on_url(self, url: bytes) -> None:
        self._incoming.target += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._incoming.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._incoming.method = self._parser.get_method().decode("latin-1")
        self._incoming.keep_alive = self._parser.should_keep_alive()
        if self._incoming.headers.get("expect", "").lower() == "100-continue" and self._current is None:
            self._transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        self._incoming.body += body
        if len(self._incoming.body) > _MAX_BODY:
            self._incoming.too_large = True
            self._incoming.body.clear()

    def on_message_complete(self) -> None:
        self._waiting.append(self._incoming)
        if len(self._waiting) > _MAX_PIPELINED:
            self._transport.abort()
        elif self._current is None:
            self._next()

    # What a response calls: see stream.Wire.

    def begin_stream(self, headers: Mapping[str, str]) -> None:
        request = self._answered()
        self._transport.write(stream_head(request.id, headers, request.keep_alive))

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        request = self._answered()
        self._transport.write(response(status, body, request.id, headers, request.keep_alive))
        self.finish()

    def finish(self) -> None:
        request, self._current, self._answering = self._answered(), None, None
        if not request.keep_alive:
            self._transport.close()
        elif self._waiting:
            self._loop.call_soon(self._next)
        else:
            self._rest()

    def close(self) -> None:
        self._answering = None
        self._transport.close()

    def reset(self) -> None:
        self._answering = None
        sock = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # it is closed already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def abort(self) -> None:
        """Drops the connection: the server is going."""
        self._transport.abort()

    # Ours.

    def _next(self) -> None:
        if self._current is not None or not self._waiting or self._transport.is_closing():
            return
        if self._idle is not None:
            self._idle.cancel()
        self._current = self._waiting.popleft()
        answering = None
        if self._current.too_large:
            refused = Refused(413, "Request exceeds the maximum size")
            self.reply(413, refused.body(self._current.id), {})
        else:
            answering = self._serve(self, self._current)
        if self._current is not None:  # it has not been answered yet
            self._answering = answering

    def _rest(self) -> None:
        """Waits for a request, not for ever."""
        self._idle = self._loop.call_later(_IDLE_S, self._transport.close)

    def _gone(self) -> None:
        answering, self._answering = self._answering, None
        if answering is not None:
            answering.lost()

    def _answered(self) -> Request:
        if self._current is None:
            raise RuntimeError("there is no request to answer")
        return self._current

    def _new_request(self) -> Request:
        return Request(id=f"req_sim_{_RUN}_{next(_requests)}", connection=self._number)
