"""The API keys of one API process: what it knows of them, who makes them, and the tasks of both."""

import asyncio
from collections.abc import Sequence

from arq.connections import ArqRedis

from api.access.peppers import Peppers
from api.keys.everywhere import Everywhere
from api.keys.issuing import Issuer
from api.keys.keyed import Keyed
from api.keys.revocations import listen
from api.keys.ring import Ring


class Keys:
    """`clients` are those of the cells' coordination. To be made in the loop; `begin` it, and at last `end` it."""

    def __init__(self, clients: Sequence[ArqRedis], peppers: Peppers) -> None:
        store = Everywhere(clients)
        self.ring = Ring(store, peppers)
        self.issuer = Issuer(store, peppers)
        self.policy = Keyed(self.ring)
        self._clients = clients
        self._running: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Starts to look at what is known, and to listen."""
        runs = [self.ring.run(), *(listen(client, self.ring.look_again) for client in self._clients)]
        self._running = {asyncio.create_task(run) for run in runs}

    async def end(self) -> None:
        """Ends the tasks."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)
        await self.ring.close()
