"""Completes erasures: those whose API died, those whose text the archive would not give up, and all once more after some
seconds (broker/store/erasing.py). Each worker does."""

import asyncio
import logging
from typing import Final

from broker.errors import BrokerError
from broker.store.agreement import Agreement
from broker.store.erasing import Erasing

log = logging.getLogger("respool.eraser")

_AT_ONCE: Final = 50
_EVERY_SECONDS: Final = 1.0


class Eraser:
    """Run it as a task."""

    def __init__(self, erasing: Erasing, agreement: Agreement) -> None:
        self._erasing = erasing
        self._agreement = agreement

    async def run(self) -> None:
        """Looks every second, until cancelled."""
        while True:
            more = False
            try:
                more = await self.look() == _AT_ONCE
            except BrokerError as error:
                log.warning("erasures are not completed: %s", error)
            await asyncio.sleep(0 if more else _EVERY_SECONDS)

    async def look(self) -> int:
        """Sees to what is due; how many these were. None where the records are on another server. Raises StorageUnavailable or
        StorageFull."""
        return 0 if self._agreement.apart else await self._erasing.complete(_AT_ONCE)
