"""Hears which generations were erased, for an API to drop what it keeps of them: asks once a second, as what is published
reaches only those who are subscribed, and may be lost."""

import asyncio
import logging
from collections.abc import Callable, Collection
from time import monotonic
from typing import Final

from broker.errors import BrokerError
from broker.store.erasing import Erasing

log = logging.getLogger("respool.erasures")

_EVERY_SECONDS: Final = 1.0
_PAGE: Final = 1000
_LONGEST_SECONDS: Final = 300.0
"""Without an answer: after more, some may have been told, and forgotten since."""


class Erasures:
    """Run it as a task. `erased` is told which, each at least once; `missed`, that there may have been any."""

    def __init__(
        self, erasing: Erasing, erased: Callable[[Collection[str]], object], missed: Callable[[], object]
    ) -> None:
        self._erasing = erasing
        self._erased = erased
        self._missed = missed
        self._known = 0  # all that is told still: what this process has read meanwhile may be of any
        self._heard_at = monotonic()

    async def run(self) -> None:
        """Asks until cancelled."""
        while True:
            try:
                while await self.look() == _PAGE:
                    pass
            except BrokerError as error:
                log.debug("erasures are not heard of: %s", error)
            await asyncio.sleep(_EVERY_SECONDS)

    async def look(self) -> int:
        """How many were told. Raises StorageUnavailable."""
        found = await self._erasing.told(self._known, _PAGE)
        if monotonic() - self._heard_at > _LONGEST_SECONDS:
            self._missed()
        self._heard_at = monotonic()
        if found:
            self._known = found[-1][1]
            self._erased({id_ for id_, _ in found})
        return len(found)
