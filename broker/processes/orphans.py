"""Children that cannot outlive us, however we die.

A process that is killed with SIGKILL tidies nothing up, and a Valkey server survives its parent. So a second, tiny
process, the watcher, reads a pipe whose other end only we hold: when we are gone, by any means, the pipe ends, and it ends
whatever we left behind. It needs no signal on parent death, which macOS does not have, and imports nothing but the standard
library.
"""

import atexit
import contextlib
import functools
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

GRACE = 5.0
"""Seconds between the watcher's SIGTERM and its SIGKILL."""
REAP = 10.0
"""Seconds within which the kernel must hand over a process that was killed with SIGKILL."""


class Orphans:
    """Holds the pids of our children: those still held when this process ends, or closes it, are ended too."""

    def __init__(self, grace: float = GRACE) -> None:
        self._grace = grace
        self._held: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def hold(self, pid: int) -> None:
        """From now on `pid` dies with us. Call it right after the child was made."""
        with self._lock:
            self._held.add(pid)
            self._tell(f"+{pid}\n")

    def release(self, pid: int) -> None:
        """Call it as soon as the child has been reaped: its number may then name somebody else's process."""
        with self._lock:
            if pid in self._held:
                self._held.remove(pid)
                self._tell(f"-{pid}\n")

    def close(self) -> None:
        """End what is still held (SIGTERM, then SIGKILL), and the watcher itself."""
        with self._lock:
            process, self._process = self._process, None
            self._held.clear()
        if process is not None:
            _stdin(process).close()
            process.wait(self._grace + REAP)

    def _tell(self, line: str) -> None:
        """Write one line; a watcher that was killed is replaced, and is told all of it again."""
        if self._process is not None:
            with contextlib.suppress(BrokenPipeError):
                _stdin(self._process).write(line.encode())
                return
            _stdin(self._process).close()
            self._process.wait(REAP)
        # By file and isolated (-I -S): its start then depends on nothing in the checkout and takes milliseconds. In a
        # session of its own, so that a Ctrl-C meant for us does not end it first.
        self._process = subprocess.Popen(  # noqa: S603 (our own file)
            [sys.executable, "-I", "-S", Path(__file__).absolute(), str(self._grace)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            start_new_session=True,
        )
        _stdin(self._process).write("".join(f"+{pid}\n" for pid in self._held).encode())


@functools.cache
def own_orphans() -> Orphans:
    """What this process holds, let go when the interpreter exits."""
    orphans = Orphans()
    atexit.register(orphans.close)
    return orphans


class HeldProcess:
    """A child in a session of its own (a Ctrl-C in our terminal does not reach it), held until it is reaped."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        orphans: Orphans | None = None,
        output: int | IO[bytes] = subprocess.DEVNULL,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
        umask: int = -1,
    ) -> None:
        self._orphans = orphans or own_orphans()
        self._popen = subprocess.Popen(  # noqa: S603 (no shell; what to run is ours)
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            pass_fds=pass_fds,
            umask=umask,
            start_new_session=True,
        )
        self._orphans.hold(self.pid)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def stdout(self) -> IO[bytes] | None:
        """Its output, if `output` was PIPE."""
        return self._popen.stdout

    def poll(self) -> int | None:
        """Its exit code (negative: the signal that ended it), None while it runs."""
        code = self._popen.poll()
        if code is not None:
            self._orphans.release(self.pid)
        return code

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens if it has ended."""
        self._popen.send_signal(number)

    def stop(self, grace: float) -> int:
        """SIGTERM, after `grace` seconds SIGKILL; returns the exit code. SIGCONT too: a paused process hears neither."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        try:
            self._popen.wait(grace)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
        return self._reap()

    def kill(self) -> int:
        """SIGKILL at once; returns the exit code."""
        self.signal(signal.SIGKILL)
        return self._reap()

    def _reap(self) -> int:
        code = self._popen.wait(REAP)
        self._orphans.release(self.pid)
        return code


def _stdin(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin


class _Orphan:
    """A process that is not our child. On Linux a pidfd makes sure that no later process of its number is hit."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.fd: int | None = None
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                self.fd = os.pidfd_open(pid)

    def signal(self, number: int) -> None:
        with contextlib.suppress(OSError):
            if sys.platform == "linux" and self.fd is not None:
                signal.pidfd_send_signal(self.fd, number)
            else:
                os.kill(self.pid, number)

    def gone(self) -> bool:
        if self.fd is not None:
            return bool(select.select([self.fd], [], [], 0)[0])
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def forget(self) -> None:
        if self.fd is not None:
            os.close(self.fd)


def watch(lines: Iterable[bytes], grace: float) -> None:
    """The watcher's own life: `+PID` and `-PID` until the lines end, then end what is still held."""
    held: dict[int, _Orphan] = {}
    for line in lines:
        pid = int(line[1:])
        if line.startswith(b"+"):
            held.setdefault(pid, _Orphan(pid))
        elif orphan := held.pop(pid, None):
            orphan.forget()
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, REAP)):
        left = [orphan for orphan in held.values() if not orphan.gone()]
        for orphan in left:
            orphan.signal(number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and not all(orphan.gone() for orphan in left):
            time.sleep(0.02)


if __name__ == "__main__":
    for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Its only way to end is the end of the pipe: a signal to the whole group or session is meant for the others.
        signal.signal(_number, signal.SIG_IGN)
    watch(sys.stdin.buffer, float(sys.argv[1]))
