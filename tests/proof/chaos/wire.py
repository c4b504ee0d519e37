"""HTTP as the actors speak it: one request a connection, and a response that is known to be whole, or cut.

Bytes go to a callback as they come: a thousand viewers in one event loop can afford no more.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import httptools
import orjson

Address = tuple[str, int]
CONNECT_SECONDS = 3.0
_SMALL_WINDOW = 2048


class Lost(Exception):
    """The connection could not be made, or ended before the answer did: what was asked may have happened."""


class Reply(NamedTuple):
    """A whole answer; names of headers are in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.body)
        return found


class Call(asyncio.Protocol):
    """One request. `status` is the answer's, once its head is there; `ended` tells whether its end came (True), or only the
    connection's (False). Every byte of the body goes to `on_body`. With a `pause` in seconds it reads a little at a time."""

    def __init__(self, request: bytes, on_body: Callable[[bytes], None], pause: float = 0.0) -> None:
        loop = asyncio.get_running_loop()
        self.status: asyncio.Future[int] = loop.create_future()
        self.ended: asyncio.Future[bool] = loop.create_future()
        self.on_body = on_body
        self.headers: dict[str, str] = {}
        self._request = request
        self._pause = pause
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._pause and self._transport is not None:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(self._pause, self._read_on)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.leave()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(False)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_headers_complete(self) -> None:
        if not self.status.done():
            self.status.set_result(self._parser.get_status_code())

    def on_message_complete(self) -> None:
        self._end(True)
        self.leave()

    def _read_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def leave(self) -> None:
        """Hangs up."""
        if self._transport is not None:
            self._transport.abort()
        self._end(False)

    def _end(self, whole: bool) -> None:
        if not self.ended.done():
            self.ended.set_result(whole)
        if not self.status.done():
            self.status.cancel()


async def call(
    address: Address,
    method: str,
    target: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    on_body: Callable[[bytes], None],
    seconds: float,
    pause: float = 0.0,
) -> Call:
    """A call whose answer has begun; its `status` is done. With a `pause` its answer is read so slowly, through a window that
    holds little. Raises Lost."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {address[0]}:{address[1]}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines += [] if "Content-Type" in (headers or {}) else ["Content-Type: application/json"]
        lines.append(f"Content-Length: {len(body)}")
    request = "\r\n".join([*lines, "", ""]).encode() + body
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            made = await _connected(address, Call(request, on_body, pause), small=pause > 0)
    except (OSError, TimeoutError) as error:
        raise Lost(repr(error)) from None
    await asyncio.wait({made.status}, timeout=seconds)
    if not made.status.done() or made.status.cancelled():
        made.leave()
        raise Lost("no answer")
    return made


async def _connected(address: Address, made: Call, *, small: bool) -> Call:
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    try:
        sock.setblocking(False)
        if small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_WINDOW)
        await loop.sock_connect(sock, address)
        await loop.create_connection(lambda: made, sock=sock)
    except BaseException:
        sock.close()
        raise
    return made


async def ask(
    address: Address,
    method: str,
    target: str,
    *,
    headers: Mapping[str, str] | None = None,
    content: object = None,
    raw: bytes = b"",
    seconds: float = 8.0,
) -> Reply:
    """The whole answer to `content` as JSON, or to `raw`. Raises Lost."""
    parts: list[bytes] = []
    body = raw if content is None else orjson.dumps(content)
    made = await call(address, method, target, headers=headers, body=body, on_body=parts.append, seconds=seconds)
    await asyncio.wait({made.ended}, timeout=seconds)
    whole = made.ended.done() and made.ended.result()
    made.leave()
    if not whole:
        raise Lost("cut")
    return Reply(made.status.result(), b"".join(parts), made.headers)
