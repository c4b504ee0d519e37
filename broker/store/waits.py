"""How long those wait who wait: what Redis says of it, asked once for all who want to know."""

import asyncio
from typing import Final

from broker.errors import BrokerError
from broker.store.coordination import Coordination
from broker.waiting import Shares, Standing, Wait

_FRESH_SECONDS: Final = 0.5
_RECENT_SECONDS: Final = 2.0


class Waits:
    """One per cell and process. `shares`: what each tenant gets of the workers."""

    def __init__(self, coordination: Coordination, shares: Shares) -> None:
        self._coordination = coordination
        self._shares = shares
        self._clock = asyncio.get_running_loop().time
        self._standing = Standing(0)
        self._at = float("-inf")
        self._asking = asyncio.Lock()

    async def standing(self) -> Standing:
        """How it stands, as of half a second ago at most. Raises StorageUnavailable."""
        async with self._asking:
            if self._clock() - self._at > _FRESH_SECONDS:
                self._standing = await self._coordination.standing()
                self._at = self._clock()
            return self._standing

    async def of(self, owner: str, rank: int) -> Wait:
        """Of the job that has so many before it in its owner's line; where Redis does not say, as far as is known."""
        try:
            return (await self.standing()).wait_of(owner, rank, self._shares)
        except BrokerError:
            return Wait(rank)

    def of_first(self, owner: str) -> Wait:
        """Of one that nobody is before, as far as is known without asking."""
        if self._clock() - self._at > _RECENT_SECONDS:
            return Wait(0)
        return self._standing.wait_of(owner, 0, self._shares)._replace(position=0)
