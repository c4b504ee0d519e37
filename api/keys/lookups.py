"""Asks the store for keys that are not known here. What anybody may cause by naming keys that there are not is bounded: one
question is under way at a time, with all ids that have come meanwhile; who asks beyond the bounds is told to come again.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from api.intake.problems import Code, Problem
from broker.errors import BrokerError, StorageUnavailable

log = logging.getLogger("respool.keys")

Fetch = Callable[[Sequence[str]], Awaitable[None]]
_MOST_WAITING: Final = 1024
"""Requests that wait for an answer: a flood of unknown keys must not fill memory."""
_MOST_OF_ADDRESS: Final = 128
"""Of these, from one address: who floods is in its own way first."""
_AT_ONCE: Final = 256
"""Ids in a question."""
_SECONDS: Final = 4.0


class LookUps:
    """`fetch` asks for these ids, and notes what is said. To be made in the loop; `close` it."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._answers: dict[str, asyncio.Future[BrokerError | None]] = {}  # not asked for yet
        self._waiting: Counter[str] = Counter()  # by address
        self._asking: asyncio.Task[None] | None = None

    async def look_up(self, id_: str, address: str) -> None:
        """Returns when the store has been asked. Raises Problem (503): too many ask, or it does not answer."""
        if self._waiting[address] >= _MOST_OF_ADDRESS or self._waiting.total() >= _MOST_WAITING:
            raise Problem(Code.TOO_BUSY)
        if id_ not in self._answers:
            self._answers[id_] = asyncio.get_running_loop().create_future()
        answer = self._answers[id_]
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        self._waiting[address] += 1
        try:
            async with asyncio.timeout(_SECONDS):
                error = await asyncio.shield(answer)
        except TimeoutError:
            error = StorageUnavailable("silent")
        finally:
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address]
        if error is not None:
            raise error

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait((self._asking,))

    async def _ask(self) -> None:
        """Asks until nobody waits."""
        while self._answers:
            ids = list(self._answers)[:_AT_ONCE]
            asked = [self._answers.pop(id_) for id_ in ids]
            error: BrokerError | None = StorageUnavailable("silent")
            try:
                await self._fetch(ids)
                error = None
            except BrokerError as failed:
                error = failed
            finally:
                for answer in asked:
                    if not answer.done():
                        answer.set_result(error)
        self._asking = None
