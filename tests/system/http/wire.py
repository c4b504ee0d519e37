"""One HTTP connection, read byte by byte: what a forgiving client library would not notice."""

import json
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tests.harness.client import Frame, frames

SECONDS = 20.0
_SIZE = re.compile(rb"[1-9a-f][0-9a-f]*|0", re.ASCII)


class Cut(Exception):
    """The connection ended before the answer did."""


@dataclass(frozen=True)
class Head:
    status: int
    headers: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """A whole answer. `chunks` are those of a chunked one, without the empty one at its end."""

    status: int
    headers: dict[str, str]
    body: bytes
    chunks: tuple[bytes, ...] = ()

    @property
    def frames(self) -> list[Frame]:
        return list(frames(iter([self.body])))

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass(frozen=True)
class Address:
    """Where a server listens, and how its TLS is trusted, if it has any."""

    port: int
    tls: ssl.SSLContext | None = None

    def connect(self, *, receive_buffer: int | None = None) -> "Connection":
        raw = socket.socket()
        try:
            raw.settimeout(SECONDS)
            if receive_buffer is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            raw.connect(("127.0.0.1", self.port))
            return Connection(self.tls.wrap_socket(raw, server_hostname="localhost") if self.tls else raw)
        except BaseException:
            raw.close()
            raise

    def get(self, path: str, **headers: str) -> Answer:
        """One answer, on a connection of its own."""
        with self.connect() as connection:
            return connection.get(path, **headers)

    def answers(self) -> bool:
        """Whether somebody listens and is ready."""
        try:
            return self.get("/readyz").status == 200
        except ConnectionRefusedError:
            return False


class Connection:
    """Use it as a context. Reading fails, with AssertionError, on anything that is not exactly HTTP/1.1 as we write it, and
    with Cut where the connection ends inside an answer."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def ask(self, path: str, method: str = "GET", body: object = None, version: str = "1.1", **headers: str) -> None:
        """Sends a request and waits for nothing. `last_event_id` is the header Last-Event-ID."""
        fields = {"Host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
        encoded = b""
        if body is not None:
            encoded = json.dumps(body).encode()
            fields |= {"Content-Type": "application/json", "Content-Length": str(len(encoded))}
        lines = [f"{method} {path} HTTP/{version}", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        self.socket.sendall("\r\n".join(lines).encode() + encoded)

    def get(self, path: str, **headers: str) -> Answer:
        self.ask(path, **headers)
        return self.answer()

    def answer(self, *, bodyless: bool = False) -> Answer:
        """The next answer to its end. `bodyless`: it is one to HEAD."""
        head = self.head()
        if bodyless or head.status == 204:
            return Answer(head.status, head.headers, b"")
        if head.headers.get("transfer-encoding") == "chunked":
            assert "content-length" not in head.headers
            chunks = tuple(self.chunks())
            return Answer(head.status, head.headers, b"".join(chunks), chunks)
        if (length := head.headers.get("content-length")) is not None:
            return Answer(head.status, head.headers, self._take(int(length)))
        assert head.headers["connection"] == "close", "else nobody could tell where it ends"
        return Answer(head.status, head.headers, self.rest())

    def head(self) -> Head:
        status, *lines = self._until(b"\r\n\r\n").decode("ascii").split("\r\n")
        version, number, _ = status.split(" ", 2)
        assert version == "HTTP/1.1", status
        headers: dict[str, str] = {}
        for line in lines:
            name, value = line.split(": ", 1)
            assert name.lower() not in headers, line
            headers[name.lower()] = value
        return Head(int(number), headers)

    def chunks(self) -> Iterator[bytes]:
        """The chunks as they come, up to the empty one, which is not among them."""
        while True:
            line = self._until(b"\r\n")
            assert _SIZE.fullmatch(line), line
            chunk = self._take(int(line, 16))
            assert self._take(2) == b"\r\n"
            if not chunk:
                return
            yield chunk

    def rest(self) -> bytes:
        """Everything up to the connection's end."""
        while self._more():
            pass
        rest, self._buffer = self._buffer, b""
        return rest

    def is_over(self) -> bool:
        """Whether the server has closed the connection and nothing was left on it. Waits for either."""
        return not self._buffer and not self._more()

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            if not self._more():
                raise Cut(self._buffer)
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._more():
                raise Cut(self._buffer)
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _more(self) -> bool:
        try:
            received = self.socket.recv(65536)
        except ConnectionResetError:
            received = b""
        self._buffer += received
        return bool(received)
