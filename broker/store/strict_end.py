"""Ends that are shown only once they are safe: a generation of `durability: strict` keeps its terminal entry back until Redis
has it on disk, or on a replica where it does not persist. Whoever has waited reads the log anew, as Redis may have lost the end
meanwhile."""

import asyncio
import logging
from collections import OrderedDict
from typing import Final

from broker.errors import BrokerError, ExpiredGeneration, UnknownGeneration
from broker.events import END, Entry
from broker.ids import EntryId
from broker.record import Record
from broker.store.disk import Disk
from broker.store.logs import Logs

log = logging.getLogger("respool.strict_ends")

_REMEMBERED: Final = 10_000
_PAUSE_SECONDS: Final = 0.2
_STRICT: Final = b'"durability":"strict"'

End = tuple[str, EntryId]
"""A generation, and the id of its terminal entry: one that is written after Redis has lost the first is another end."""


class StrictEnds:
    """One per process; whoever asks for the same end at the same time shares one wait."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._disk = Disk(logs)
        self._safe: OrderedDict[End, None] = OrderedDict()
        self._waits: dict[End, asyncio.Task[None]] = {}

    def holds(self, id_: str, entry: Entry) -> bool:
        """Whether this entry must not be shown yet."""
        return entry.kind == END and _STRICT in entry.value and (id_, entry.id) not in self._safe

    def held_end(self, record: Record) -> EntryId | None:
        """The record's end, if it must not be shown yet."""
        end = record.terminal_id if record.unconfirmed else None
        return end if end is not None and (record.id, end) not in self._safe else None

    async def safe(self, id_: str, end: EntryId) -> None:
        """Returns when this end is safe, or when the record does not end so any more; waits as long as Redis cannot tell."""
        await asyncio.shield(self.confirm(id_, end))

    def confirm(self, id_: str, end: EntryId) -> asyncio.Task[None]:
        """Begins the wait for this end, if it is not under way."""
        key = (id_, end)
        wait = self._waits.get(key)
        if wait is None:
            wait = self._waits[key] = asyncio.get_running_loop().create_task(self._confirm(id_, end))
            wait.add_done_callback(lambda _: self._waits.pop(key))
        return wait

    def cancel(self) -> None:
        """Ends the waits that are under way."""
        for wait in list(self._waits.values()):
            wait.cancel()
        self._disk.cancel()

    async def _confirm(self, id_: str, end: EntryId) -> None:
        while True:
            try:
                record = await self._logs.record(id_)
                if not record.unconfirmed:
                    stands = record.terminal_id == end
                    break
                if (server := await self._disk.synced(id_)) is not None:
                    stands = await server.confirm(id_, end)
                    break
            except (UnknownGeneration, ExpiredGeneration):
                return
            except BrokerError:
                await asyncio.sleep(_PAUSE_SECONDS)
        if stands:
            self._safe[id_, end] = None
            while len(self._safe) > _REMEMBERED:
                self._safe.popitem(last=False)
