"""Several processes of one kind under a small parent: one that dies is started again, SIGTERM reaches all of them, and none
outlives the parent. Where the parent holds their listening sockets, SIGHUP replaces them all without a gap."""

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from broker.errors import BrokerError
from broker.processes.orphans import Orphans
from broker.processes.supervise import STEADY, delay_before, ending

log = logging.getLogger("respool.processes")

_KILL_SECONDS = 5.0
MOST_QUICK_ENDS = 5
"""A child that ends by itself so many times in a row, soon after its start, cannot run: its parent ends too, and says so by its
exit code. (Who is killed by a signal was not asked.)"""
_READY_SECONDS = 60.0
"""Within which a successor must say that it serves."""


class CannotRun(BrokerError):
    """A child ends whenever it is started."""


class _Child:
    """One process. `left` is set when it has ended, or when a successor has taken its place."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, announcing: int | None) -> None:
        self.name = name
        self.process = process
        self.left = asyncio.Event()
        self._announcing = announcing

    @property
    def ended(self) -> bool:
        return self.process.returncode is not None

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def announced(self) -> bool:
        """Whether it says within a bound that it serves; False too if it ends before that. Asked once, of a successor."""
        assert self._announcing is not None
        reader = asyncio.StreamReader()
        pipe = os.fdopen(self._announcing, "rb", buffering=0)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        try:
            async with asyncio.timeout(_READY_SECONDS):
                return bool(await reader.read(1))
        except TimeoutError:
            return False
        finally:
            transport.close()


class Processes:
    """Keeps `count` children running, each `python *argv(name)` with a name that no other child has ever had. `died` gets
    the name of one that ended by itself, before its successor starts. On SIGTERM or SIGINT all are sent SIGTERM, and
    SIGKILL after `grace` seconds.

    With `sockets`, one for each child or one for all, a child is called with `--inherit FD`, and SIGHUP replaces all of them: a
    successor of each is started, with `--announce FD` besides, into which it writes a byte when it serves. When all
    have, those before them are sent SIGHUP, and SIGKILL after `grace` seconds. If one does not, the successors are ended, and
    those before them go on. The sockets stay open throughout, so a connection that no process has accepted yet waits."""

    def __init__(
        self,
        count: int,
        argv: Callable[[str], Sequence[str]],
        grace: float,
        died: Callable[[str], Awaitable[None]],
        *,
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        self._count = count
        self._argv = argv
        self._grace = grace
        self._died = died
        self._sockets = sockets
        self._current: dict[int, _Child] = {}
        self._children: set[_Child] = set()
        self._owned: set[asyncio.Task[None]] = set()
        self._orphans = Orphans()
        self._stopping = asyncio.Event()
        self._replacing = asyncio.Event()

    async def run(self) -> None:
        """Returns when all have ended after a signal. Raises CannotRun, with the others stopped, if a child ends again and
        again right after its start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        if self._sockets:
            loop.add_signal_handler(signal.SIGHUP, self._hang_up, os.isatty(0))
        keeping = [loop.create_task(self._keep(slot)) for slot in range(self._count)]
        waiting = [loop.create_task(self._stopping.wait()), loop.create_task(self._replace_when_asked())]
        try:
            await asyncio.wait({*waiting, *keeping}, return_when=asyncio.FIRST_COMPLETED)
            await self._stop(keeping)
            for kept in keeping:
                if kept.done():
                    kept.result()
        finally:
            for task in waiting:
                task.cancel()
            self._orphans.close()

    def _hang_up(self, had_terminal: bool) -> None:
        """SIGHUP: somebody asks for successors, or our terminal has gone, and we with it."""
        (self._stopping if had_terminal and not os.isatty(0) else self._replacing).set()

    async def _keep(self, slot: int) -> None:
        """One child after the other; one that ends soon after its start is started again a little later each time."""
        loop, quick_ends = asyncio.get_running_loop(), 0
        while not self._stopping.is_set():
            if slot not in self._current:
                self._current[slot] = await self._start(slot)
            child, started = self._current[slot], loop.time()
            await child.left.wait()
            if self._stopping.is_set():
                return
            if self._current[slot] is not child:
                continue
            del self._current[slot]
            code = child.process.returncode
            assert code is not None
            log.warning("process %s %s", child.name, ending(code))
            await self._died(child.name)
            quick_ends = 1 if loop.time() - started > STEADY else quick_ends + 1
            if quick_ends >= MOST_QUICK_ENDS and code > 0:
                raise CannotRun(f"a process {ending(code)}, {quick_ends} times in a row, right after its start")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay_before(quick_ends))

    async def _start(self, slot: int, *, announces: bool = False) -> _Child:
        name = f"{slot}-{secrets.token_hex(4)}"
        argv, inherited, announcing = [*self._argv(name)], [], None
        if self._sockets:
            inherited.append(self._sockets[slot % len(self._sockets)].fileno())
            argv += ["--inherit", str(inherited[0])]
        if announces:
            announcing, writing = os.pipe()
            inherited.append(writing)
            argv += ["--announce", str(writing)]
        try:
            # A session of its own: a signal from the terminal is for the parent, who tells the children.
            process = await asyncio.create_subprocess_exec(
                sys.executable, *argv, stdin=asyncio.subprocess.DEVNULL, pass_fds=inherited, start_new_session=True
            )
        finally:
            if announces:
                os.close(writing)
        child = _Child(name, process, announcing)
        self._children.add(child)
        self._orphans.hold(process.pid)
        self._own(self._reap(child))
        return child

    async def _reap(self, child: _Child) -> None:
        await child.process.wait()
        self._orphans.release(child.process.pid)
        self._children.discard(child)
        child.left.set()

    async def _replace_when_asked(self) -> None:
        while True:
            await self._replacing.wait()
            self._replacing.clear()
            await self._replace()

    async def _replace(self) -> None:
        """All children at once, so that a client who is sent away by one does not come to another that is about to go."""
        log.info("starting successors")
        successors = [await self._start(slot, announces=True) for slot in range(self._count)]
        serving = await asyncio.gather(*(successor.announced() for successor in successors))
        if not all(serving) or any(successor.ended for successor in successors):
            log.error("no successors: they did not start, the processes that serve go on")
            for successor in successors:
                self._own(self._end(successor, signal.SIGTERM))
            return
        log.info("successors serve; the processes before them go")
        for slot, successor in enumerate(successors):
            before = self._current.get(slot)
            self._current[slot] = successor
            if before is not None:
                before.left.set()
                self._own(self._end(before, signal.SIGHUP))

    async def _end(self, child: _Child, number: int) -> None:
        child.signal(number)
        try:
            await asyncio.wait_for(child.process.wait(), self._grace)
        except TimeoutError:
            child.signal(signal.SIGKILL)

    async def _stop(self, keeping: list[asyncio.Task[None]]) -> None:
        self._stopping.set()
        self._signal(signal.SIGTERM)
        _, late = await asyncio.wait([*keeping, *self._owned], timeout=self._grace)
        if late:
            self._signal(signal.SIGKILL)
            await asyncio.wait(late, timeout=_KILL_SECONDS)

    def _signal(self, number: int) -> None:
        for child in list(self._children):
            child.signal(number)

    def _own(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            await work

        task = asyncio.get_running_loop().create_task(run())
        self._owned.add(task)
        task.add_done_callback(self._owned.discard)
