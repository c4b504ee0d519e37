"""How long a connection may owe its next request, and who makes room."""

import resource

import pytest

from api.delivery.connections import HEALTH_ROOM, SECONDS, Connections, Owed, bound


class Peer:
    def __init__(self, connections: Connections) -> None:
        self.owed: Owed | None = None
        self.late: Owed | None = None
        self.gone = False
        self.in_room = not connections.take(self)

    def overdue(self, owed: Owed) -> None:
        self.late = owed

    def give_way(self) -> None:
        self.gone = True


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_each_wait_has_its_own_bound_and_starts_anew_only_with_what_was_owed() -> None:
    assert SECONDS == {Owed.END: 2, Owed.REQUEST: 10, Owed.HEAD: 10, Owed.NEXT: 75, Owed.FOLLOW: 600}
    clock = Clock()
    connections = Connections(100, clock)
    for owed in Owed:
        peer = Peer(connections)
        connections.wait_for(peer, None)
        connections.wait_for(peer, owed)
        clock.now += SECONDS[owed] - 0.1
        connections.wait_for(peer, owed)
        connections.tick()
        assert peer.late is None
        clock.now += 0.1
        connections.tick()
        assert peer.late is owed
        connections.leave(peer)
    assert repr(connections) == "<0 of 100 connections; no one waited for>"


def test_a_request_that_is_answered_is_never_late() -> None:
    clock = Clock()
    connections = Connections(100, clock)
    peer = Peer(connections)
    connections.wait_for(peer, None)
    clock.now += 10_000
    connections.tick()
    assert peer.late is None


def test_who_owes_most_makes_room_oldest_first() -> None:
    connections = Connections(40, Clock())
    busy, idle, half, silent, silent_too = (Peer(connections) for _ in range(5))
    connections.wait_for(busy, None)
    connections.wait_for(idle, Owed.NEXT)
    connections.wait_for(half, Owed.HEAD)
    rest = [Peer(connections) for _ in range(35)]
    for peer in rest:
        connections.wait_for(peer, Owed.NEXT)
    for gone in (silent, silent_too, half, idle):
        assert not gone.gone
        newcomer = Peer(connections)
        assert gone.gone
        assert not newcomer.in_room
        connections.wait_for(newcomer, Owed.NEXT)
    assert not busy.gone
    assert not any(peer.gone for peer in rest)


def test_where_all_are_busy_there_is_room_for_health_checks_and_it_is_given_a_moment() -> None:
    clock = Clock()
    connections = Connections(5, clock)
    busy = [Peer(connections) for _ in range(5)]
    for peer in busy:
        connections.wait_for(peer, None)
    room = [Peer(connections) for _ in range(HEALTH_ROOM)]
    assert all(peer.in_room and not peer.gone for peer in room)
    assert Peer(connections).in_room
    assert [peer.gone for peer in room] == [True] + [False] * (HEALTH_ROOM - 1)
    clock.now += 2
    assert Peer(connections).in_room
    assert all(peer.gone for peer in room)
    assert not any(peer.gone for peer in busy)


def busy(connections: Connections, number: int) -> list[Peer]:
    peers = []
    for _ in range(number):
        peers.append(Peer(connections))
        connections.wait_for(peers[-1], None)
    return peers


def test_up_to_sixteen_who_owe_something_are_given_a_second() -> None:
    for waiting, after, makes_room in ((16, 0.9, False), (16, 1.0, True), (17, 0.0, True)):
        clock = Clock()
        connections = Connections(20, clock)
        busy(connections, 20 - waiting)
        silent = [Peer(connections) for _ in range(waiting)]
        clock.now += after
        newcomer = Peer(connections)
        assert newcomer.in_room is not makes_room
        assert [peer.gone for peer in silent] == [makes_room] + [False] * (waiting - 1)
    assert HEALTH_ROOM == 16


def test_there_is_a_crowd_when_the_room_for_health_checks_is_full() -> None:
    connections = Connections(10, Clock())
    busy(connections, 26)
    assert not connections.crowded
    busy(connections, 1)
    assert connections.crowded


def test_it_is_logged_once_until_a_tenth_is_free_again(caplog: pytest.LogCaptureFixture) -> None:
    connections = Connections(10, Clock())
    peers = busy(connections, 10)
    assert caplog.messages == []
    peers += busy(connections, 2)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("10 connections are open")
    for _ in range(3):
        connections.leave(peers.pop())
    peers += busy(connections, 2)
    assert len(caplog.messages) == 1
    for _ in range(3):
        connections.leave(peers.pop())
    peers += busy(connections, 3)
    assert len(caplog.messages) == 2


def test_what_is_late_of_one_kind_does_not_hide_what_is_late_of_another() -> None:
    clock = Clock()
    connections = Connections(10, clock)
    late, silent = Peer(connections), Peer(connections)
    connections.wait_for(late, Owed.NEXT)
    clock.now += 70
    refused = Peer(connections)
    connections.wait_for(refused, Owed.END)
    early, half = Peer(connections), Peer(connections)
    connections.wait_for(half, Owed.HEAD)
    clock.now += 5
    connections.wait_for(early, Owed.END)
    connections.tick()
    assert [peer.late for peer in (refused, early, silent, half, late)] == [
        Owed.END,
        None,
        Owed.REQUEST,
        None,
        Owed.NEXT,
    ]


def test_who_has_left_is_not_waited_for() -> None:
    connections = Connections(10, Clock())
    peer, other = Peer(connections), Peer(connections)
    connections.wait_for(other, Owed.NEXT)
    assert repr(connections) == "<2 of 10 connections; request: 1, next: 1>"
    connections.leave(peer)
    connections.wait_for(peer, Owed.NEXT)
    assert repr(connections) == "<1 of 10 connections; next: 1>"


@pytest.mark.parametrize(
    ("descriptors", "wanted", "most"),
    [
        (resource.RLIM_INFINITY, 0, 1 << 20),
        (resource.RLIM_INFINITY, 7, 7),
        (10_000, 0, 10_000 - 192 - 16),
        (768, 0, 768 - 192 - 16),
        (402, 0, 402 - 100 - 16),
        (402, 5, 5),
        (402, 5000, 402 - 100 - 16),
        (20, 0, 1),
    ],
)
def test_connections_are_bounded_by_the_descriptors_less_those_for_everything_else(
    monkeypatch: pytest.MonkeyPatch, descriptors: int, wanted: int, most: int
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (descriptors, descriptors))
    assert bound(wanted) == most
