"""Long work that cannot be cut into slices, beside the loop: in a thread, in which Python lets the loop have its turn between
any two steps of its own. What one call of C does at a stretch, and keeps for itself, is not shortened by that."""

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")

_SWITCH_SECONDS: Final = 0.001
"""How long the loop waits for its turn while the thread works; Python's own is five times that."""


class Aside:
    """One per process: one thread, so that work takes turns. How much may wait is bounded by who asks: a connection, or a slot,
    has one piece at a time. The thread ends when the object goes, or the process."""

    def __init__(self) -> None:
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="aside")

    async def run(self, work: Callable[[], T]) -> T:
        """What `work`, which touches nothing that the loop has, gives or raises. Whoever is cancelled while it waits has its
        work left undone; what has begun is ended, for nobody."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
