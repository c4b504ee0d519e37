"""Where the latest entries of one log are. Does no I/O.

    the log     e0 e1 e2 e3 e4 e5 e6 e7
    positions                4  5  6  7    end = 8: they count on for ever, whatever leaves at the front

Ids are not kept one by one, as an attempt's count on without holes: `runs` has the positions from which on they do so, and the
ids there. The first run begins in front of the ring, at the latest with the entry before it.
"""

from broker.events import END, Entry
from broker.ids import BEGINNING, EntryId


class Ring:
    """`last` is the newest entry that is known; `ended`: it is the terminal one. `synced`: nothing is missing up to it, and
    whatever comes next is heard."""

    __slots__ = ("end", "ended", "last", "runs", "synced")

    def __init__(self) -> None:
        self.synced = False
        self.last = BEGINNING
        self.ended = False
        self.end = 0
        self.runs = [(-1, BEGINNING)]

    def start(self, last: EntryId, *, ended: bool) -> None:
        """It goes on, empty, behind `last`, which may be the log's end (one that was there before may have been lost)."""
        self.last = last
        self.ended = ended
        self.runs = [(self.end - 1, last)]

    def add(self, entries: list[Entry]) -> bool:
        """Takes entries that follow `last`; whether ids have jumped, so that there is a run more."""
        attempt, seq = self.last
        last, kind, _ = entries[-1]
        self.last = last
        if kind == END:
            self.ended = True
        # Nearly always: as ids rise, none in between has jumped either.
        if last == (attempt, seq + len(entries)):
            self.end += len(entries)
            return False
        for id_, _, _ in entries:
            if id_ != (attempt, seq + 1):
                self.runs.append((self.end, id_))
            attempt, seq = id_
            self.end += 1
        return True

    def forget(self, before: int) -> None:
        """Nobody asks any more for what is in front of this position."""
        while len(self.runs) > 1 and self.runs[1][0] < before:
            del self.runs[0]

    def position_behind(self, cursor: EntryId) -> int | None:
        """The position behind `cursor`; None if entries between the two must come from the log, or if the cursor is ahead (a
        page of the log can be newer than what was published so far)."""
        if not self.synced:
            return None
        stop = self.end
        for start, first in reversed(self.runs):
            if first <= cursor:
                position = start + cursor.seq - first.seq
                return position + 1 if cursor.attempt == first.attempt and position < stop else None
            stop = start
        return None

    def id_before(self, position: int) -> EntryId:
        """The cursor of whoever is at this position."""
        start, first = next(run for run in reversed(self.runs) if run[0] < position)
        return EntryId(first.attempt, first.seq + position - 1 - start)
