"""States of dialects behind entries here and there in logs: a resume in a dialect that remembers something costs no more than
what lies between two of them, whether it is asked for by an entry or by a number of the dialect's own."""

import asyncio
import sys
from bisect import bisect_right, insort
from collections import OrderedDict
from operator import itemgetter
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from api.dialects import UNKNOWN, Dialect, State
from api.dialects.sse import EVENT_END
from api.viewing.folding import skipped
from api.viewing.stretches import PAGE, between, entries, most_after, pages, size, up_to, without_first
from broker.events import Entry, Run
from broker.ids import BEGINNING, EntryId
from broker.store.logs import Logs
from broker.turns import Turns

_MOST_LOGS: Final = 2000
_MOST_BYTES: Final = 64 << 20
_by_id = itemgetter(0)


class Placed(NamedTuple):
    """Where a reader is who had so many events: behind this entry, whose frame it had but for `rest`."""

    cursor: EntryId
    state: State
    rest: bytes


class Borders:
    """What is known of `_MOST_LOGS` logs, each in a dialect, or of fewer whose states hold `_MOST_BYTES`; the one that was not
    asked for for longest leaves first. All of it can be found out again by reading the log."""

    def __init__(self, logs: Logs, turns: Turns) -> None:
        self._logs = logs
        self._turns = turns
        self._folding: WeakValueDictionary[tuple[str, Dialect], asyncio.Lock] = WeakValueDictionary()
        self._known: OrderedDict[tuple[str, Dialect], list[tuple[EntryId, State]]] = OrderedDict()
        self._bytes: dict[tuple[str, Dialect], int] = {}

    def note(self, id_: str, dialect: Dialect, cursor: EntryId, state: State) -> None:
        """Remembers the state behind this entry."""
        key = (id_, dialect)
        known = self._known.setdefault(key, [])
        self._known.move_to_end(key)
        at = bisect_right(known, cursor, key=_by_id)
        if not at or known[at - 1][0] != cursor:
            insort(known, (cursor, state), key=_by_id)
        if weight := dialect.weight(known[-1][1]):
            self._bytes[key] = weight
        while len(self._known) > _MOST_LOGS or (len(self._known) > 1 and sum(self._bytes.values()) > _MOST_BYTES):
            dropped, _ = self._known.popitem(last=False)
            self._bytes.pop(dropped, None)

    def forget(self, id_: str) -> None:
        """The log has gone or is not what it was."""
        for key in [key for key in self._known if key[0] == id_]:
            del self._known[key]
            self._bytes.pop(key, None)

    def forget_all(self) -> None:
        self._known.clear()
        self._bytes.clear()

    async def state(self, id_: str, dialect: Dialect, cursor: EntryId) -> State:
        """The state behind this entry of the log; UNKNOWN if the log does not have it. Raises StorageUnavailable. One at a time
        folds a piece of a log: whoever asks meanwhile, for whichever cursor, goes on from the borders that are noted then."""
        turn = self._turn_at(id_, dialect)
        border, state = self._nearest(id_, dialect, cursor)
        most = PAGE
        while border < cursor:
            async with turn:
                border, state = max((border, state), self._nearest(id_, dialect, cursor), key=_by_id)
                if border == cursor:
                    break
                stretch = await self._behind(id_, border, between(border, cursor, most))
                if stretch is None:
                    border, state = BEGINNING, dialect.begin
                    continue
                if not (before := up_to(cursor, stretch)):
                    break
                for page in pages(before):
                    state = await skipped(self._turns, dialect, state, page)
                    border = self._passed(id_, dialect, page, state)
                most = most_after(page)
        return state if border == cursor else UNKNOWN

    async def numbered(self, id_: str, dialect: Dialect, had: int) -> Placed | None:
        """Where a reader goes on who had the first `had` events; None if the log has not had so many. It costs as `state` does.
        Raises StorageUnavailable."""
        async with self._turn_at(id_, dialect):
            border, state = self._before(id_, dialect, had)
            most = PAGE
            while (left := had - dialect.count(state)) > 0:
                asked = min(most, max(PAGE, left))
                stretch = await self._behind(id_, border, asked)
                if stretch is None:
                    border, state = BEGINNING, dialect.begin
                    continue
                for page in pages(stretch):
                    after = await skipped(self._turns, dialect, state, page)
                    if dialect.count(after) >= had:
                        return _placed(dialect, state, entries(page), had)
                    border, state = self._passed(id_, dialect, page, after), after
                if size(stretch) < asked:
                    return None
                most = most_after(page)
            return Placed(border, state, b"")

    async def total(self, id_: str, dialect: Dialect) -> int:
        """How many events the log has now. It costs as `state` does. Raises StorageUnavailable."""
        async with self._turn_at(id_, dialect):
            border, state = self._before(id_, dialect, sys.maxsize)
            most = PAGE
            while True:
                stretch = await self._behind(id_, border, most)
                if stretch is None:
                    border, state = BEGINNING, dialect.begin
                    continue
                for page in pages(stretch):
                    state = await skipped(self._turns, dialect, state, page)
                    border = self._passed(id_, dialect, page, state)
                if size(stretch) < most:
                    return dialect.count(state)
                most = most_after(page)

    async def _behind(self, id_: str, border: EntryId, most: int) -> list[Run] | None:
        """So many entries of the log. None if it does not have this border: then nothing is known of it any more."""
        if border == BEGINNING:
            return await self._logs.runs(id_, border, most)
        stretch = await self._logs.runs(id_, border, most + 1)
        if not stretch or stretch[0].first != border:
            self.forget(id_)
            return None
        return without_first(stretch)

    def _passed(self, id_: str, dialect: Dialect, page: list[Run], state: State) -> EntryId:
        """The border behind this page, behind which this is the state."""
        border = page[-1].last
        if size(page) == PAGE:
            self.note(id_, dialect, border, state)
        return border

    def _before(self, id_: str, dialect: Dialect, had: int) -> tuple[EntryId, State]:
        """The last border up to which there were no more than so many events."""
        known = self._known.get((id_, dialect), [])
        at = bisect_right(known, had, key=lambda border: dialect.count(border[1]))
        return known[at - 1] if at else (BEGINNING, dialect.begin)

    def _turn_at(self, id_: str, dialect: Dialect) -> asyncio.Lock:
        lock = self._folding.get((id_, dialect))
        if lock is None:
            lock = self._folding[id_, dialect] = asyncio.Lock()
        return lock

    def _nearest(self, id_: str, dialect: Dialect, cursor: EntryId) -> tuple[EntryId, State]:
        known = self._known.get((id_, dialect), [])
        at = bisect_right(known, cursor, key=_by_id)
        if not at:
            return BEGINNING, dialect.begin
        self._known.move_to_end((id_, dialect))
        return known[at - 1]


def _placed(dialect: Dialect, state: State, among: list[Entry], had: int) -> Placed:
    """The same among these entries, which begin with fewer and end with no fewer events."""
    while len(among) > 1:
        half = among[: len(among) // 2]
        behind, _ = dialect.fold(state, half)
        if dialect.count(behind) >= had:
            among = half
        else:
            state, among = behind, among[len(half) :]
    state, (frame,) = dialect.fold(state, among)
    events = frame.split(EVENT_END)[:-1]
    more = dialect.count(state) - had
    return Placed(among[0].id, state, b"".join(each + EVENT_END for each in events[len(events) - more :]))
