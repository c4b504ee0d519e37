"""What one of each thing costs: capacity_costs.json, which `python -m tests.bench.capacity --calibrate` renews."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Final, Self

from tests.bench.figures import shown, table

COSTS: Final = Path(__file__).with_name("capacity_costs.json")


@dataclass(frozen=True, slots=True)
class Curve:
    """µs for one, by how many come a second: straight on log paper between the points that were measured, level outside."""

    points: tuple[tuple[float, float], ...]

    def at(self, many: float) -> float:
        (least, first), (most, last) = self.points[0], self.points[-1]
        if many <= least or many >= most:
            return first if many <= least else last
        (left, low), (right, high) = next(each for each in pairwise(self.points) if each[0][0] <= many <= each[1][0])
        share = math.log(many / left) / math.log(right / left)
        return math.exp(math.log(low) * (1 - share) + math.log(high) * share)

    def cores(self, many: float) -> float:
        """What so many a second take."""
        return many * self.at(many) / 1e6


@dataclass(frozen=True, slots=True)
class Costs:
    """What things cost on the machine that `machine` names. Curves are by what one process has of it a second."""

    machine: str
    idle: Mapping[str, float]
    """Cores of a process with nothing to do."""
    worker_token: Curve
    redis_token: Curve
    """An append, and its publish to the first API that watches."""
    redis_publish_us: float
    """The same token for each further API."""
    api_entry: Curve
    """A token that reaches an API, with its first viewer there."""
    api_event: Curve
    """The same token for each further viewer, by events a second."""
    worker_generation: Curve
    """Beside its tokens, from the claim to the end; and so below, by generations a second."""
    logs_generation: Curve
    coordination_generation: Curve
    api_generation: Curve
    """A POST, and its first viewer's coming and going."""
    api_viewer_us: float
    """Each further viewer's coming and going."""
    base_mb: Mapping[str, float]
    worker_generation_kb: float
    api_viewer_kb: float
    api_ring_kb: float
    """What an API keeps of a generation that is watched: RESPOOL_RING_BYTES, at the most."""
    event_bytes: float
    """One event as HTTP/1.1 sends it."""
    redis_token_bytes: float
    redis_generation_bytes: float
    """Its record with a short prompt, its tombstone, and a log without text. The rest of the prompt comes on top."""
    connections: Mapping[str, float]
    """Of a process to one Redis server."""

    @classmethod
    def read(cls, path: Path = COSTS) -> Self:
        kinds = {each.name: each.type for each in fields(cls)}
        said = json.loads(path.read_text())
        curve = {name: Curve(tuple(map(tuple, said[name]))) for name, kind in kinds.items() if kind is Curve}
        return cls(**{name: said[name] for name in kinds} | curve)

    def write(self, path: Path = COSTS) -> None:
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        said = {name: value.points if isinstance(value, Curve) else value for name, value in said.items()}
        path.write_text(json.dumps(said, indent=1) + "\n")

    def as_table(self) -> str:
        """For people: each cost, and where it comes from."""
        return table(["cost", "is", "from"], [[what, value, source] for what, value, source in self._rows()])

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        steady, begun, tokens = "steady loads", "generations that begin and end", "at {} tokens/s"
        for what, curve, source, at in (
            ("worker, a token", self.worker_token, f"{steady}; the last: `end-to-end`", tokens),
            ("Redis, a token", self.redis_token, f"{steady}; the last two: B100 to B1000", tokens),
            ("API, a token and its first viewer", self.api_entry, f"{steady}; the last two: B100 to B1000", tokens),
            ("API, the same token to one more viewer", self.api_event, f"{steady}; the last: A1000 and A4000",
             "at {} events/s"),
            ("worker, a generation", self.worker_generation, begun, "at {}/s"),
            ("Redis, a generation's log", self.logs_generation, begun, "at {}/s"),
            ("Redis, a generation's coordination", self.coordination_generation, begun, "at {}/s"),
            ("API, a generation and its first viewer", self.api_generation, begun, "at {}/s"),
        ):  # fmt: skip
            points = ", ".join(f"{shown(us)} µs {at.format(shown(many))}" for many, us in curve.points)
            yield what, points, source
        yield "API, one more viewer that comes and goes", f"{shown(self.api_viewer_us)} µs", begun
        yield "Redis, a token to one more API", f"{shown(self.redis_publish_us)} µs", "20 subscribers more"
        for name, cores in self.idle.items():
            yield f"{name}, idle", f"{shown(cores * 1000)} thousandths of a core", "nothing to do"
        yield "API, worker: memory", ", ".join(f"{shown(mb)} MB" for mb in self.base_mb.values()), "at their start"
        yield "worker, a generation", f"{shown(self.worker_generation_kb)} KB", steady
        yield "API, a viewer", f"{shown(self.api_viewer_kb)} KB", "`make bench WHAT=idle`"
        yield "API, a generation that is watched", f"{shown(self.api_ring_kb)} KB", "`RESPOOL_RING_BYTES`, at the most"
        yield "an event to a viewer", f"{shown(self.event_bytes)} B", steady
        yield "Redis, a token", f"{shown(self.redis_token_bytes)} B", "`MEMORY USAGE`"
        yield (
            "Redis, a generation without its text",
            f"{shown(self.redis_generation_bytes / 1024)} KB",
            "`MEMORY USAGE`",
        )
        for name, many in self.connections.items():
            yield f"{name}, connections to a Redis", f"{many:.0f}", "after a hundred viewers came at once"
