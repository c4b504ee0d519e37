"""Who reads slowly is served; who takes nothing is cut."""

import os
import select
import socket
import sys
import time

import pytest

from api.__main__ import listen
from api.settings import ApiSettings
from tests.system.http.conftest import STALLED_SECONDS, Server
from tests.system.http.wire import SECONDS, Connection

needs_tcp_info = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a client has acknowledged")


def take(connection: Connection, most: int) -> bytes:
    """Bytes as they are on the wire: on TLS a whole record would be read at once. Raises ConnectionResetError."""
    assert select.select([connection.socket], [], [], SECONDS)[0]
    return os.read(connection.socket.fileno(), most)


@needs_tcp_info
def test_a_client_that_keeps_reading_however_slowly_is_not_cut(large: str, server: Server) -> None:
    """8 KB a second, for three times as long as one that takes nothing is kept: what it takes meanwhile is less than what waits
    for it in any one buffer."""
    with server.address.connect(receive_buffer=2048) as connection:
        connection.ask(f"/v1/generations/{large}/events")
        until = time.monotonic() + 3 * STALLED_SECONDS
        while time.monotonic() < until:
            assert take(connection, 512)
            time.sleep(1 / 16)


def test_a_client_that_stops_reading_after_a_while_is_cut(large: str, server: Server) -> None:
    before = server.connections()
    with server.address.connect(receive_buffer=2048) as connection:
        connection.ask(f"/v1/generations/{large}/events")
        for _ in range(8):
            assert take(connection, 512)
            time.sleep(1 / 16)
        server.await_connections(before)


@needs_tcp_info
def test_a_client_that_vanishes_is_given_up_by_the_kernel() -> None:
    settings = ApiSettings(port=0, stalled_viewer=30)
    with listen(settings, shared=False) as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()) as client:
            accepted, _ = listening.accept()
            with accepted:
                milliseconds = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            assert client
    assert milliseconds == 30_000
