"""Runs of scenarios on servers, in turn, so that a noisy minute falls on all of them alike; medians."""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.fanout import SCENARIOS, Measured
from tests.bench.figures import median, shown, table
from tests.bench.load import LoadFailed
from tests.bench.nchan import Nchan, NchanRedis, nchan
from tests.bench.reach import verdicts
from tests.bench.servers import Floor, Naive, Paced, Plain, PlainSockets, PubSub, Respool, Server, Sockets
from tests.bench.system import Skipped, compiled

_TOO_MUCH = {"nchan": ("B500", "B1000", "idle"), "nchan + Redis": ("B500", "B1000", "idle"), "naive": ("A8000",)}
"""What takes minutes to show no more than that the server falls behind."""

_ONLY = {
    Paced.name: ("A4000",),
    Plain.name: ("A1000", "B1000"),
    PubSub.name: ("A1000", "B1000"),
    Sockets.name: ("A1000", "B1000", "C", "D1000"),
    PlainSockets.name: ("A1000",),
}
"""What is to be seen in one scenario."""


_OURS: list[type[Server]] = [Respool, Plain, Sockets, PlainSockets, PubSub, Paced]


class Fanout:
    """`results` by scenario and server; `failures` of runs that came to nothing."""

    def __init__(self, names: Sequence[str], *, rounds: int, seconds: float, say: Callable[[str], None]) -> None:
        self.results: dict[str, dict[str, Measured]] = {}
        self.failures: list[str] = []
        self._names = [name for name in SCENARIOS if name in names]
        self._rounds = rounds
        self._seconds = seconds
        self._say = say

    def run(self) -> None:
        """Raises Skipped where there is no compiler."""
        servers, missing = _available()
        self.failures += missing
        with tempfile.TemporaryDirectory(prefix="respool-bench-tools-") as folder:
            tools = Path(folder)
            for program in ("load", "feed", "floor"):
                compiled(program, tools)
            for name in self._names:
                self._scenario(name, servers, tools)

    def _scenario(self, name: str, servers: list[type[Server]], tools: Path) -> None:
        runs: dict[str, list[Measured]] = defaultdict(list)
        for round_ in range(self._rounds):
            for make in servers:
                server = make.name
                if name in _TOO_MUCH.get(server, ()) or name not in _ONLY.get(server, (name,)):
                    continue
                try:
                    runs[server].append(SCENARIOS[name](make, tools, self._seconds))
                except (LoadFailed, AssertionError, OSError) as error:
                    self.failures.append(f"{name} on {server}: {error}")
            self._say(f"{name}: round {round_ + 1} of {self._rounds}")
        self.results[name] = {server: _medians(measured) for server, measured in runs.items() if measured}

    def as_markdown(self) -> str:
        """A table for each set of scenarios with the same figures, then what was to be reached."""
        tables: dict[tuple[str, ...], list[list[str]]] = defaultdict(list)
        for name, servers in self.results.items():
            heads = tuple(dict.fromkeys(figure for measured in servers.values() for figure in measured))
            tables[heads] += [
                [f"{name} {server}", *(shown(measured.get(head)) for head in heads)]
                for server, measured in servers.items()
            ]
        parts = [table(["", *heads], rows) for heads, rows in tables.items()]
        parts.append(table(["ours", "is", "to reach", "met"], verdicts(self.results)))
        parts += [f"Not measured: {failure}" for failure in self.failures]
        return "\n\n".join(parts)


def _medians(runs: list[Measured]) -> Measured:
    """Of each figure; of faults the worst."""
    return {name: (max if name == "faults" else median)([run[name] for run in runs if name in run]) for name in runs[0]}


def _available() -> tuple[list[type[Server]], list[str]]:
    """The servers that can be measured here, and why the others cannot."""
    try:
        nchan()
    except Skipped as skipped:
        return [*_OURS, Floor, Naive], [f"nchan: {skipped}"]
    return [*_OURS, Floor, Naive, NchanRedis, Nchan], []
