"""Moves the logs of ended generations to the archive. Each worker does; of one generation one at a time, as a rule.

    1  the record and the log are read, and become one object
    2  the object is put on the list of what is looked at, in 10 minutes
    3  it is written, and read back
    4  in one step Redis drops the log and keeps a stub that names the object, if both are still what was read
    5  the object is looked at next when the stub has expired

A generation may be erased, or expire, between any two of these. Who erases it erases the object that its stub names; one that
no stub names yet is only known here, so it is erased here, as soon as step 4 or 5 finds that there is no record any more.

A worker may be killed between any two of these: the generation is still on the list and is done again, with another object, and
one that no stub names is erased when it is looked at. Step 4 is refused 5 minutes after step 1: nobody erases an object that a
stub may still come to name.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from broker.errors import ArchiveUnavailable, BrokerError
from broker.packing import Packed, digest, pack
from broker.record import TERMINAL
from broker.store.agreement import Agreement
from broker.store.archive import Archive, name_of, new_mark, parts_of
from broker.store.archiving import Archiving
from broker.store.logs import Logs
from broker.store.reading import pages
from broker.turns import Turns

log = logging.getLogger("respool.archiver")

_AT_ONCE: Final = 8
_EVERY_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 30.0
_SLACK_MS: Final = 1000
IN_TIME_MS: Final = 300_000
"""From the look at a generation to the step that drops its log."""
NOBODYS_MS: Final = 2 * IN_TIME_MS
"""After so long an object that no stub names is an orphan."""


@dataclass(frozen=True, slots=True)
class ArchiverStatistics:
    """What an archiver has done since its process began."""

    archived: int
    """Generations whose logs it took out of Redis."""
    bytes: int
    """Of their objects."""
    erased: int
    """Objects that had expired, or that no stub named."""
    unavailable: int
    """Times that the archive did not do what it was asked for."""


class Archiver:
    """Run it as a task. `after` is seconds from an end to the archive, and between two tries."""

    def __init__(self, logs: Logs, archiving: Archiving, archive: Archive, agreement: Agreement, after: float) -> None:
        self._logs = logs
        self._archiving = archiving
        self._archive = archive
        self._agreement = agreement
        self._again_ms = round(after * 1000)
        self._pause = min(after, _LONGEST_PAUSE_SECONDS)
        self._turns = Turns()
        self._archived = self._bytes = self._erased = self._unavailable = 0

    def statistics(self) -> ArchiverStatistics:
        return ArchiverStatistics(self._archived, self._bytes, self._erased, self._unavailable)

    async def run(self) -> None:
        """Looks every second, until cancelled; more seldom while the archive is away."""
        while True:
            pause = _EVERY_SECONDS
            try:
                if await self.look() == _AT_ONCE:
                    pause = 0
            except ArchiveUnavailable as error:
                log.warning("nothing is archived: %s", error)
                pause = self._pause
            except BrokerError as error:
                log.warning("nothing is archived: %s", error)
            await asyncio.sleep(pause)

    async def look(self) -> int:
        """Sees to what is due, a few at a time; how many these were. What failed is due again later. None where the records are
        on another server. Raises ArchiveUnavailable, StorageUnavailable or StorageFull."""
        if self._agreement.apart:
            return 0
        names = await self._archiving.due(_AT_ONCE, self._again_ms)
        outcomes = await asyncio.gather(*map(self._see_to, names), return_exceptions=True)
        failures = [outcome for outcome in outcomes if outcome is not None]
        self._unavailable += sum(isinstance(failure, ArchiveUnavailable) for failure in failures)
        for failure in sorted(failures, key=lambda failure: isinstance(failure, BrokerError)):
            raise failure
        return len(names)

    async def _see_to(self, name: str) -> None:
        if (parts := parts_of(name)) is not None:
            await self._see_to_object(name, *parts)
        else:
            await self._see_to_generation(name)

    async def _see_to_object(self, name: str, id_: str, mark: str) -> None:
        """Erases it, unless a stub names it: then it is looked at again when that has expired."""
        (named,) = await self._logs.archived([id_])
        look = await self._logs.look(id_)
        if look is not None and named == mark:
            await self._archiving.look_in({name: look.expires_ms + _SLACK_MS})
        elif look is not None or await self._agreement.lost([id_]):
            await self._erase(name)

    async def _erase(self, name: str) -> None:
        """For no stub names it, and none will."""
        await self._archive.erase([name])
        await self._archiving.drop([name])
        self._erased += 1

    async def _see_to_generation(self, id_: str) -> None:
        look = await self._logs.look(id_)
        if look is None and not await self._agreement.lost([id_]):
            return  # its record may be on another logs server: somebody there may find it
        if look is None or look.state not in TERMINAL or (await self._logs.archived([id_]))[0] is not None:
            # It was archived by an earlier look, and Redis has not got the log back since; or it is gone; or it runs again, as
            # Redis has lost its end: then it is listed when it ends.
            await self._archiving.drop([id_])
            return
        data = await pack(id_, await self._logs.fields(id_), pages(self._logs, id_), self._turns)
        packed, mark = Packed(data), new_mark(await digest(data, self._turns))
        name = name_of(id_, mark)
        await self._archiving.look_in({name: NOBODYS_MS})
        await self._archive.put(name, data)
        outcome = await self._logs.archive(id_, mark, packed.last, packed.entries, look.ended_ms + IN_TIME_MS)
        if outcome == "gone":  # no later call can find the record again; of the other refusals that is not so
            await self._erase(name)
            return
        if outcome != "archived":
            log.warning("%s: its log stays in Redis for now: %s", id_, outcome)
            return
        self._archived += 1
        self._bytes += len(data)
        await self._archiving.look_in({name: look.expires_ms + _SLACK_MS})
        # An erasure that came between may have taken the name off the list before it was put there.
        if await self._logs.look(id_) is None:
            await self._erase(name)
