"""Several viewers that share a connection: whose turn it is to write. Does no I/O.

Each is a cursor, as on a connection of its own. While the connection takes what it is sent, those that lack nothing follow
their renditions, which send to it by themselves. The others are `_ready`, and give a part each in turn, so that one with a
long log behind it holds up none. A frame that is given in parts is given to its end before anybody else writes, a rendition
neither.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from api.dialects.websocket import ended_with
from api.viewing.rendition import Loan
from api.viewing.viewer import Viewer
from broker.ids import BEGINNING, EntryId

MOST_SAID: Final = 1024
"""Answers that wait for the client to read: one that asks and does not read is cut off."""
Why: TypeAlias = Literal["ended", "unfollowed", "cut"]
"""How a viewer has come to its end: with its generation's, as it was asked to, or before that."""
Left: TypeAlias = Callable[[Viewer, Why, EntryId | None], object]


class Bundle:
    """Whoever owns the connection calls `take` whenever it takes more, and gives a `wake` to say that there is more, an `abort`
    that ends the connection from outside, and `taken`, as of a viewer. `left` is called with each viewer when it has written
    its last: with why, and with the cursor behind what it was given."""

    def __init__(self, left: Left) -> None:
        self.wake: Callable[[], None] = _nothing
        self.abort: Callable[[], object] = _nothing
        self.taken: Callable[[], int] = _unknown
        self._left = left
        self._viewers: dict[str, Viewer] = {}
        self._names: dict[Viewer, str] = {}
        self._tails: dict[Viewer, bytes] = {}
        self._ready: dict[Viewer, None] = {}
        self._done: dict[Viewer, None] = {}
        self._leaving: set[Viewer] = set()
        self._said: deque[bytes] = deque()
        self._loan: Loan | None = None
        self._midway: Viewer | None = None
        self._blocked_since: float | None = None

    def __len__(self) -> int:
        return len(self._viewers)

    def __contains__(self, name: str) -> bool:
        return name in self._viewers

    # -- who follows

    def add(self, viewer: Viewer, name: str = "", tail: bytes | None = None) -> None:
        """One that is called so here, as no other is; else by its generation. `tail`: what it gives are lines, and
        each is to be a message that ends so. Then its rendition writes nothing by itself, as only lines are shared."""
        name = name or viewer.id
        self._viewers[name] = viewer
        self._names[viewer] = name
        if tail is not None:
            self._tails[viewer] = tail
        viewer.begin(b"")
        viewer.wake = lambda: self._wake(viewer)
        viewer.abort, viewer.taken = self.abort, self.taken
        viewer.blocked_since = self._blocked_since
        viewer.lend(None if self._midway or tail is not None else self._loan)
        self._wake(viewer)

    def leave(self, name: str) -> None:
        """This viewer gives what it is in the middle of, and no more."""
        if (viewer := self._viewers.get(name)) is not None:
            self._leaving.add(viewer)
            viewer.drop()

    def say(self, message: bytes) -> None:
        """Something that is no viewer's."""
        self._said.append(message)
        if len(self._said) > MOST_SAID:
            self.abort()
        self.wake()

    def end(self) -> list[Viewer]:
        """The connection is gone. Those who were on it."""
        there = list(self._viewers.values())
        self.wake = self.abort = _nothing
        for viewer in there:
            viewer.release()
        for held in (self._viewers, self._names, self._tails, self._ready, self._done, self._said):
            held.clear()
        return there

    # -- the connection's side

    def lend(self, loan: Loan | None, blocked_since: float | None = None) -> None:
        """The connection, to write to; None while it takes no more, or if it does not lend itself. `blocked_since`: when it was
        last seen to take nothing."""
        self._loan = loan
        self._blocked_since = blocked_since
        self._lend(None if self._midway else loan)

    def take(self) -> bytes:
        """The next bytes to send: whole messages, or parts of one. Nothing if nobody has any."""
        while (viewer := self._midway) is not None or self._ready or self._said:
            if viewer is None:
                if self._said:
                    return self._answers()
                viewer = next(iter(self._ready))
                del self._ready[viewer]
            body = viewer.take()
            self._pin(viewer if viewer.midway else None)
            if body:
                self._ready[viewer] = None
                tail = self._tails.get(viewer)
                return body if tail is None else ended_with(body, tail)
            if viewer.done is not None:
                self._conclude(viewer)
        return b""

    def _answers(self) -> bytes:
        said = b"".join(self._said)
        self._said.clear()
        return said

    def _pin(self, viewer: Viewer | None) -> None:
        """None but this one writes; or each in turn again."""
        if viewer is self._midway:
            return
        self._midway = viewer
        self._lend(self._loan if viewer is None else None)

    def _lend(self, loan: Loan | None) -> None:
        """To all of them; who lacks nothing follows when it has been asked for more."""
        for viewer in self._viewers.values():
            if viewer not in self._done:
                viewer.blocked_since = self._blocked_since
                viewer.lend(None if viewer in self._tails else loan)
                if loan is not None:
                    self._ready[viewer] = None

    def _wake(self, viewer: Viewer) -> None:
        self._ready[viewer] = None
        self.wake()

    def _conclude(self, viewer: Viewer) -> None:
        """Whoever woke the viewer may be in the middle of others, so it leaves a moment later. One that is done in the middle
        of a frame leaves a connection on which nothing more can be said."""
        if viewer.midway:
            self._ready.clear()
            self._said.clear()
            self._midway = None
            self.abort()
            return
        self._done[viewer] = None
        viewer.release()
        asyncio.get_running_loop().call_soon(self.settle)

    def settle(self) -> None:
        """Those that are done leave now."""
        while self._done:
            viewer = next(iter(self._done))
            del self._done[viewer]
            self._viewers.pop(self._names.pop(viewer, ""), None)
            self._tails.pop(viewer, None)
            self._ready.pop(viewer, None)
            place = viewer.place
            why: Why = "ended" if viewer.done == "end" else "unfollowed" if viewer in self._leaving else "cut"
            self._leaving.discard(viewer)
            self._left(viewer, why, None if place == BEGINNING else place)


def _nothing() -> None:
    """Nobody owns the connection yet, or any more."""


def _unknown() -> int:
    """Its server does not tell."""
    return 0
