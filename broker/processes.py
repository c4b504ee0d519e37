"""Several processes of one kind under a small parent: one that dies is started again, SIGTERM reaches all of them, and none
outlives the parent."""

import asyncio
import logging
import secrets
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from broker.errors import BrokerError
from broker.supervise import STEADY, delay_before, ending
from broker.tether import Tether

log = logging.getLogger("respool.processes")

_KILL_SECONDS = 5.0
MOST_QUICK_ENDS = 5
"""A child that ends by itself so many times in a row, soon after its start, cannot run: its parent ends too, and says so by its
exit code. (Who is killed by a signal was not asked.)"""


class CannotRun(BrokerError):
    """A child ends whenever it is started."""


class Processes:
    """Keeps `count` children running, each `python *argv(name)` with a name that no other child has ever had. `died` is told
    the name of one that ended by itself, before its successor starts. On SIGTERM or SIGINT all are sent SIGTERM, and
    SIGKILL after `grace` seconds."""

    def __init__(
        self, count: int, argv: Callable[[str], Sequence[str]], grace: float, died: Callable[[str], Awaitable[None]]
    ) -> None:
        self._count = count
        self._argv = argv
        self._grace = grace
        self._died = died
        self._children: set[asyncio.subprocess.Process] = set()
        self._tether = Tether()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Returns when all have ended after a signal. Raises CannotRun, with the others stopped, if a child ends again and
        again right after its start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        keeping = [loop.create_task(self._keep(slot)) for slot in range(self._count)]
        stopping = loop.create_task(self._stopping.wait())
        try:
            await asyncio.wait({stopping, *keeping}, return_when=asyncio.FIRST_COMPLETED)
            await self._stop(keeping)
            for kept in keeping:
                if kept.done():
                    kept.result()
        finally:
            stopping.cancel()
            self._tether.close()

    async def _keep(self, slot: int) -> None:
        """One child after the other; one that ends soon after its start is started again a little later each time."""
        loop, quick_ends = asyncio.get_running_loop(), 0
        while not self._stopping.is_set():
            name, started = f"{slot}-{secrets.token_hex(4)}", loop.time()
            code = await self._one(name)
            if self._stopping.is_set():
                return
            log.warning("process %s %s", name, ending(code))
            await self._died(name)
            quick_ends = 1 if loop.time() - started > STEADY else quick_ends + 1
            if quick_ends >= MOST_QUICK_ENDS and code > 0:
                raise CannotRun(f"a process {ending(code)}, {quick_ends} times in a row, right after its start")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay_before(quick_ends))

    async def _one(self, name: str) -> int:
        child = await asyncio.create_subprocess_exec(
            sys.executable, *self._argv(name), stdin=asyncio.subprocess.DEVNULL
        )
        self._children.add(child)
        self._tether.hold(child.pid)
        try:
            return await child.wait()
        finally:
            self._tether.release(child.pid)
            self._children.discard(child)

    async def _stop(self, keeping: list[asyncio.Task[None]]) -> None:
        self._stopping.set()
        self._signal(signal.SIGTERM)
        _, late = await asyncio.wait(keeping, timeout=self._grace)
        if late:
            self._signal(signal.SIGKILL)
            await asyncio.wait(late, timeout=_KILL_SECONDS)

    def _signal(self, number: int) -> None:
        for child in list(self._children):
            with suppress(ProcessLookupError):
                child.send_signal(number)
