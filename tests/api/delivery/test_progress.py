"""Whether a client has taken something: what its socket tells, and what stands in for that."""

import socket
import sys
from collections.abc import Iterator
from typing import Any, cast

import pytest

from api.delivery.progress import bytes_taken
from tests.harness.stack import until

Pair = tuple[socket.socket, socket.socket]


class Transport:
    """Holds seven bytes back."""

    def __init__(self, lent: object) -> None:
        self.lent = lent

    def get_extra_info(self, name: str) -> object:
        return self.lent if name == "socket" else None

    def get_write_buffer_size(self) -> int:
        return 7


def taken(lent: object) -> int:
    return bytes_taken(cast(Any, Transport(lent)))


@pytest.fixture
def tcp() -> Iterator[Pair]:
    """Ours and the client's."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as theirs,
    ):
        ours, _ = listening.accept()
        with ours:
            yield ours, theirs


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_linux_tells_how_many_bytes_a_client_has_taken_whatever_came_from_it(tcp: Pair) -> None:
    ours, theirs = tcp
    before = taken(ours)
    ours.sendall(b"a" * 300)
    until(lambda: taken(ours) == before + 300, "they are acknowledged")
    theirs.sendall(b"abc")
    assert ours.recv(3) == b"abc"
    assert taken(ours) == before + 300


def test_elsewhere_it_is_what_the_transport_holds_back(tcp: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.delivery.progress.sys.platform", "darwin")
    assert taken(tcp[0]) == -7


def test_who_has_no_open_socket_of_tcp_is_not_asked(tcp: Pair) -> None:
    tcp[0].close()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for lent in (None, tcp[0], ours):
            assert taken(lent) == -7
        ours.sendall(b"a")
        assert theirs.recv(2) == b"a", "it was only lent"
