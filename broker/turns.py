"""Long work in slices: one in each round of the loop, whoever computes, so that all others go on in between."""

import asyncio
from collections import deque
from typing import Final

SLICE_SECONDS: Final = 0.001
"""About what a slice may take: a thousand entries."""
_FEW: Final = 100


class Turns:
    """One per process. Turns are given in the order in which they were asked for; after each the loop looks at its sockets."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._taken = False

    async def take(self, entries: int = _FEW) -> None:
        """Before each slice: what is done until the next `await`. A slice of a few entries needs no turn."""
        if entries < _FEW:
            return
        loop = asyncio.get_running_loop()
        if self._taken:
            turn = loop.create_future()
            self._waiting.append(turn)
            await turn
        else:
            self._taken = True
            loop.call_soon(self._next)

    def _next(self) -> None:
        """A slice is done: whoever waits for the next one has it in the next round."""
        self._taken = False
        while self._waiting and not self._taken:
            turn = self._waiting.popleft()
            if not turn.done():  # whoever waited may have gone
                turn.set_result(None)
                self._taken = True
                asyncio.get_running_loop().call_soon(self._next)
