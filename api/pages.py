"""Pages of logs, encoded once: a herd of late joiners costs one read. A page that is full never changes, as a log only
grows at its end; it is kept, the least used one leaves first."""

import asyncio
from collections import OrderedDict
from typing import Final, NamedTuple

from api.durable import Durable
from broker.events import END, frame
from broker.ids import BEGINNING, EntryId
from broker.logs import Logs

_ENTRIES: Final = 1000
_PIECE_BYTES: Final = 128 * 1024


class Page(NamedTuple):
    """Entries behind a cursor as frames, in pieces that one write can take. `last` is the cursor behind them (the cursor
    asked with, if there are none); `ended`: the terminal entry is among them; `full`: more may follow; `rewound`: the log goes
    on behind the cursor, but without the entry that the cursor names; `gone`: there is no log any more, or none so long."""

    pieces: list[tuple[bytes, EntryId]]
    last: EntryId
    ended: bool
    full: bool
    rewound: bool = False
    gone: bool = False


class Pages:
    """A cache of `most_bytes` in front of Logs.page. Readers of the same page at the same time share one read."""

    def __init__(self, logs: Logs, durable: Durable, most_bytes: int) -> None:
        self._logs = logs
        self._durable = durable
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[str, EntryId], Page] = OrderedDict()
        self._reads: dict[tuple[str, EntryId], asyncio.Task[Page]] = {}

    def after(self, id_: str, cursor: EntryId) -> Page | asyncio.Task[Page]:
        """The page, or the read that will bring it; it may raise StorageUnavailable. The read belongs to the cache: one
        reader that leaves does not take it away from the others."""
        key = (id_, cursor)
        if (kept := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return kept
        read = self._reads.get(key)
        if read is None:
            read = self._reads[key] = asyncio.get_running_loop().create_task(self._read(key))
            read.add_done_callback(lambda done: self._read_done(key, done))
        return read

    def _read_done(self, key: tuple[str, EntryId], read: asyncio.Task[Page]) -> None:
        del self._reads[key]
        if not read.cancelled():
            read.exception()  # its readers look at it too, if there are any left

    def forget(self, id_: str) -> None:
        """The log has gone or is not what it was."""
        for key in [key for key in self._kept if key[0] == id_]:
            self._bytes -= _size(self._kept.pop(key))

    def forget_all(self) -> None:
        """Redis was away: any log may have come back without its tail."""
        self._kept.clear()
        self._bytes = 0

    def cancel(self) -> None:
        """Ends the reads that are under way."""
        for read in list(self._reads.values()):
            read.cancel()

    async def _read(self, key: tuple[str, EntryId]) -> Page:
        id_, cursor = key
        entries = await self._logs.from_(id_, cursor, _ENTRIES + 1)
        gone = not entries
        if cursor != BEGINNING and entries:  # what follows it may be shown only to whoever has the same before it
            if entries[0].id != cursor:
                return Page([], cursor, ended=False, full=False, rewound=True)
            entries = entries[1:]
        entries = entries[:_ENTRIES]
        if entries and self._durable.holds(id_, entries[-1]):
            if len(entries) == 1:  # the end is a page of its own: nobody waits for it to see what is before it
                await self._durable.safe(id_, entries[-1].id)
                return await self._read(key)
            entries.pop()
        pieces: list[tuple[bytes, EntryId]] = []
        frames: list[bytes] = []
        size = 0
        for entry in entries:
            encoded = frame(b"%d-%d" % entry.id, entry.kind, entry.value)
            frames.append(encoded)
            size += len(encoded)
            if size >= _PIECE_BYTES:
                pieces.append((b"".join(frames), entry.id))
                frames, size = [], 0
        if frames:
            pieces.append((b"".join(frames), entries[-1].id))
        last = entries[-1].id if entries else cursor
        page = Page(pieces, last, bool(entries) and entries[-1].kind == END, len(entries) == _ENTRIES, gone=gone)
        if page.full or page.ended:
            self._keep(key, page)
        return page

    def _keep(self, key: tuple[str, EntryId], page: Page) -> None:
        if _size(page) > self._most_bytes:
            return
        self._kept[key] = page
        self._bytes += _size(page)
        while self._bytes > self._most_bytes:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= _size(dropped)


def _size(page: Page) -> int:
    return sum(len(piece) for piece, _ in page.pieces) + 200
