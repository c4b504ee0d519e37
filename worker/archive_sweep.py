"""Erases what is in the archive and is nobody's: an object that no stub names, for its generation has expired, was erased, or
was archived by another try. Archivers do that by their list; this goes by the archive itself, for what coordination has lost.

Once in 22 hours one worker lists the archive. An object that was written an hour ago may not come to be named any more; so none
that is nobody's stays for longer than a day. What is in an archive belongs to one logs server, whose identity is noted in it,
for each cell: what another Redis knows nothing of is not nobody's.
"""

import asyncio
import logging
from datetime import timedelta
from typing import Final

from broker import keys
from broker.errors import BrokerError
from broker.ids import cell_of
from broker.store.agreement import Agreement
from broker.store.archive import Archive
from broker.store.archiving import Archiving
from broker.store.client import storage_errors
from broker.store.logs import Logs

log = logging.getLogger("respool.archive_sweep")

_EVERY_SECONDS: Final = 300.0
_PACE_SECONDS: Final = 0.05
"""Between two pages, of 1,000 objects."""
_OLD: Final = timedelta(hours=1)


class ArchiveSweep:
    """Run it as a task."""

    def __init__(self, logs: Logs, archiving: Archiving, archive: Archive, agreement: Agreement, cell: int = 0) -> None:
        self._logs = logs
        self._archiving = archiving
        self._archive = archive
        self._agreement = agreement
        self._cell = cell

    async def run(self) -> None:
        """Looks every 5 minutes whether it is time, until cancelled."""
        while True:
            try:
                await self.look()
            except BrokerError as error:
                log.warning("the archive was not swept: %s", error)
            await asyncio.sleep(_EVERY_SECONDS)

    async def look(self) -> int | None:
        """Sweeps if it is time and nobody else does; how many objects were erased, None if it did not sweep. One that breaks
        off is begun anew after SWEEPING_MS. Raises ArchiveUnavailable or StorageUnavailable."""
        if self._agreement.apart:
            return None
        with storage_errors():
            identity: bytes | None = await self._logs.redis.get(keys.IDENTITY)
        if identity is None or not await self._archiving.begin_sweep():
            return None
        now = await self._archive.claim(identity.decode(), self._cell)
        if now is None:
            log.error(
                "the archive is another logs server's: nothing is erased in it, see RESPOOL_ARCHIVE_URL in the documents"
            )
            return None
        erased = 0
        async for page in self._archive.listed():
            old = [each for each in page if each.written < now - _OLD and cell_of(each.id) == self._cell]
            marks = await self._logs.archived([each.id for each in old])
            orphans = [each.name for each, mark in zip(old, marks, strict=True) if each.mark != mark]
            await self._archive.erase(orphans)
            erased += len(orphans)
            await self._archiving.go_on_sweeping()
            await asyncio.sleep(_PACE_SECONDS)
        await self._archiving.end_sweep()
        log.info("the archive was swept: %d objects were nobody's", erased)
        return erased
