"""Whom the simulator tells what it was asked."""

import asyncio
from typing import Any

import pytest

from worker.simulator.server import Simulator


class Transport(asyncio.Transport):
    """A client's socket, from an address."""

    def __init__(self, host: str) -> None:
        super().__init__({"peername": (host, 40000)})
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...

    def abort(self) -> None: ...


def answer(host: str, request: bytes) -> bytes:
    async def ask() -> bytes:
        connection, transport = Simulator().connection(), Transport(host)
        connection.connection_made(transport)
        connection.data_received(request + b" HTTP/1.1\r\nHost: simulator\r\n\r\n")
        connection.connection_lost(None)
        return transport.written.partition(b"\r\n")[0]

    return asyncio.run(ask())


@pytest.mark.parametrize("request_line", [b"GET /_sim/requests", b"DELETE /_sim/requests"])
def test_what_was_asked_is_told_on_the_same_machine_alone(request_line: bytes) -> None:
    for host in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        assert answer(host, request_line).startswith(b"HTTP/1.1 20")
    for host in ("172.18.0.5", "10.0.0.1", "fe80::1%eth0", "::ffff:10.0.0.1"):
        assert answer(host, request_line).startswith(b"HTTP/1.1 404")


def test_whether_it_is_well_is_told_to_everybody() -> None:
    assert answer("172.18.0.5", b"GET /_sim/health").startswith(b"HTTP/1.1 200")
