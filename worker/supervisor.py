"""Several worker processes under a small parent. A child that dies is known to be dead at once, so its generations need not
wait for their leases: the parent gives these back, and the next attempts begin. The lease remains for the death of a host,
of the parent, or for a process that is frozen."""

import asyncio
import logging
import secrets
import signal
import socket
import sys
from contextlib import suppress

from broker.connect import connect
from broker.coordination import Coordination
from broker.errors import BrokerError
from broker.logs import Logs
from broker.supervise import STEADY, delay_before, ending
from broker.tether import Tether
from worker.settings import WorkerSettings

log = logging.getLogger("respool.supervisor")

_STOP_SECONDS = 10.0
_MOST_RUNNING = 100_000


class Supervisor:
    """Keeps `processes` workers running until SIGTERM or SIGINT, then lets them drain."""

    def __init__(self, settings: WorkerSettings, processes: int) -> None:
        self._settings = settings
        self._processes = processes
        self._redis = connect(settings.redis_url, connections=4)
        self._logs_redis = connect(settings.effective_logs_url, connections=4)
        self._logs, self._coordination = Logs(self._logs_redis), Coordination(self._redis)
        self._children: set[asyncio.subprocess.Process] = set()
        self._tether = Tether()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        keeping = [asyncio.create_task(self._keep(slot)) for slot in range(self._processes)]
        try:
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait({stopping, *keeping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            await self._stop(keeping)
        finally:
            self._tether.close()
            for redis in (self._redis, self._logs_redis):
                await redis.aclose(close_connection_pool=True)

    async def _keep(self, slot: int) -> None:
        """One child after the other; one that ends soon after its start is started again a little later each time."""
        loop, quick_ends = asyncio.get_running_loop(), 0
        while not self._stopping.is_set():
            name, started = f"{socket.gethostname()}:{slot}:{secrets.token_hex(4)}", loop.time()
            code = await self._one(name)
            if self._stopping.is_set():
                return
            log.warning("worker %s %s", name, ending(code))
            await self._hand_over(name)
            quick_ends = 1 if loop.time() - started > STEADY else quick_ends + 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay_before(quick_ends))

    async def _one(self, name: str) -> int:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "worker", "--processes", "1", "--name", name, stdin=asyncio.subprocess.DEVNULL
        )
        self._children.add(child)
        self._tether.hold(child.pid)
        try:
            return await child.wait()
        finally:
            self._tether.release(child.pid)
            self._children.discard(child)

    async def _hand_over(self, name: str) -> None:
        """Gives back the leases of a dead child, and queues the next attempts. Those counted: it was a crash."""
        try:
            running = await self._coordination.listed("running", None, _MOST_RUNNING)
            for held in await self._logs.held_by(name, [id_ for _, id_ in running]):
                if await self._logs.release(held.id, held.attempt, counts=True):
                    await self._coordination.enqueue(held.id, held.ordinal + 1, created_ms=held.created_ms)
        except BrokerError as error:
            log.warning("no hand-over of %s, its leases will run out: %r", name, error)

    async def _stop(self, keeping: list[asyncio.Task[None]]) -> None:
        for child in self._children:
            with suppress(ProcessLookupError):
                child.send_signal(signal.SIGTERM)
        _, late = await asyncio.wait(keeping, timeout=self._settings.drain + _STOP_SECONDS)
        for child in list(self._children):
            with suppress(ProcessLookupError):
                child.kill()
        if late:
            await asyncio.wait(late, timeout=_STOP_SECONDS)
