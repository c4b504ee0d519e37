"""The API keys of one API process: what it knows of them, who makes them, and the task that keeps them."""

import asyncio
from collections.abc import Sequence

from arq.connections import ArqRedis

from api.access.peppers import Peppers
from api.keys.everywhere import Everywhere
from api.keys.issuing import Issuer
from api.keys.keyed import Keyed
from api.keys.ring import Ring


class Keys:
    """`clients` are those of the cells' coordination. To be made in the loop; `begin` it, and at last `end` it."""

    def __init__(self, clients: Sequence[ArqRedis], peppers: Peppers) -> None:
        store = Everywhere(clients)
        self.ring = Ring(store, peppers)
        self.issuer = Issuer(store, peppers)
        self.policy = Keyed(self.ring)
        self._running: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Starts to look at what is known."""
        self._running = asyncio.create_task(self.ring.run())

    async def end(self) -> None:
        """Ends the task."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        await self.ring.close()
