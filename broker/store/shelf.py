"""Objects of the archive that were read, kept for the next who reads them: of one log its pages, one after the other.

Whoever asks for the same object at the same time shares one read; one that failed is not repeated for a second.
"""

import asyncio
import logging
from collections import OrderedDict
from time import monotonic
from typing import Final

from broker.errors import ArchiveUnavailable
from broker.ids import cell_of
from broker.packing import Packed, UnreadableObject, digest
from broker.store.archive import Archive, Missing, digest_of, name_of
from broker.turns import Turns

log = logging.getLogger("respool.shelf")

_AGAIN_SECONDS: Final = 1.0
_MOST_FAILURES: Final = 1000


class Shelf:
    """A cache of `most_bytes` in front of the archive; what was not asked for for longest leaves first, but for the latest one.
    `bytes` is what it holds, `reads` how often the archive was asked."""

    def __init__(self, archive: Archive, most_bytes: int, turns: Turns) -> None:
        self.archive = archive
        self._most_bytes = most_bytes
        self.turns = turns
        self.bytes = self.reads = 0
        self._kept: OrderedDict[str, Packed] = OrderedDict()
        self._reads: dict[str, asyncio.Task[Packed]] = {}
        self._failed: OrderedDict[str, float] = OrderedDict()

    async def get(self, id_: str, mark: str) -> Packed:
        """The object of a generation that its stub names. Raises ArchiveUnavailable."""
        name = name_of(id_, mark)
        if (kept := self._kept.get(name)) is not None:
            self._kept.move_to_end(name)
            return kept
        if self._failed.get(name, 0.0) > monotonic():
            raise ArchiveUnavailable("it failed just now")
        read = self._reads.get(name)
        if read is None:
            read = self._reads[name] = asyncio.get_running_loop().create_task(self._read(id_, mark))
            read.add_done_callback(lambda done: self._done(name, done))
        return await asyncio.shield(read)

    def forget(self, id_: str) -> None:
        """The generation was erased: none of its objects is kept."""
        for name in [name for name in self._kept if name.startswith(f"{id_}.")]:
            self.bytes -= self._kept.pop(name).size

    def forget_all(self, cell: int) -> None:
        """Any of this cell may have been."""
        for id_ in {name.partition(".")[0] for name in self._kept}:
            if cell_of(id_) == cell:
                self.forget(id_)

    def cancel(self) -> None:
        """Ends the reads that are under way."""
        for read in list(self._reads.values()):
            read.cancel()

    def _done(self, name: str, read: asyncio.Task[Packed]) -> None:
        del self._reads[name]
        if not read.cancelled():
            read.exception()  # those who asked look at it too, if there are any left

    async def _read(self, id_: str, mark: str) -> Packed:
        self.reads += 1
        name = name_of(id_, mark)
        try:
            data = await self.archive.get(name)
            if await digest(data, self.turns) != digest_of(mark):
                raise UnreadableObject("it is not what was put there")
            packed = Packed(data)
        except (ArchiveUnavailable, UnreadableObject) as error:
            lost = isinstance(error, Missing | UnreadableObject)
            log.log(logging.ERROR if lost else logging.WARNING, "%s: no object from the archive: %s", id_, error)
            self._fail(name)
            raise ArchiveUnavailable(str(error)) from None
        self._kept[name] = packed
        self.bytes += packed.size
        while self.bytes > self._most_bytes and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self.bytes -= dropped.size
        return packed

    def _fail(self, name: str) -> None:
        self._failed[name] = monotonic() + _AGAIN_SECONDS
        self._failed.move_to_end(name)
        while len(self._failed) > _MOST_FAILURES:
            self._failed.popitem(last=False)
