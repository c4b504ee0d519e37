"""Notes in the records of generations that end where nobody watches that somebody does: of all that are watched here, every
2 s, and of one at once when its first viewer comes. When the last one leaves nothing is done: what is not noted is over.

An API that is killed notes nothing; one that cannot reach Redis neither, and goes on trying. The worker judges (see
worker/generating/abandonment.py), and gives everybody the whole grace again when Redis was away for it too.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from broker.errors import BrokerError
from broker.store.logs import Logs

log = logging.getLogger("respool.watched")

_EVERY_SECONDS: Final = 2.0
_BATCH: Final = 500


class Watched:
    """Run it as a task. `watched` tells which generations somebody watches that would end without."""

    def __init__(self, logs: Logs, watched: Callable[[], Iterable[str]]) -> None:
        self._logs = logs
        self._watched = watched
        self._came: dict[str, None] = {}
        self._wake = asyncio.Event()

    def came(self, id_: str) -> None:
        """Its first viewer has come here."""
        self._came[id_] = None
        self._wake.set()

    async def run(self) -> None:
        """Notes until cancelled."""
        clock = asyncio.get_running_loop().time
        due = clock() + _EVERY_SECONDS
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
            self._wake.clear()
            if clock() >= due:
                due = clock() + _EVERY_SECONDS
                self._came.update(dict.fromkeys(self._watched()))
            await self._note()

    async def _note(self) -> None:
        """What could not be noted is noted with the next round, if it is watched then."""
        ids, self._came = list(self._came), {}
        try:
            for at in range(0, len(ids), _BATCH):
                await self._logs.watched(ids[at : at + _BATCH])
        except BrokerError as error:
            log.warning("viewers of %d generations are not noted: %s", len(ids), error)
