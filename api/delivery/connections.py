"""The connections of an API process: how many there may be, and how long each may owe its next request.

Whoever connects costs a descriptor before anything is known of them. So every wait for a request has a bound, one tick serves
all of them, and where the descriptors end those who owe most make room: never a stream, never a health check.
"""

import logging
import resource
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, Protocol

log = logging.getLogger("respool.connections")

HEALTH_ROOM: Final = 16
"""Connections beyond the bound, on which health checks alone are answered."""
_MOST_RESERVED: Final = 192
"""Descriptors kept for Redis (two pools, a subscription), the loop and files; of a small limit a quarter."""
_OF_A_CELL: Final = 129
"""Of these, those for Redis."""
_MOMENT: Final = 1.0


class Owed(Enum):
    """What a connection is waited for. In the order in which they make room."""

    END = auto()
    """The client's end of a connection that was refused: closed at once, the answer might be lost on its way."""
    REQUEST = auto()
    """The first byte since it connected."""
    HEAD = auto()
    """The rest of a head, since its first byte, or since the answer that it waited behind."""
    NEXT = auto()
    """Another request, since the last answer."""
    FOLLOW = auto()
    """Something to carry, of a WebSocket that carries nothing."""


SECONDS: Final = {Owed.END: 2.0, Owed.REQUEST: 10.0, Owed.HEAD: 10.0, Owed.NEXT: 75.0, Owed.FOLLOW: 600.0}
"""For how long. The last one is longer than balancers keep idle connections, so that none writes into one that is closing."""


class Connection(Protocol):
    owed: Owed | None
    """Only `Connections` sets it."""

    def overdue(self, owed: Owed) -> None:
        """It came too late: the connection ends."""

    def give_way(self) -> None:
        """Ends at once, without a word."""


class Connections:
    """Who is connected, and who owes what. Each of `_waiting` is in the order of time, so a look at its first is enough."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self.most = most
        self._clock = clock
        self._open: set[Connection] = set()
        self._waiting: dict[Owed, dict[Connection, float]] = {owed: {} for owed in Owed}
        self._full = False

    def __repr__(self) -> str:
        waiting = ", ".join(f"{owed.name.lower()}: {len(those)}" for owed, those in self._waiting.items() if those)
        return f"<{len(self._open)} of {self.most} connections; {waiting or 'no one waited for'}>"

    def take(self, connection: Connection) -> bool:
        """Counts a new connection. False: there is no room, but for a health check."""
        full = len(self._open) >= self.most
        if full:
            self._say_full()
            while full and self._make_room():
                full = len(self._open) >= self.most
        self._open.add(connection)
        self.wait_for(connection, Owed.REQUEST)
        return not full

    @property
    def crowded(self) -> bool:
        """Whether not even the room for health checks is left."""
        return len(self._open) > self.most + HEALTH_ROOM

    def leave(self, connection: Connection) -> None:
        self.wait_for(connection, None)
        self._open.discard(connection)
        if len(self._open) < self.most * 0.9:
            self._full = False

    def wait_for(self, connection: Connection, owed: Owed | None) -> None:
        """It owes this from now on, or, if it did already, as before; None: nothing."""
        before = connection.owed
        if before is owed:
            return
        if before is not None:
            self._waiting[before].pop(connection, None)
        connection.owed = owed
        if owed is not None and connection in self._open:
            self._waiting[owed][connection] = self._clock()

    def tick(self) -> None:
        """Ends what is overdue. Call it about once a second."""
        now = self._clock()
        for owed, waiting in self._waiting.items():
            late = []
            for connection, since in waiting.items():
                if now - since < SECONDS[owed]:
                    break
                late.append(connection)
            for connection in late:
                connection.overdue(owed)

    def _make_room(self) -> bool:
        """Ends the connection that owes the most. Where few owe anything, the process is full of streams: who has just come
        may be a health check, and is given a moment."""
        waiting = [those for those in self._waiting.values() if those]
        if not waiting:
            return False
        oldest, since = next(iter(waiting[0].items()))
        few = sum(map(len, waiting)) <= HEALTH_ROOM
        if few and self._clock() - since < _MOMENT and len(self._open) < self.most + HEALTH_ROOM:
            return False
        self.leave(oldest)
        oldest.give_way()
        return True

    def _say_full(self) -> None:
        if not self._full:
            self._full = True
            log.warning(
                "%d connections are open, as many as there may be: the idlest make room for new ones", self.most
            )


def bound(wanted: int, cells: int = 1) -> int:
    """How many connections a process may have: as many as are wanted (0: any number) and its limit of descriptors allows."""
    reserved = _MOST_RESERVED + _OF_A_CELL * (cells - 1)
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return wanted or 1 << 20
    room = max(1, descriptors - min(reserved, descriptors // 4) - HEALTH_ROOM)
    return min(wanted or room, room)
