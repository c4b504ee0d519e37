"""Ends that are shown only once they are safe: a generation of `durability: strict` keeps its terminal entry back until Redis
has it on disk (WAITAOF), or on a replica where it does not persist (WAIT)."""

import asyncio
import logging
from collections import OrderedDict
from typing import Final

from broker.errors import StorageUnavailable
from broker.events import END, Entry
from broker.logs import Logs

log = logging.getLogger("respool.durable")

_REMEMBERED: Final = 10_000
_PAUSE_SECONDS: Final = 0.2
_STRICT: Final = b'"durability":"strict"'


class Durable:
    """One per process; whoever asks for the same generation at the same time shares one wait."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._safe: OrderedDict[str, None] = OrderedDict()
        self._waits: dict[str, asyncio.Task[None]] = {}

    def holds(self, id_: str, entry: Entry) -> bool:
        """Whether this entry must not be shown yet."""
        return entry.kind == END and _STRICT in entry.value and id_ not in self._safe

    async def safe(self, id_: str) -> None:
        """Returns when everything that the log holds now has been confirmed; waits as long as Redis cannot."""
        wait = self._waits.get(id_)
        if wait is None:
            wait = self._waits[id_] = asyncio.get_running_loop().create_task(self._confirm(id_))
            wait.add_done_callback(lambda _: self._waits.pop(id_))
        await asyncio.shield(wait)

    def cancel(self) -> None:
        """Ends the waits that are under way."""
        for wait in list(self._waits.values()):
            wait.cancel()

    async def _confirm(self, id_: str) -> None:
        while True:
            try:
                if await self._logs.confirmed(id_):
                    break
                log.warning("%s: Redis has not confirmed the end yet", id_)
            except StorageUnavailable:
                pass
            await asyncio.sleep(_PAUSE_SECONDS)
        self._safe[id_] = None
        while len(self._safe) > _REMEMBERED:
            self._safe.popitem(last=False)
