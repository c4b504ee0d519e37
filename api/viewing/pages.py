"""Pages of logs, rendered once: a herd of late joiners costs one read. A page that is full never changes, as a log only
grows at its end; it is kept, the least used one leaves first."""

import asyncio
from collections import OrderedDict
from typing import Final, NamedTuple

from api.dialects import UNKNOWN, Dialect, State
from api.viewing.borders import Borders, Placed
from api.viewing.folding import folded
from broker.events import END, WITHDRAW, Entry
from broker.ids import BEGINNING, EntryId
from broker.store.logs import Logs
from broker.store.strict_end import StrictEnds
from broker.turns import Turns
from broker.vocabulary import GapReason

_ENTRIES: Final = 1000
_PIECE_BYTES: Final = 128 * 1024


class Page(NamedTuple):
    """Entries behind a cursor as frames, in pieces that one write can take. `last` is the cursor behind them (the cursor
    asked with, if there are none); `ended`: the terminal entry is among them; `full`: more may follow; `rewound`: the log goes
    on behind the cursor, but without the entry that the cursor names; `gone`: why there is no log, or none so long;
    `state`: the dialect's behind `last`."""

    pieces: list[tuple[bytes, EntryId]]
    last: EntryId
    ended: bool
    full: bool
    rewound: bool = False
    gone: GapReason | None = None
    state: State = None


_Key = tuple[str, Dialect, EntryId]


class Pages:
    """A cache of `most_bytes` in front of the logs. Readers of the same page at the same time share one read. `bytes` is what
    it holds, `hits` and `reads` say how it served."""

    def __init__(self, logs: Logs, strict_ends: StrictEnds, most_bytes: int, turns: Turns) -> None:
        self._logs = logs
        self._strict_ends = strict_ends
        self._borders = Borders(logs, turns)
        self._most_bytes = most_bytes
        self._turns = turns
        self.bytes = self.hits = self.reads = 0
        self._kept: OrderedDict[_Key, Page] = OrderedDict()
        self._reads: dict[_Key, asyncio.Task[Page]] = {}

    def after(self, id_: str, dialect: Dialect, cursor: EntryId, state: State) -> Page | asyncio.Task[Page]:
        """The page, or the read that will bring it; it may raise StorageUnavailable. The read belongs to the cache: one
        reader that leaves does not take it away from the others. `state` is that behind the cursor, if it is known."""
        key = (id_, dialect, cursor)
        if (kept := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            self.hits += 1
            return kept
        read = self._reads.get(key)
        if read is not None:
            self.hits += 1
        else:
            self.reads += 1
            read = self._reads[key] = asyncio.get_running_loop().create_task(self._read(key, state))
            read.add_done_callback(lambda done: self._read_done(key, done))
        return read

    def note(self, id_: str, dialect: Dialect, cursor: EntryId, state: State) -> None:
        """Remembers the state behind this entry."""
        self._borders.note(id_, dialect, cursor, state)

    async def numbered(self, id_: str, dialect: Dialect, had: int) -> Placed | None:
        """Where a reader goes on who had so many events, as Borders has it."""
        return await self._borders.numbered(id_, dialect, had)

    async def total(self, id_: str, dialect: Dialect) -> int:
        """How many events there are, as Borders has it."""
        return await self._borders.total(id_, dialect)

    def _read_done(self, key: _Key, read: asyncio.Task[Page]) -> None:
        if self._reads.get(key) is read:
            del self._reads[key]
        if not read.cancelled():
            read.exception()  # its readers look at it too, if there are any left

    def forget(self, id_: str) -> None:
        """The log has gone or is not what it was."""
        for key in [key for key in self._kept if key[0] == id_]:
            self.bytes -= _size(self._kept.pop(key))
        for key in [key for key in self._reads if key[0] == id_]:
            del self._reads[key]  # it ends for those who have asked; what it brings is not kept
        self._borders.forget(id_)

    def forget_all(self) -> None:
        """Redis was away: any log may have come back without its tail."""
        self._kept.clear()
        self.bytes = 0
        self._borders.forget_all()

    def cancel(self) -> None:
        """Ends the reads that are under way."""
        for read in list(self._reads.values()):
            read.cancel()

    async def _read(self, key: _Key, state: State) -> Page:
        id_, dialect, cursor = key
        entries = await self._logs.from_(id_, cursor, _ENTRIES + 1)
        gone: GapReason | None = None
        if not entries:
            gone = "erased" if await self._logs.erased(id_) else "expired"
        if cursor != BEGINNING and entries:  # what follows it may be shown only to whoever has the same before it
            if entries[0].id == cursor:
                entries = entries[1:]
            elif entries[0].kind == WITHDRAW:  # whatever was before it, and is shown to somebody, it takes back
                state = dialect.begin
            else:
                return Page([], cursor, ended=False, full=False, rewound=True)
        entries = entries[:_ENTRIES]
        if entries and self._strict_ends.holds(id_, entries[-1]):
            if len(entries) == 1:  # the end is a page of its own: nobody waits for it to see what is before it
                await self._strict_ends.safe(id_, entries[-1].id)
                return await self._read(key, state)
            entries.pop()
        if state is UNKNOWN and (state := await self._borders.state(id_, dialect, cursor)) is UNKNOWN:
            return Page([], cursor, ended=False, full=False, rewound=True, state=UNKNOWN)
        state, frames = await folded(self._turns, dialect, state, entries)
        last = entries[-1].id if entries else cursor
        ended, full = bool(entries) and entries[-1].kind == END, len(entries) == _ENTRIES
        page = Page(_pieces(entries, frames), last, ended, full, gone=gone, state=state)
        if (full or ended) and self._reads.get(key) is asyncio.current_task():
            self._keep(key, page)
        if full and dialect.begin is not None:
            self.note(id_, dialect, last, state)
        return page

    def _keep(self, key: _Key, page: Page) -> None:
        if _size(page) > self._most_bytes:
            return
        self._kept[key] = page
        self.bytes += _size(page)
        while self.bytes > self._most_bytes:
            _, dropped = self._kept.popitem(last=False)
            self.bytes -= _size(dropped)


def _pieces(entries: list[Entry], frames: list[bytes]) -> list[tuple[bytes, EntryId]]:
    """The frames joined, in pieces, each with the id of its last entry. The last piece has the last entry, shown or not."""
    pieces: list[tuple[bytes, EntryId]] = []
    size = begin = 0
    for at, frame in enumerate(frames, 1):
        size += len(frame)
        if size >= _PIECE_BYTES or at == len(frames):
            pieces.append((b"".join(frames[begin:at]), entries[at - 1].id))
            begin, size = at, 0
    return pieces


def _size(page: Page) -> int:
    return sum(len(piece) for piece, _ in page.pieces) + 200
