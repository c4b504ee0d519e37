"""One generation in one view: its latest frames, made once for all viewers, and the viewers themselves. Does no I/O but the
sends to sockets that were lent to it.

Where there are renditions of several views, each follows the same ring (ring.py): a position is an entry in all of them.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from api.dialects import UNKNOWN, Dialect, State
from api.viewing.framing import Framing
from api.viewing.ring import Ring
from broker.events import Entry
from broker.ids import EntryId
from broker.vocabulary import GapReason

PLACE_BYTES: Final = 8
"""What each frame takes besides its own bytes: empty ones are not for nothing."""
_BORDER_ENTRIES: Final = 1000
_MOST_HELD: Final = 64
"""Entries: so many may come while somebody who knows how it begins reads what is before them."""


class View(NamedTuple):
    """What a viewer asks for: the vocabulary, and how it lies on the connection."""

    dialect: Dialect
    framing: Framing


class Loan(NamedTuple):
    """A viewer's socket: `send` gives bytes to the kernel and tells how many it took, or raises OSError; `write` sees to those
    that it did not take."""

    send: Callable[[bytes], int]
    write: Callable[[bytes], object]


class Follower(Protocol):
    """A viewer, as a rendition knows it. `position` is None while it reads the log."""

    position: int | None
    wake: Callable[[], None]

    def halt(self) -> None:
        """It follows no more, if it did: it stands where its rendition has shown."""

    def move(self, cursor: EntryId) -> None:
        """It leaves the ring, to read the log behind the cursor."""

    def tell(self, frame: bytes) -> None:
        """Says something about the connection itself."""

    def goes_on_from(self, newest: EntryId) -> bool:
        """Whether it was given nothing behind this entry. What is on its way to it then, of a log that was longer, it drops,
        and reads anew. Asked of one that reads the log."""

    def withdraw(self) -> None:
        """What it was shown is withdrawn: nothing more of that."""

    def erase(self) -> None:
        """Nothing of what it watched is there any more: it is told so, and no more."""

    def reset(self, reason: GapReason) -> None:
        """What it was shown is not in the log any more: it begins anew."""

    def drop(self) -> None:
        """After what was told, no more."""


class Rendition:
    """`viewers` are all, in the order in which they came. Those among them that lack nothing of what was `shown`, and whose
    socket lends itself, also follow: they stand at `shown`, and what is shown next is written for them without a look at each.

    A dialect that remembers something begins with the first viewer who knows the state at its position. Now and then `note` is
    told an entry and the state behind it, so that who falls back to the log need not have it folded from its beginning."""

    __slots__ = (
        "_bytes", "_fold", "_following", "_framing", "_held", "_most_bytes", "_note", "_ring", "_state", "_twice", "_unnoted",
        "base", "frames", "left_at", "sent_at", "shown", "view", "viewers",
    )  # fmt: skip

    def __init__(
        self, ring: Ring, view: View, most_bytes: int, now: float, note: Callable[[EntryId, State], object]
    ) -> None:
        self.view = view
        self._fold = view.dialect.fold
        self._framing = view.framing
        self.viewers: dict[Follower, None] = {}
        self.left_at = now
        self.sent_at = now
        self.frames: list[bytes] = []
        self._following: dict[Follower, Loan] = {}
        self._ring = ring
        self._most_bytes = most_bytes
        self._twice = 2 * most_bytes
        self._note = note
        self.restart()

    def restart(self) -> None:
        """The ring has begun anew, or this rendition does. Nobody is in it."""
        self.frames.clear()
        self._held: list[Entry] = []
        self.base = self.shown = self._ring.end
        self._bytes = self._unnoted = 0
        self._state: State = None if self.view.dialect.begin is None else UNKNOWN

    def _begin(self, position: int, state: State) -> None:
        held, self._held = self._held[position - self.base :], []
        self.base = self.shown = position
        self._state = state
        if held:
            self.add(held)
        self.shown = self.end

    def _hold(self, entries: list[Entry]) -> None:
        """Nobody has said yet in which state it begins: whoever will is reading the log now, up to one of these entries."""
        self._held = [*self._held, *entries][-_MOST_HELD:]
        self.base = self.shown = self._ring.end - len(self._held)

    def add(self, entries: list[Entry]) -> None:
        """Renders what the ring has taken."""
        if (state := self._state) is UNKNOWN:
            self._hold(entries)
            return
        fold = self._fold  # called as a variable: a call of an attribute that is no method is slow
        state, frames = fold(state, entries)
        self.frames += frames
        size = self._bytes + len(frames) * PLACE_BYTES
        for frame in frames:
            size += len(frame)
        self._bytes = size
        if size > self._twice:
            self._trim()
        if state is not None:
            self._remember(state, len(entries))

    def _remember(self, state: State, entries: int) -> None:
        self._state = state
        self._unnoted += entries
        if self._unnoted >= _BORDER_ENTRIES:
            self._unnoted = 0
            self._note(self._ring.last, state)

    def _trim(self) -> None:
        """Drops from the front what is over the bound; at twice the bound, so that it happens seldom."""
        cut = 0
        while self._bytes > self._most_bytes and cut < len(self.frames) - 1:
            self._bytes -= len(self.frames[cut]) + PLACE_BYTES
            cut += 1
        if not cut:  # one entry alone may be larger than the bound
            return
        self.send_to_log(self.base + cut)
        del self.frames[:cut]
        self.base += cut

    # -- a viewer's side

    @property
    def end(self) -> int:
        """The position behind the last frame."""
        return self.base + len(self.frames)

    @property
    def ended(self) -> bool:
        """Whether the last frame is that of the generation's end."""
        return self._ring.ended

    def position_behind(self, cursor: EntryId, state: State) -> int | None:
        """The position behind the cursor, from which on there are frames; None if what is between must come from the log.
        `state` is that behind the cursor, if it is known."""
        position = self._ring.position_behind(cursor)
        if position is None:
            return None
        if self._state is UNKNOWN and state is not UNKNOWN and position >= self.base:
            self._begin(position, state)
        return position if position >= self.base and self._state is not UNKNOWN else None

    def id_before(self, position: int) -> EntryId:
        """The cursor of whoever is at this position."""
        return self._ring.id_before(position)

    def take(self, position: int, most: int) -> tuple[bytes, int]:
        """Frames from a position on, joined, about `most` bytes; and the position behind them."""
        at = position - self.base
        if at == len(self.frames) - 1:
            return self.frames[at], position + 1
        size, stop = 0, at
        while stop < len(self.frames) and size < most:
            size += len(self.frames[stop])
            stop += 1
        return b"".join(self.frames[at:stop]), self.base + stop

    def follow(self, viewer: Follower, loan: Loan) -> None:
        """From what was shown on, all that is new is written for this viewer."""
        self._following[viewer] = loan

    def halt(self, viewer: Follower) -> bool:
        """Whether it followed; it does no more, and stands at what was `shown`."""
        return self._following.pop(viewer, None) is not None

    def leave(self, viewer: Follower, now: float) -> None:
        self.viewers.pop(viewer, None)
        self.left_at = now

    def release(self, now: float) -> None:
        """Shows what is held back: nothing, of most dialects."""

    # -- the feed's side

    def show(self, now: float) -> None:
        """Gives all viewers what was added since it was last called: one write, of the same bytes, for those that follow; the
        others are woken."""
        frames, base, following = self.frames, self.base, self._following
        at, end = self.shown - base, len(frames)
        if self._ring.ended:
            self._halt()
        self.shown = base + end
        if body := frames[at] if at == end - 1 else b"".join(frames[at:]):
            self.sent_at = now
            if following:
                framing = self._framing
                ready = framing(body)
                size = len(ready)
                for send, write in list(following.values()):  # a socket that takes no more leaves meanwhile
                    try:
                        sent = send(ready)
                    except OSError:
                        sent = 0
                    if sent < size:
                        write(ready[sent:])
        if len(following) < len(self.viewers):
            for viewer in [each for each in self.viewers if each not in following]:
                viewer.wake()

    def _halt(self) -> None:
        """Nobody follows any more; each is where it was."""
        for viewer in list(self._following):
            viewer.halt()

    def send_to_log(self, before: int | None = None) -> None:
        """Viewers at positions `before` this one (all, without it) leave the ring and read the log from where they are."""
        self._halt()
        for viewer in self.viewers:
            position = viewer.position
            if position is not None and (before is None or position < before):
                viewer.move(self._ring.id_before(position))

    def keep_alive(self, quiet: float, now: float) -> None:
        """Says that the connections live, if nothing was sent since `quiet`."""
        if self.sent_at <= quiet:
            self.sent_at = now
            self.tell(self.view.dialect.keep_alive)

    def tell(self, frame: bytes) -> None:
        for viewer in list(self.viewers):
            viewer.tell(frame)
