"""A viewer's socket, taken by hand: what a client library would hide, such as not reading, or how a stream was cut."""

import os
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import pytest

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="what a process holds is read from /proc")

_ESTABLISHED = "01"


class RawViewer:
    """One event stream, read only when asked to. `cut` after it ended: without the chunk that ends a response."""

    def __init__(self, url: str, id_: str, *, receive_buffer: int | None = None) -> None:
        where = urlsplit(url)
        assert where.hostname is not None
        self.received = b""
        self._socket = socket.socket()
        self._socket.settimeout(20)
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.connect((where.hostname, where.port))
        self.port: int = self._socket.getsockname()[1]
        self._socket.sendall(stream_request(id_))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def read(self, most: int = 65536, seconds: float = 20.0) -> bool:
        """Reads something; False if the connection has ended instead. Raises TimeoutError."""
        self._socket.settimeout(seconds)
        try:
            data = self._socket.recv(most)
        except ConnectionResetError:
            data = b""
        self.received += data
        return bool(data)

    def read_for(self, seconds: float) -> bytes:
        """What comes until nothing has come for so long, or the connection ends."""
        before = len(self.received)
        with suppress(TimeoutError):
            while self.read(seconds=seconds):
                pass
        return self.received[before:]

    @property
    def cut(self) -> bool:
        return not self.received.endswith(b"0\r\n\r\n")

    @property
    def body(self) -> bytes:
        """What the chunks carried so far; half of one is left out."""
        rest = self.received.partition(b"\r\n\r\n")[2]
        body = b""
        while b"\r\n" in rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            if not length or len(rest) < length + 2:
                break
            body, rest = body + rest[:length], rest[length + 2 :]
        return body


def stream_request(id_: str) -> bytes:
    """Asks for a stream that the server closes behind its end."""
    lines = [
        f"GET /v1/generations/{id_}/events HTTP/1.1",
        "Host: localhost",
        "Accept: text/event-stream",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def memory(pid: int) -> int:
    """Bytes that a process has resident."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_on_server(url: str, viewers: Iterable[RawViewer]) -> int:
    """How many of these viewers' connections a server on this machine has open, as the kernel sees it; one that was closed with
    bytes unsent is none. Each is looked for by its port: the kernel's table is read in pieces, and a row may come twice."""
    mine = {viewer.port for viewer in viewers}
    port = urlsplit(url).port
    assert port is not None
    with open("/proc/net/tcp") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    opened = {
        int(row[2].rpartition(":")[2], 16) for row in rows if row[1].endswith(f":{port:04X}") and row[3] == _ESTABLISHED
    }
    return len(mine & opened)
