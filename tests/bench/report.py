"""What was measured, as tables for people and as JSON for machines."""

from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

from tests.bench.figures import shown, table
from tests.bench.load import LoadFailed


@dataclass(slots=True)
class Figure:
    """One thing measured on one or more servers. `target` bounds ours, from above."""

    what: str
    unit: str
    values: dict[str, float] = field(default_factory=dict)
    target: float | None = None
    samples: dict[str, int] = field(default_factory=dict)

    @property
    def missed(self) -> bool:
        ours = self.values.get("respool")
        return self.target is not None and ours is not None and ours > self.target

    def as_json(self) -> dict[str, Any]:
        return {
            "what": self.what, "unit": self.unit, "values": self.values, "target": self.target, "samples": self.samples,
        }  # fmt: skip


class Figures:
    """Collects figures in the order in which they were first put."""

    def __init__(self) -> None:
        self.all: dict[tuple[str, str], Figure] = {}
        self.failures: list[str] = []

    def attempt(self, what: str, measure: Callable[[], None]) -> None:
        """Measures. A system that does not answer in time has no figure, which is noted; the others go on."""
        try:
            measure()
        except (AssertionError, LoadFailed, OSError, RuntimeError, HTTPException) as error:
            self.failures.append(f"{what}: {error!r}")

    def put(
        self,
        server: str,
        what: str,
        unit: str,
        value: float,
        *,
        target: float | None = None,
        samples: int | None = None,
    ) -> None:
        figure = self.all.setdefault((what, unit), Figure(what, unit))
        figure.values[server] = value
        figure.target = figure.target if target is None else target
        if samples is not None:
            figure.samples[server] = samples

    def as_table(self) -> str:
        """One row a figure, one column a server; a target that was missed is marked."""
        servers = list(dict.fromkeys(server for figure in self.all.values() for server in figure.values))
        rows = []
        for figure in self.all.values():
            goal = (
                "" if figure.target is None else f"≤ {shown(figure.target)}" + (" **missed**" if figure.missed else "")
            )
            rows.append([figure.what, figure.unit, *(shown(figure.values.get(server)) for server in servers), goal])
        failed = [f"Not measured: {failure}" for failure in self.failures]
        return "\n\n".join([table(["", "unit", *servers, "target"], rows), *failed])

    def as_json(self) -> list[dict[str, Any]]:
        return [figure.as_json() for figure in self.all.values()]
