"""How long a connection may owe its next request, and who makes room."""

from api.connections import HEALTH_ROOM, SECONDS, Connections, Owed


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
