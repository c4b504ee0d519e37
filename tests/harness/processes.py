"""Processes of a test: the one way to start and end them, and the table of all that run."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from broker.processes.orphans import HeldProcess, Orphans
from tests.harness.forks import ROOT as ROOT
from tests.harness.forks import ForkedProcess, forks_of, module_of

_END_SECONDS = 20.0


def python(module: str, *arguments: str) -> list[str]:
    """The command `python -m module`."""
    return [sys.executable, "-m", module, *arguments]


class Child:
    """A process that may be started again when it has ended; none outlives the tests. `log` is the output of all its lives, the
    file NAME.log of the folder. `environment` is on top of ours; None takes a variable away."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        environment: Mapping[str, str | None],
        folder: Path,
        orphans: Orphans | None = None,
        *,
        cwd: Path = ROOT,
    ) -> None:
        self.name = name
        self._command = command
        self._environment = {key: value for key, value in {**os.environ, **environment}.items() if value is not None}
        self._path = folder / f"{name}.log"
        self._orphans = orphans
        self._cwd = cwd
        self._process: HeldProcess | ForkedProcess | None = None

    def start(self) -> Self:
        with self._path.open("ab") as output:
            self._process = self._forked(output) or HeldProcess(
                self._command, orphans=self._orphans, output=output, env=self._environment, cwd=self._cwd
            )
        return self

    def _forked(self, output: IO[bytes]) -> ForkedProcess | None:
        module = module_of(self._command) if self._cwd == ROOT else None
        if module is None or not (forks := forks_of(module)).may_fork(self._environment):
            return None
        arguments = [module, *map(str, self._command[3:])]
        return ForkedProcess(forks, arguments, orphans=self._orphans, output=output, env=self._environment)

    @property
    def process(self) -> HeldProcess | ForkedProcess:
        assert self._process is not None
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def code(self) -> int | None:
        """How it ended; None while it runs, or before it was started."""
        return None if self._process is None else self._process.poll()

    @property
    def running(self) -> bool:
        return self._process is not None and self.code is None

    @property
    def log(self) -> str:
        return self._path.read_text(errors="replace")

    def said(self, pattern: str) -> re.Match[str] | None:
        return re.search(pattern, self.log)

    def signal(self, number: int) -> None:
        self.process.signal(number)

    def kill(self) -> None:
        """SIGKILL, and gone when this returns."""
        self.process.kill()

    def wait(self, seconds: float = _END_SECONDS) -> int:
        """Its exit code, once it has ended. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while (code := self.process.poll()) is None:
            if time.monotonic() > end:
                raise TimeoutError(f"{self.name} runs after {seconds} s")
            time.sleep(0.01)
        return code

    def stop(self) -> int:
        """SIGTERM; the test fails if that does not end it."""
        if not self.running:
            return self.code or 0
        code = self.process.stop(_END_SECONDS)
        assert code != -signal.SIGKILL, f"{self.name} did not end at SIGTERM"
        return code


@dataclass(frozen=True, slots=True)
class Running:
    """A row of the table."""

    pid: int
    parent: int
    command: str


def running() -> list[Running]:
    """All processes of the machine; one that has ended and was not reaped is none."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True, timeout=10
    ).stdout
    rows = [line.split(None, 3) for line in listed.splitlines()]
    return [Running(int(row[0]), int(row[1]), row[3]) for row in rows if len(row) == 4 and not row[2].startswith("Z")]


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    return any(row.pid == pid for row in running())


def children(pid: int) -> set[int]:
    """The pids of a process's children."""
    return {row.pid for row in running() if row.parent == pid}


def command_of(pid: int) -> str:
    """A process's command line, empty if there is none."""
    return next((row.command for row in running() if row.pid == pid), "")
