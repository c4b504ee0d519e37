"""What this process knows of one generation that somebody watches: its latest frames, encoded once for all viewers. Does no
I/O.

    the log     e0 e1 e2 e3 e4 e5 e6 e7
    the ring             [ e4 e5 e6 e7 ]      base = 4: positions count on for ever, entries leave at the front

Ids are not kept one by one, as an attempt's count on without holes: `_runs` has the positions from which on they do so, and the
ids there. The first run begins in front of the ring, at the latest with the entry before it.

The seam between history and live: the feed is subscribed first, then the tail of the log is read; what is published from
then on joins the ring without a hole, or the feed knows that it has missed something. A viewer reads pages of the log
until its cursor is inside the ring, and is from then on a position in it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from broker.events import END, Append, Entry, frame
from broker.ids import BEGINNING, EntryId

if TYPE_CHECKING:
    from api.viewer import Viewer

Seen = Literal["known", "added", "hole", "rewound"]
_MOST_PENDING: Final = 1000


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


def chunk(body: bytes) -> bytes:
    """One chunk of a response (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(body), body)


class Loan(NamedTuple):
    """A viewer's socket: `send` gives bytes to the kernel and tells how many it took, or raises OSError; `write` sees to those
    that it did not take."""

    send: Callable[[bytes], int]
    write: Callable[[bytes], object]


class Feed:
    """`synced`: subscribed and without a hole. While it is not, what is published waits in `pending`; should that overflow,
    `missed` says that the log must be read again.

    `viewers` are all, in the order in which they came. Those among them that lack nothing of what was `shown`, and whose socket
    lends itself, are also `following`: they stand at `shown`, and what is shown next is written for them without a look at
    each."""

    __slots__ = (
        "_bytes", "_ring_bytes", "_runs", "base", "changed_at", "ended", "following", "frames", "id", "last", "left_at",
        "missed", "pending", "place", "shown", "synced", "syncing", "viewers",
    )  # fmt: skip

    def __init__(self, id_: str, ring_bytes: int, now: float) -> None:
        self.id = id_
        self.viewers: dict[Viewer, None] = {}
        self.following: dict[Viewer, Loan] = {}
        self.synced = False
        self.syncing = False
        self.pending: list[Append] = []
        self.missed = False
        self.last = BEGINNING
        self.base = 0
        self.shown = 0
        self._runs = [(-1, BEGINNING)]
        self.frames: list[bytes] = []
        self.ended = False
        self.changed_at = now
        self.left_at = now
        self.place: int | None = None
        self._bytes = 0
        self._ring_bytes = ring_bytes

    @property
    def end(self) -> int:
        """The position behind the last frame."""
        return self.base + len(self.frames)

    def start(self, last: EntryId, *, ended: bool) -> None:
        """The ring begins, empty, behind `last`, which may be the log's end (one that was there before may have been lost)."""
        self.send_to_log()
        self.base = self.end
        self.frames.clear()
        self._bytes = 0
        self.shown = self.base
        self.last = last
        self._runs = [(self.base - 1, last)]
        self.ended = ended

    def hold(self, append: Append) -> None:
        """Keeps a message for when the feed is synced."""
        if len(self.pending) < _MOST_PENDING:
            self.pending.append(append)
        else:
            self.missed = True

    def add(self, entries: list[Entry]) -> None:
        """Puts entries that follow `last` into the ring."""
        for entry in entries:
            attempt, seq = entry.id
            if attempt != self.last.attempt or seq != self.last.seq + 1:
                self._runs.append((self.end, entry.id))
            self.last = entry.id
            encoded = frame(b"%d-%d" % (attempt, seq), entry.kind, entry.value)
            self.frames.append(encoded)
            self._bytes += len(encoded)
            if entry.kind == END:
                self.ended = True
        if self._bytes > 2 * self._ring_bytes:
            self._trim()

    def show(self) -> None:
        """Gives all viewers what was added since it was last called: one chunk, written as it is for those that follow; the
        others are woken."""
        frames, at = self.frames, self.shown - self.base
        if self.ended or not 0 <= at < len(frames):
            self._halt()
        ready = chunk(b"".join(frames[at:])) if self.following else b""
        self.shown = self.base + len(frames)
        for send, write in list(self.following.values()):  # a socket that takes no more leaves meanwhile
            try:
                sent = send(ready)
            except OSError:
                sent = 0
            if sent < len(ready):
                write(ready[sent:])
        if len(self.following) < len(self.viewers):
            for viewer in [each for each in self.viewers if each not in self.following]:
                viewer.wake()

    def _halt(self) -> None:
        """Nobody follows any more; each is where it was."""
        for viewer in list(self.following):
            viewer.halt()

    def _trim(self) -> None:
        """Drops from the front what is over the bound; at twice the bound, so that it happens seldom."""
        cut = 0
        while self._bytes > self._ring_bytes and cut < len(self.frames) - 1:
            self._bytes -= len(self.frames[cut])
            cut += 1
        if not cut:  # one entry alone may be larger than the bound
            return
        self.send_to_log(self.base + cut)
        del self.frames[:cut]
        self.base += cut
        while len(self._runs) > 1 and self._runs[1][0] < self.base:
            del self._runs[0]

    def send_to_log(self, before: int | None = None) -> None:
        """Viewers at positions `before` this one (all, without it) leave the ring and read the log from where they are."""
        self._halt()
        for viewer in self.viewers:
            if viewer.position is not None and (before is None or viewer.position < before):
                viewer.cursor = self.id_before(viewer.position)
                viewer.position = None

    def join(self, cursor: EntryId) -> int | None:
        """The ring position behind `cursor`; None if entries between the two must come from the log, or if the cursor is
        ahead (a page of the log can be newer than what was published so far)."""
        if not self.synced:
            return None
        stop = self.end
        for start, first in reversed(self._runs):
            if first <= cursor:
                position = start + cursor.seq - first.seq
                known = cursor.attempt == first.attempt and self.base - 1 <= position < stop
                return position + 1 if known else None
            stop = start
        return None

    def id_before(self, position: int) -> EntryId:
        """The cursor of a viewer at this position of the ring."""
        start, first = next(run for run in reversed(self._runs) if run[0] < position)
        return EntryId(first.attempt, first.seq + position - 1 - start)

    def take(self, position: int, most: int) -> tuple[bytes, int]:
        """Frames from a position in the ring on, joined, about `most` bytes; and the position behind them."""
        at = position - self.base
        if at == len(self.frames) - 1:
            return self.frames[at], position + 1
        size, stop = 0, at
        while stop < len(self.frames) and size < most:
            size += len(self.frames[stop])
            stop += 1
        return b"".join(self.frames[at:stop]), self.base + stop
