"""A launcher (broker/up.py) as a real process, watched from outside."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from broker.embedded import free_port
from broker.tether import TetheredProcess
from tests.packaging.pins import ROOT

STAND_INS = """
import sys, broker.up
for name in broker.up.COMMANDS:
    broker.up.COMMANDS[name] = ["-m", "tests.packaging.stand_in", name]
sys.exit(broker.up.main(sys.argv[1:]))
"""


def eventually(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for it, with a bound."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether there is such a process, a zombie not counted."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def children(pid: int) -> set[int]:
    """The pids of a process's children."""
    table = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return {int(child) for child, parent in (line.split() for line in table.splitlines()) if int(parent) == pid}


def command_of(pid: int) -> str:
    """A process's command line, empty if there is none."""
    listed = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout.strip()


class Launcher:
    """`make up` without make, on a free port; with stand-ins for the API, the worker and the simulator, or the real."""

    def __init__(self, where: Path, *, port: int | None = None, real: bool = False, under_make: bool = False,
                 **environ: str) -> None:  # fmt: skip
        self.data = where / "data"
        self.port = free_port() if port is None else port
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = where / f"up-{self.port}-{time.monotonic_ns()}.log"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("RESPOOL_", "ANTHROPIC_"))}
        program = ["-m", "broker.up"] if real else ["-c", STAND_INS]
        with self._log.open("wb") as log:
            command = [sys.executable, *program, "--port", str(self.port), "--data", str(self.data)]
            if under_make:
                makefile = where / "Makefile"
                makefile.write_text(f"up:\n\t@{shlex.join([*command, '--with-parent'])}\n".replace("$", "$$"))
                command = ["make", "-f", str(makefile)]
            self._process = TetheredProcess(
                command,
                output=log,
                env={**clean, **environ},
                cwd=ROOT,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        return self._log.read_text()

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until the output has it."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found.extend(re.finditer(pattern, self.output))
            assert found or self._process.poll() is None, self.output
            return bool(found)

        try:
            eventually(look)
        except AssertionError as error:
            raise AssertionError(f"no {pattern!r} in:\n{self.output}") from error
        return found[-1]

    def up(self) -> Self:
        """Wait until it says that it is up."""
        self.until("Respool is up")
        return self

    def signal(self, number: int) -> None:
        self._process.signal(number)

    def ended(self, seconds: float = 15) -> int:
        """Wait for its end; its exit code."""
        eventually(lambda: self._process.poll() is not None, seconds)
        code = self._process.poll()
        assert code is not None
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.signal(signal.SIGTERM)
        self._process.stop(15)
