"""Processes of ours that are forked from one that has made their imports, instead of each making them anew: that takes seconds
of CPU, a fork milliseconds. What runs is the same `main`, in a process, a session and an environment of its own. How the
commands begin is for tests whose processes are not forked (packaging, families, refusals), or all of them: TESTS_FORK=0."""

import atexit
import contextlib
import functools
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from broker.processes.orphans import REAP, HeldProcess, Orphans, own_orphans
from tests.harness.forking import IMPORTS

ROOT: Final = Path(__file__).resolve().parents[2]
_PIECE: Final = 65536
_FIRST_SECONDS: Final = 60.0
"""Within which it has made its imports, and answers."""
_ALLOWED: Final = "TESTS_FORK"
_READ_LATER: Final = ("RESPOOL_", "ANTHROPIC_API_", "ANTHROPIC_BASE_", "PYTHONPATH", "PYTEST_")
"""Variables that begin so, or end in _KEY, are read by `main`. Others may have been by what was imported."""


def module_of(command: Sequence[str | Path]) -> str | None:
    """The module of a command `python -m module` that runs in one process, if it is one of those that can be forked."""
    if os.environ.get(_ALLOWED) != "1":
        return None
    match command:
        case [sys.executable, "-m", str(module), *arguments] if module in IMPORTS:
            alone = {"api": "--alone", "worker": "--name"}.get(module)
            return module if alone is None or alone in arguments else None
    return None


def allow() -> None:
    """From now on, in this process and in those it starts; unless its environment says otherwise."""
    os.environ.setdefault(_ALLOWED, "1")


class Forks:
    """Of one module. `environment` is what its process was started with."""

    def __init__(self, module: str) -> None:
        self.environment = dict(os.environ)
        self._module = module
        self._link, theirs = socket.socketpair()
        self._lock = threading.Lock()
        self._rest = b""
        self._numbers = itertools.count()
        self._pids: dict[int, int] = {}
        self._codes: dict[int, int] = {}
        command = [sys.executable, "-m", "tests.harness.forking", module, str(theirs.fileno())]
        with theirs:
            self._process = HeldProcess(command, output=2, cwd=ROOT, pass_fds=(theirs.fileno(),))

    def close(self) -> None:
        """Ends what forks; what it has forked goes on."""
        self._link.close()
        self._process.kill()

    def may_fork(self, environment: Mapping[str, str]) -> bool:
        """Whether a process with this environment would have made the same imports."""
        differ = {name for name, _ in environment.items() ^ self.environment.items()}
        return all(name.startswith(_READ_LATER) or name.endswith("_KEY") for name in differ)

    def fork(self, arguments: Sequence[str], environment: Mapping[str, str], output: IO[bytes]) -> tuple[int, int]:
        """The number and the pid of a process whose sys.argv these are."""
        with self._lock:
            number = next(self._numbers)
            asked = {"number": number, "arguments": arguments, "environment": dict(environment)}
            request = json.dumps(asked).encode() + b"\n"
            sent = socket.send_fds(self._link, [request], [output.fileno()])
            self._link.sendall(request[sent:])
            end = time.monotonic() + _FIRST_SECONDS
            while number not in self._pids:
                assert time.monotonic() < end, f"no {self._module} was forked within {_FIRST_SECONDS} s"
                self._read(0.1)
            return number, self._pids.pop(number)

    def poll(self, number: int) -> int | None:
        """The exit code of that process, None while it runs."""
        with self._lock:
            if number not in self._codes:
                self._read(0)
            return self._codes.get(number)

    def _read(self, seconds: float) -> None:
        """Takes what was told, for which it waits so long."""
        if not select.select((self._link,), (), (), seconds)[0]:
            return
        data = self._link.recv(_PIECE)
        assert data, f"what forks {self._module} has ended with {self._process.poll()}"
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "code" in said:
                self._codes[said["number"]] = said["code"]
            else:
                self._pids[said["number"]] = said["pid"]


@functools.cache
def forks_of(module: str) -> Forks:
    """This process's. They are there as long as it is."""
    forks = Forks(module)
    atexit.register(forks.close)
    return forks


class ForkedProcess:
    """As HeldProcess."""

    stdout = None

    def __init__(
        self, forks: Forks, arguments: Sequence[str], *, orphans: Orphans | None, output: IO[bytes], env: Mapping[str, str]
    ) -> None:  # fmt: skip
        self._forks = forks
        self._orphans = orphans or own_orphans()
        self._number, self.pid = forks.fork(arguments, env, output)
        self._orphans.hold(self.pid)

    def poll(self) -> int | None:
        code = self._forks.poll(self._number)
        if code is not None:
            self._orphans.release(self.pid)
        return code

    def signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def stop(self, grace: float) -> int:
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        if self._ended_within(grace) is None:
            self.signal(signal.SIGKILL)
        return self._reap()

    def kill(self) -> int:
        self.signal(signal.SIGKILL)
        return self._reap()

    def _reap(self) -> int:
        if (code := self._ended_within(REAP)) is None:
            raise subprocess.TimeoutExpired(str(self.pid), REAP)
        return code

    def _ended_within(self, seconds: float) -> int | None:
        end = time.monotonic() + seconds
        while (code := self.poll()) is None and time.monotonic() < end:
            time.sleep(0.005)
        return code
