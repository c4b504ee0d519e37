"""A look at each generation some seconds after it was accepted: by then coordination has on disk what it will not lose. Where
the logs have a server of their own, it may have come back without the place of what it accepted in its last second."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Final

from broker.errors import BrokerError

log = logging.getLogger("respool.lookout")

AFTER_SECONDS: Final = 3.0
"""More than AOF `everysec` may lose: it is two seconds behind at most."""
_PACE_SECONDS: Final = 1.0
_BATCH: Final = 1000
_MOST: Final = 20_000
"""Ids that wait for their look: a flood of submits while coordination does not answer must not fill the memory. The oldest
go first; the workers' search of the records finds what they have lost."""
_CLOSING_SECONDS: Final = 1.0

PutBack = Callable[[Sequence[str]], Awaitable[list[str]]]


class Lookout:
    """Run it as a task. `watch` is told of what was accepted and of what waits without a place. While there is nothing to look
    at it costs nothing; else one look a second, in one trip, at up to 1,000."""

    def __init__(self, put_back: PutBack) -> None:
        self._put_back = put_back
        self._clock = asyncio.get_running_loop().time
        self._at: dict[str, float] = {}  # when to look, in this order
        self._some = asyncio.Event()

    def watch(self, id_: str) -> None:
        """Has the generation looked at in 3 s."""
        if id_ in self._at:
            return
        if len(self._at) >= _MOST:
            del self._at[next(iter(self._at))]
        self._at[id_] = self._clock() + AFTER_SECONDS
        self._some.set()

    async def run(self) -> None:
        """Lives until cancelled."""
        while True:
            await self._some.wait()
            await asyncio.sleep(max(_PACE_SECONDS, next(iter(self._at.values())) - self._clock()))
            await self._look(self._clock())

    async def close(self) -> None:
        """The last look, at all that wait for one, when `run` has ended; a second at most."""
        try:
            async with asyncio.timeout(_CLOSING_SECONDS):
                while self._at and await self._look(float("inf")):
                    pass
        except TimeoutError:
            log.warning("%d generations were not looked at again", len(self._at))

    async def _look(self, until: float) -> bool:
        """Looks at those whose time has come; False if that could not be done, and must be again. What was put back may be lost
        as well."""
        ids = [id_ for id_, at in islice(self._at.items(), _BATCH) if at <= until]
        try:
            lost = await self._put_back(ids) if ids else []
        except BrokerError as error:
            log.warning("no look: %s", error)
            return False
        for id_ in ids:
            self._at.pop(id_, None)
        if not self._at:
            self._some.clear()
        if until < float("inf"):
            for id_ in lost:
                self.watch(id_)
        return True
