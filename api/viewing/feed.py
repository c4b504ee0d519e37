"""What this process knows of one generation that somebody watches: which entries it has, whether any is missing, and in which
views it is shown. Does no I/O.

The seam between history and live: the feed is subscribed first, then the tail of the log is read; what is published from
then on joins the ring without a hole, or the feed knows that it has missed something. A viewer reads pages of the log
until its cursor is inside the ring, and is from then on a position in it.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Literal

from api.dialects import Dialect, State
from api.viewing.chunking import Chunking
from api.viewing.rendition import Follower, Rendition, View
from api.viewing.ring import Ring
from broker.events import Append, Entry
from broker.ids import BEGINNING, EntryId
from broker.vocabulary import GapReason
from broker.waiting import Wait

Seen = Literal["known", "added", "hole", "rewound"]
Note = Callable[[str, Dialect, EntryId, State], object]
_MOST_HELD: Final = 1000


def fits(last: EntryId, append: Append) -> tuple[Seen, list[Entry]]:
    """How what was published joins a copy of the log that ends with `last`, and what is new of it.

    It was all there before (a tail re-appended after Redis lost it has the same ids and bytes) | it goes on right here, or
    overlaps within an attempt | something in between was missed | the log was shorter than the copy when this was written,
    so the copy has entries that are no more.
    """
    if append.entries[-1].id <= last:
        return "known", []
    first = append.entries[0].id
    if append.prev == last:
        return "added", append.entries
    if append.prev > last:
        return "hole", []
    if first.attempt == last.attempt and first <= last:
        return "added", [entry for entry in append.entries if entry.id > last]
    return "rewound", []


class Feed:
    """While it is not synced, what is published is held. Should that be too much, or should there be another reason to read
    the log while it is being read, `_missed` says that it must be read once more."""

    __slots__ = (
        "_held", "_missed", "_note", "_ring_bytes", "_wait", "_waiting", "abandonable", "changed_at", "id", "live", "owner",
        "renditions", "ring",
    )  # fmt: skip

    def __init__(self, id_: str, owner: str, ring_bytes: int, now: float, note: Note) -> None:
        self.id = id_
        self.owner = owner
        self.ring = Ring()
        self.renditions: tuple[Rendition, ...] = ()
        self.changed_at = now
        self.abandonable = False
        """Whether the generation is cancelled if nobody watches it for long."""
        self.live = False
        """Whether what is published is heard."""
        self._ring_bytes = ring_bytes
        self._note = note
        self._held: list[Append] = []
        self._missed = False
        self._wait: Wait | None = None
        self._waiting: set[asyncio.Future[None]] = set()

    # -- what is published

    def take(self, prev: EntryId | None, entries: list[Entry]) -> list[Entry] | None:
        """What is new of entries that were appended behind `prev`, which is the one in front of the first of them if it is
        None. Returns None if the feed has fallen behind with it: then the log must be read."""
        ring = self.ring
        attempt, seq = entries[0].id
        if prev is None and ring.synced and ring.last == (attempt, seq - 1):  # nearly always
            return entries
        append = Append(prev or EntryId(attempt, seq - 1), entries)
        if not ring.synced:
            self._hold(append)
            return []
        seen, new = fits(ring.last, append)
        if new or seen == "known":
            return new
        self.fall_behind()
        self._hold(append)
        return None

    def _hold(self, append: Append) -> None:
        if len(self._held) < _MOST_HELD:
            self._held.append(append)
        else:
            self._missed = True

    def add(self, entries: list[Entry]) -> None:
        """Puts entries that follow the last one into the ring and renders them."""
        jumped = self.ring.add(entries)
        for rendition in self.renditions:
            rendition.add(entries)
        if jumped:
            self.ring.forget(min((rendition.base for rendition in self.renditions), default=self.ring.end))

    def show(self, now: float) -> None:
        """Gives all viewers what was added since it was last called."""
        self.changed_at = now
        for rendition in self.renditions:
            rendition.show(now)

    def release(self, now: float) -> None:
        """Shows what is held back."""
        for rendition in self.renditions:
            rendition.release(now)

    # -- what is read from the log

    def fall_behind(self) -> None:
        """Something is missing, or may be."""
        self.ring.synced = False
        self._missed = True

    def lose(self) -> None:
        """Nothing is heard any more; what was held may never have been."""
        self.live = False
        self.ring.synced = False
        self._held.clear()

    def reading(self) -> None:
        """The log is about to be read: whatever is published from now on counts as heard."""
        self._missed = False

    def caught_up(self) -> list[Entry] | None:
        """The log has been read. What is new of what was held meanwhile; None if something is missing still: then the log must
        be read once more."""
        held, self._held = self._held, []
        if self._missed:
            return None
        last, found = self.ring.last, list[Entry]()
        for append in held:
            seen, new = fits(last, append)
            if new:
                found += new
                last = new[-1].id
            elif seen != "known":
                return None
        self.ring.synced = True
        return found

    def start(self, last: EntryId, *, ended: bool) -> None:
        """The ring begins, empty, behind `last`; viewers read in the log what is before it."""
        self.send_to_log()
        self.ring.start(last, ended=ended)
        for rendition in self.renditions:
            rendition.restart()

    def withdraw(self, last: EntryId) -> None:
        """What was shown is withdrawn, by `last`: none of it is kept here, and viewers read in the log what stands in its
        place."""
        self.start(last, ended=False)
        for viewer in self.viewers:
            viewer.withdraw()

    # -- its viewers

    def rendition(self, view: View, now: float) -> Rendition:
        """The generation in this view."""
        found = self._shown_as(view)
        if found is None:

            def note(cursor: EntryId, state: State) -> None:
                self._note(self.id, view.dialect, cursor, view.dialect.flush(state)[0])

            kind = Chunking if view.dialect.holds else Rendition
            found = kind(self.ring, view, self._ring_bytes, now, note)
            self.renditions += (found,)
        return found

    def _shown_as(self, view: View) -> Rendition | None:
        return next((each for each in self.renditions if each.view == view), None)

    def forget_left(self, limit: float) -> bool:
        """Gives up renditions that their last viewer has left before this time; whether none remains, and nobody waits."""
        self.renditions = tuple(each for each in self.renditions if each.viewers or each.left_at >= limit)
        return not self.renditions and not self._waiting

    def await_end(self, end: asyncio.Future[None]) -> None:
        """Somebody waits for the end: the future is set when it may be shown, or when there is nothing more to wait for."""
        self._waiting.add(end)

    def await_no_more(self, end: asyncio.Future[None]) -> None:
        """Nobody waits for it any more."""
        self._waiting.discard(end)

    def let_go(self) -> None:
        """Of all who wait."""
        waiting, self._waiting = self._waiting, set()
        for end in waiting:
            if not end.done():
                end.set_result(None)

    @property
    def waiting(self) -> int:
        """How many wait for the end."""
        return len(self._waiting)

    def has(self, cursor: EntryId, view: View) -> bool:
        """Whether who comes with this cursor needs nothing of the log."""
        rendition = self._shown_as(view)
        return rendition is not None and rendition.position_behind(cursor, view.dialect.behind(cursor)) is not None

    @property
    def watched(self) -> bool:
        """Whether it has a viewer here, or somebody waits for its end."""
        return bool(self._waiting) or any(rendition.viewers for rendition in self.renditions)

    @property
    def viewers(self) -> list[Follower]:
        return [viewer for rendition in self.renditions for viewer in rendition.viewers]

    def wake(self) -> None:
        for viewer in self.viewers:
            viewer.wake()

    def send_to_log(self) -> None:
        """All viewers leave the ring and read the log from where they are."""
        for rendition in self.renditions:
            rendition.send_to_log()

    def reset(self, reason: GapReason, newest: EntryId = BEGINNING) -> None:
        """What was shown behind `newest` is not in the log any more: who was given any of it begins anew. Who has just come, or
        is slow, may have been given none: it reads the log anew, where it is seen whether what it has is there. Nothing
        follows a log that has `expired`, or was `erased`: of such a one nothing that is in hand is shown either."""
        for viewer in self.viewers:
            if reason == "rewound" and viewer.goes_on_from(newest):
                continue
            if reason == "erased":
                viewer.erase()
                continue
            viewer.reset(reason)
            if reason == "expired":
                viewer.drop()
        if reason in ("expired", "erased"):
            self.let_go()

    def keep_alive(self, quiet: float, now: float) -> None:
        """Says that the connections live where nothing was sent since `quiet`."""
        for rendition in self.renditions:
            rendition.keep_alive(quiet, now)

    def know_wait(self, wait: Wait | None) -> None:
        """Its viewers have been told this."""
        self._wait = wait

    def tell_wait(self, wait: Wait) -> None:
        """Tells all viewers the generation's place in the queue and how long it waits, if that has changed enough."""
        if self._wait is None or wait.differs(self._wait):
            self._wait = wait
            for rendition in self.renditions:
                rendition.tell(rendition.view.dialect.queued(wait))
