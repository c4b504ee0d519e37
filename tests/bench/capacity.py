"""`python -m tests.bench.capacity`: how much of everything a load takes, by arithmetic and one file of costs.

A load is so many generations at once (or so many that begin each second), tokens a second and in all of each, and viewers of
each. What one token, one delivered event, one generation and one viewer cost each process stands in capacity_costs.json, which
`--calibrate` renews and `--check` holds against loads that it has not seen. What a token costs falls with how many come in the
same moment, so such costs are curves.
"""

import argparse
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

from tests.bench.capacity_costs import Costs
from tests.bench.figures import shown, table
from tests.bench.system import raise_limits

BUSY: Final = 0.7
"""How much of its core a process is planned to take: bursts and deploys need the rest."""
SLOTS: Final = 200
"""RESPOOL_MAX_JOBS, as it is by default."""
VIEWERS: Final = 10_000
"""Of one API: what was measured to hold."""
MAXCLIENTS: Final = 10_000
"""Of Redis, as it is by default."""
PRIMARIES: Final = 1_000
"""Up to which Redis' own documentation means clusters to grow."""
LARGEST: Final = 1e7
"""Generations, or viewers of one, up to which walls are looked for."""
_NEAR: Final = 1.01
MOST: Final = 10_000_000
"""Processes beyond which nothing is looked for."""


@dataclass(frozen=True, slots=True)
class Load:
    """`running` generations at once, each of `tokens` in all, `rate` a second, with `viewers`; `first`: seconds to the first
    token. `kept`: seconds that a log stays after its end."""

    running: float
    rate: float = 50
    tokens: float = 1000
    viewers: float = 1
    first: float = 0.5
    kept: float = 3600

    @classmethod
    def of_starts(cls, starts: float, **rest: float) -> Self:
        """So many begin each second."""
        one = cls(1, **rest)
        return replace(one, running=starts * one.seconds)

    @property
    def seconds(self) -> float:
        """How long one takes."""
        return self.first + self.tokens / self.rate

    @property
    def starts(self) -> float:
        return self.running / self.seconds

    @property
    def tokens_a_second(self) -> float:
        return self.starts * self.tokens

    @property
    def events_a_second(self) -> float:
        return self.tokens_a_second * self.viewers


# -- what one process takes of a load, in cores of the machine that was measured


def api_cores(load: Load, costs: Costs, apis: int = 1) -> float:
    """Of each of so many, among whom viewers are spread evenly."""
    entries, events = load.tokens_a_second * watching(load, apis) / apis, load.events_a_second / apis
    starts, further = load.starts / apis, load.starts * max(0.0, load.viewers - 1) / apis
    return (
        costs.idle["api"] + costs.api_entry.cores(entries) + (events - entries) * costs.api_event.at(events) / 1e6
        + costs.api_generation.cores(starts) + further * costs.api_viewer_us / 1e6
    )  # fmt: skip


def worker_cores(load: Load, costs: Costs, workers: int = 1) -> float:
    tokens, starts = load.tokens_a_second / workers, load.starts / workers
    return costs.idle["worker"] + costs.worker_token.cores(tokens) + costs.worker_generation.cores(starts)


def logs_cores(load: Load, costs: Costs, servers: int = 1, apis: int = 1) -> float:
    tokens, starts = load.tokens_a_second / servers, load.starts / servers
    further = tokens * max(0.0, watching(load, apis) - 1)
    return (
        costs.idle["redis"] + costs.redis_token.cores(tokens) + further * costs.redis_publish_us / 1e6
        + costs.logs_generation.cores(starts)
    )  # fmt: skip


def coordination_cores(load: Load, costs: Costs) -> float:
    """Of its one server; it may be the same as that of the logs."""
    return costs.coordination_generation.cores(load.starts)


def watching(load: Load, apis: int) -> float:
    """On how many of the APIs a generation is watched, on average."""
    return apis * (1 - (1 - 1 / apis) ** load.viewers) if apis > 1 else min(1.0, load.viewers)


# -- what a load needs


@dataclass(frozen=True, slots=True)
class Needs:
    """Processes of each kind, the cores they take together, GB, and connections to each."""

    apis: int
    workers: int
    primaries: int
    """Redis servers for the logs; the first is coordination's too, where `coordination` fits beside them."""
    api_cores: float
    worker_cores: float
    redis_cores: float
    coordination: float
    """Cores that coordination alone takes. It is one server: more than BUSY cannot be had."""
    api_gb: float
    worker_gb: float
    redis_gb: float
    """Data; a server needs as much again while its file is rewritten."""
    viewers: float
    upstreams: float
    to_redis: float
    """Connections to each Redis server."""
    network_gb: float
    """To viewers, in a second."""


def needs(load: Load, costs: Costs, slots: int = SLOTS) -> Needs:
    apis = fewest(lambda many: api_cores(load, costs, many), math.ceil(load.running * load.viewers / VIEWERS))
    workers = fewest(lambda many: worker_cores(load, costs, many), math.ceil(load.running / slots))
    coordination = coordination_cores(load, costs)
    primaries = fewest(lambda many: logs_cores(load, costs, many, apis))
    if primaries == 1 and logs_cores(load, costs, 1, apis) + coordination > BUSY:
        primaries = 2
    watched = load.running * watching(load, apis)
    ring_kb = min(costs.api_ring_kb, load.tokens * costs.event_bytes / 1024)
    kept = load.starts * (load.seconds + load.kept)
    return Needs(
        apis=apis, workers=workers, primaries=primaries,
        api_cores=apis * api_cores(load, costs, apis),
        worker_cores=workers * worker_cores(load, costs, workers),
        redis_cores=primaries * logs_cores(load, costs, primaries, apis) + coordination,
        coordination=coordination,
        api_gb=(apis * costs.base_mb["api"] * 1024 + load.running * load.viewers * costs.api_viewer_kb + watched * ring_kb)
        / 1024**2,
        worker_gb=(workers * costs.base_mb["worker"] * 1024 + load.running * costs.worker_generation_kb) / 1024**2,
        redis_gb=kept * (costs.redis_generation_bytes + load.tokens * costs.redis_token_bytes) / 1024**3,
        viewers=load.running * load.viewers, upstreams=load.running,
        to_redis=apis * costs.connections["api"] + workers * costs.connections["worker"],
        network_gb=load.events_a_second * costs.event_bytes / 1e9,
    )  # fmt: skip


def fewest(cores_of_each: Callable[[int], float], least: int = 1) -> int:
    """How few processes there may be, each with no more than BUSY of a core; MOST if no number does."""
    low, high = max(1, least), max(1, least)
    while cores_of_each(high) > BUSY:
        if high > MOST:
            return MOST
        low, high = high + 1, high * 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if cores_of_each(middle) <= BUSY else (middle + 1, high)
    return high


# -- where it ends


@dataclass(frozen=True, slots=True)
class Wall:
    what: str
    size: float
    """The least that meets it."""
    then: str


def walls(grown: Callable[[float], Load], costs: Costs, slots: int = SLOTS) -> list[Wall]:
    """What a load meets as it grows, in this order: `grown` makes it of a size, up to LARGEST."""

    def meets(past: Callable[[Needs], bool]) -> float:
        def met(size: float) -> bool:
            return past(needs(grown(size), costs, slots))

        if not met(LARGEST):
            return math.inf
        low, high = 1.0, LARGEST
        while high / low > _NEAR:
            middle = math.sqrt(low * high)
            low, high = (low, middle) if met(middle) else (middle, high)
        return high

    found = [
        Wall("a worker's slots, or its core", meets(lambda need: need.workers > 1), "more workers"),
        Wall("an API's core, or its viewers", meets(lambda need: need.apis > 1), "more APIs"),
        Wall("the core of the one Redis", meets(lambda need: need.primaries > 1),
             "`RESPOOL_LOGS_URL`: logs on a server of their own, then on a cluster, which spreads generations and not one"),
        Wall("coordination's core", meets(lambda need: need.coordination > BUSY),
             "[cells](operations.md#cells): more queues, each with logs of its own"),
        Wall(f"{MAXCLIENTS:,} connections of a Redis (`maxclients`)", meets(lambda need: need.to_redis > MAXCLIENTS),
             "a higher `maxclients`, more slots in each worker (`RESPOOL_MAX_JOBS`)"),
        Wall(f"{PRIMARIES:,} primaries in a cluster", meets(lambda need: need.primaries > PRIMARIES),
             "[cells](operations.md#cells)"),
    ]  # fmt: skip
    return sorted((wall for wall in found if wall.size <= LARGEST), key=lambda wall: wall.size)


# -- for people


def as_table(loads: Mapping[str, Load], costs: Costs, slots: int = SLOTS) -> str:
    """A column for each load."""
    every = [needs(load, costs, slots) for load in loads.values()]
    rows: list[tuple[str, Callable[[Load, Needs], float]]] = [
        ("generations a second", lambda load, _: load.starts),
        ("tokens a second", lambda load, _: load.tokens_a_second),
        ("events to viewers a second", lambda load, _: load.events_a_second),
        ("GB to viewers a second", lambda _, need: need.network_gb),
        ("API processes", lambda _, need: need.apis),
        ("their cores", lambda _, need: need.api_cores),
        ("their GB", lambda _, need: need.api_gb),
        ("viewers of each", lambda _, need: need.viewers / need.apis),
        ("worker processes", lambda _, need: need.workers),
        ("their cores", lambda _, need: need.worker_cores),
        ("their GB", lambda _, need: need.worker_gb),
        ("connections to the upstream", lambda _, need: need.upstreams),
        ("Redis servers for logs", lambda _, need: need.primaries),
        ("their cores, with coordination", lambda _, need: need.redis_cores),
        ("coordination's share of them", lambda _, need: need.coordination),
        ("their GB of data", lambda _, need: need.redis_gb),
        ("connections to each", lambda _, need: need.to_redis),
    ]
    cells = [
        [what, *(_figure(figure(load, need)) for load, need in zip(loads.values(), every, strict=True))]
        for what, figure in rows
    ]
    return table(["", *loads], cells)


def walls_table(size: str, grown: Callable[[float], Load], costs: Costs, slots: int = SLOTS) -> str:
    """`size`: what grows."""
    rows = [[wall.what, _about(wall.size), wall.then] for wall in walls(grown, costs, slots)]
    return table(["wall", size, "what helps"], rows)


def _about(many: float) -> str:
    """Two digits that matter."""
    unit = 10 ** max(0, math.floor(math.log10(many)) - 1)
    return f"{round(many / unit) * unit:,}"


def _figure(many: float) -> str:
    return f"{many:,.0f}" if many >= 100 or many == round(many) else shown(many)


TABLES: Final = {
    "10k": Load(10_000), "100k": Load(100_000), "1M": Load(1_000_000), "one, 1M viewers": Load(1, viewers=1_000_000),
}  # fmt: skip


GENERATIONS: Final = "generations at once"
VIEWERS_OF_ONE: Final = "viewers of one generation"


def as_tables(costs: Costs) -> list[str]:
    """Those of docs/capacity.md."""
    return [
        costs.as_table(), as_table(TABLES, costs), walls_table(GENERATIONS, Load, costs),
        walls_table(VIEWERS_OF_ONE, lambda size: Load(1, viewers=size), costs),
    ]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.capacity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--generations", type=_given, help="at once; without it, and without --starts, what docs/capacity.md shows")
    add("--starts", type=_given, help="instead: generations that begin each second")
    add("--rate", type=float, default=50, help="tokens a second of each (default: 50)")
    add("--tokens", type=float, default=1000, help="of each in all (default: 1000)")
    add("--viewers", type=float, default=1, help="of each (default: 1)")
    add("--kept", type=float, default=3600, help="RESPOOL_RETENTION, seconds (default: 3600)")
    add("--slots", type=int, default=SLOTS, help=f"RESPOOL_MAX_JOBS (default: {SLOTS})")
    add("--calibrate", action="store_true", help="measure the costs here, and keep them in capacity_costs.json")
    add(
        "--check", action="store_true", help="run three loads here, and print what they take beside what the model says"
    )
    add("--seconds", type=float, default=8, help="that each of these loads runs for (default: 8)")
    given = parser.parse_args()
    if given.calibrate or given.check:
        return _measure(given.calibrate, given.check, given.seconds)
    costs = Costs.read()
    rest = {"rate": given.rate, "tokens": given.tokens, "viewers": given.viewers, "kept": given.kept}
    if given.starts is not None:
        load = Load.of_starts(given.starts, **rest)
    elif given.generations is not None:
        load = Load(given.generations, **rest)
    else:
        print("\n\n".join(as_tables(costs)))
        return 0
    print(f"The costs are those of {costs.machine}. A process is planned for {BUSY:.0%} of a core.\n")
    print(as_table({"this load": load}, costs, given.slots) + "\n")
    print(walls_table(GENERATIONS, lambda size: replace(load, running=size), costs, given.slots))
    return 0


def _given(text: str) -> float | None:
    """Nothing is what `make` hands on where nothing was said."""
    return float(text) if text else None


def _measure(calibrate: bool, check: bool, seconds: float) -> int:
    from tests.bench import calibration  # it imports this module, and needs Linux and a C compiler

    raise_limits()
    if calibrate:
        calibration.calibrate(_say, seconds).write()
    if not check:
        return 0
    compared, factors = calibration.check(_say, Costs.read(), seconds)
    print(calibration.as_table(compared, factors))
    return int(any(abs(each.off) > calibration.LIKENESS for each in compared))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
