"""The load client (load.c) as an object."""

import json
import selectors
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.bench.system import compiled


class LoadFailed(Exception):
    """The client, or the server that it called, did not do in time what was asked."""


class Lines:
    """A child that is told lines and answers in lines; ended with the block."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._buffer = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._out, selectors.EVENT_READ)

    @property
    def pid(self) -> int:
        return self._process.pid

    def say(self, line: str) -> None:
        self.send(line.encode() + b"\n")

    def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._in.write(view) :]

    def answer(self, word: str, seconds: float) -> str:
        """The rest of the next line that begins with this word; others are passed over. Raises LoadFailed."""
        end = time.monotonic() + seconds
        while True:
            line, found, rest = self._buffer.partition(b"\n")
            if found:
                self._buffer = rest
                if line.startswith(word.encode()):
                    return line[len(word) :].strip().decode()
                continue
            if not self._selector.select(max(0.0, end - time.monotonic())):
                raise LoadFailed(f"no {word!r} within {seconds:g} s")
            data = self._out.read(1 << 20)
            if not data:
                raise LoadFailed(f"ended before it said {word!r} (exit {self._process.wait(5)})")
            self._buffer += data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(10)
        self._selector.close()
        self._in.close()
        self._out.close()


@dataclass(frozen=True, slots=True)
class Figures:
    """What a group of viewers has seen in the window. Histograms are {count, p50, p90, p99, max} in µs."""

    seconds: float
    raw: dict[str, Any]

    def __getattr__(self, name: str) -> int:
        return int(self.raw[name])

    def ms(self, histogram: str, what: str) -> float:
        return float(self.raw[f"{histogram}_us"][what]) / 1000

    def samples(self, histogram: str) -> int:
        return int(self.raw[f"{histogram}_us"]["count"])

    @property
    def faults(self) -> int:
        """Events lost or seen twice, streams refused or cut: each a failure."""
        return self.gaps + self.dups + self.gaps_told + self.cuts + self.refused


class Load(Lines):
    """Viewers of a server on 127.0.0.1, in up to 8 groups."""

    def __init__(self, port: int, folder: Path) -> None:
        super().__init__([str(compiled("load", folder)), str(port)])

    def open(self, paths: Iterable[str], group: int = 0) -> None:
        """One viewer a path."""
        self.send("".join(f"open {group} {path}\n" for path in paths).encode())

    def connect(self, seconds: float = 60.0) -> float:
        """Connects all viewers; returns how long that took."""
        self.say("connect")
        return float(self.answer("connected", seconds))

    def mark(self) -> None:
        """The window begins."""
        self.say("mark")

    def tell(self) -> dict[int, Figures]:
        """The figures by group, since `mark`."""
        self.say("tell")
        whole = json.loads("{" + self.answer("{", 20))
        return {group["group"]: Figures(whole["seconds"], group) for group in whole["groups"]}
