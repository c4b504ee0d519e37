"""A launcher (broker/local/up.py) as a real process, watched from outside."""

import os
import re
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from broker.local.embedded import free_port
from tests.harness.processes import Child

# Signals are as a shell leaves them for what it runs in front: the tests may run under nohup, or behind a shell's `&`.
REAL = """
import signal, sys, broker.local.up
for number in (signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
sys.exit(broker.local.up.main(sys.argv[1:]))
"""
STAND_INS = (
    """
import broker.local.up
for name in broker.local.up.COMMANDS:
    broker.local.up.COMMANDS[name] = ["-m", "tests.packaging.stand_in", name]
"""
    + REAL
)


def eventually(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait for it, with a bound."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


class Launcher:
    """`make up` without make, on a free port; with stand-ins for the API, the worker and the simulator, or the real."""

    def __init__(self, where: Path, *, port: int | None = None, real: bool = False, under_make: bool = False,
                 **environ: str) -> None:  # fmt: skip
        self.data = where / "data"
        self.port = free_port() if port is None else port
        self.url = f"http://127.0.0.1:{self.port}"
        unset = {name: None for name in os.environ if name.startswith(("RESPOOL_", "ANTHROPIC_"))}
        program = where / "launch.py"  # a file, as make takes one line
        program.write_text(REAL if real else STAND_INS)
        command = [sys.executable, str(program), "--port", str(self.port), "--data", str(self.data)]
        if under_make:
            makefile = where / "Makefile"
            makefile.write_text(f"up:\n\t@{shlex.join([*command, '--with-parent'])}\n".replace("$", "$$"))
            command = ["make", "-f", str(makefile)]
        name = f"up-{self.port}-{time.monotonic_ns()}"
        self._process = Child(name, command, {**unset, **environ}, where).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        return self._process.log

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until the output has it."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found.extend(re.finditer(pattern, self.output))
            assert found or self._process.running, self.output
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

    def ended(self, seconds: float = 20) -> int:
        """Wait for its end; its exit code."""
        return self._process.wait(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.process.stop(15)
