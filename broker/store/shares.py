"""How submits were shared out among the cells of late: what an idempotency key has made is where the key's home was then.

Each API notes its own weights in the coordination of every cell that it lists, and hears those that others have, or had while a
key may still be used again. So a key whose home has moved (a cell drains, is added, gets another weight) is first asked for
where it was at home.
"""

import asyncio
import logging
from typing import Final

from arq.connections import ArqRedis

from broker.errors import BrokerError
from broker.placing import Weights, written
from broker.store import coordination_steps

log = logging.getLogger("respool.shares")

_EVERY_SECONDS: Final = 5.0
_SOON_SECONDS: Final = 0.5


class Shares:
    """Run it as a task, after a first `beat`. `heard`: the weights as texts, of one cell's coordination; None as long as it was
    not asked."""

    def __init__(self, coordination: ArqRedis, weights: Weights) -> None:
        self.heard: frozenset[str] | None = None
        self._coordination = coordination
        self._own = written(weights)

    async def run(self) -> None:
        """Notes and hears every 5 s, until cancelled."""
        while True:
            heard = await self.beat()
            await asyncio.sleep(_EVERY_SECONDS if heard else _SOON_SECONDS)

    async def beat(self) -> bool:
        """False if coordination could not be asked: then all is as it was."""
        try:
            self.heard = await coordination_steps.shares(self._own).run(self._coordination)
        except BrokerError:
            return False
        return True
