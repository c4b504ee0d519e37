"""Keeping the parts of one machine's stack alive: a part that ends by itself is started again, and it is said.

Used by `make up` (broker/local/up.py), so that `kill -9` on any of them is an experiment and not the end.
"""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from broker.processes.orphans import HeldProcess

LONGEST_LINE: Final = 65536
"""A longer line of a part's output is broken here: what is held in memory stays bounded."""
FIRST_DELAY: Final = 0.2
LONGEST_DELAY: Final = 5.0
STEADY: Final = 10.0
"""A part that has run this many seconds is taken for healthy: its next end is a first one again."""


class Part(Protocol):
    """Something that runs and may end: an EmbeddedServer, a Child."""

    def launch(self) -> None: ...
    def poll(self) -> int | None: ...
    def signal(self, number: int) -> None: ...
    def stop(self, grace: float) -> None: ...


class Terminal:
    """Our standard output, shared by the parts: whole lines, never mixed. A terminal that is gone is not an error."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()

    def line(self, who: str, text: bytes) -> None:
        """One line of a part's output, with its name before it."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._out.write(f"{who:<9} │ ".encode() + text + b"\n")
            self._out.flush()

    def say(self, text: str) -> None:
        """Our own words."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._out.write(text.encode() + b"\n")
            self._out.flush()


class Child:
    """A Python process whose output goes to the terminal, line by line. Its pid is in the file `pid_file`, if that is given."""

    def __init__(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], terminal: Terminal, pid_file: Path | None = None
    ) -> None:
        self._name = name
        self._argv = argv
        self._env = {**env, "PYTHONUNBUFFERED": "1"}
        self._terminal = terminal
        self._pid_file = pid_file
        self._process: HeldProcess | None = None
        self._copying: threading.Thread | None = None

    def launch(self) -> None:
        self._process = HeldProcess([sys.executable, *self._argv], output=subprocess.PIPE, env=self._env)
        assert self._process.stdout is not None
        if self._pid_file is not None:
            self._pid_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._pid_file.write_text(f"{self._process.pid}\n")
        # A daemon: a grandchild that keeps the pipe open must not keep us from exiting.
        self._copying = threading.Thread(target=self._copy, args=(self._process.stdout,), daemon=True)
        self._copying.start()

    def poll(self) -> int | None:
        code = self._process.poll() if self._process else None
        if code is not None:
            self._drain()
        return code

    def signal(self, number: int) -> None:
        if self._process is not None:
            self._process.signal(number)

    def stop(self, grace: float) -> None:
        if self._process is not None:
            self._process.stop(grace)
            self._drain()

    def _drain(self) -> None:
        """Its last words first, then whatever we have to say about its end."""
        if self._copying is not None:
            self._copying.join(timeout=2)

    def _copy(self, output: BinaryIO) -> None:
        with output:
            while line := output.readline(LONGEST_LINE):
                self._terminal.line(self._name, line.rstrip(b"\r\n"))


def delay_before(start: int) -> float:
    """Seconds before a part is started for the n-th time in a row (from 1) after it ended early."""
    return float(min(FIRST_DELAY * 2 ** min(start - 1, 16), LONGEST_DELAY))


@dataclass(slots=True)
class Kept:
    """A part that is started again whenever it ends by itself, soon at first, later if it keeps ending."""

    name: str
    part: Part
    terminal: Terminal
    quick_ends: int = 0
    _started: float = field(default_factory=time.monotonic)
    _again_at: float | None = None

    def launch(self) -> None:
        self._started = time.monotonic()
        self._again_at = None
        self.part.launch()

    def tend(self, now: float) -> None:
        """Look once: note an end and say when it starts again, or start it if that time has come."""
        if self._again_at is None:
            if (code := self.part.poll()) is not None:
                self._note(now, ending(code))
        elif now >= self._again_at:
            try:
                self.launch()
            except Exception as error:  # whatever it is, it is said, and tried again
                self._note(now, f"could not be started: {error}")

    def _note(self, now: float, how: str) -> None:
        self.quick_ends = 1 if now - self._started > STEADY else self.quick_ends + 1
        delay = delay_before(self.quick_ends)
        self._again_at = now + delay
        self.terminal.line(self.name, f"{how}; starting it again in {delay:.1f} s".encode())


def ending(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
