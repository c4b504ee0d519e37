"""Measures what stands in capacity_costs.json, and holds the model against loads that it was not fitted to."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from tests.bench.capacity import Load, api_cores, coordination_cores, logs_cores, worker_cores
from tests.bench.capacity_costs import Costs, Curve
from tests.bench.figures import shown, table
from tests.bench.loads import Measured, arriving, idle, index_bytes, left_behind, running, steady
from tests.bench.report import Figures
from tests.bench.system import machine, resident_kb
from tests.bench.systems import Respool

LIKENESS: Final = 0.2
"""How far a prediction may be off."""

_GENERATIONS = (10, 20, 100)
"""Of 50 tokens a second, one viewer each."""
_CROWDS = (Load(10, viewers=20), Load(1, viewers=1000))
_STARTS = (10, 60)
_SHORT = 30
"""Tokens of those that begin and end."""
_FURTHER = 20
_BEYOND: Final = {
    "worker": ((10_000.0, 67 / 80),),
    "redis": ((25_000.0, 21 / 21), (50_000.0, 13.8 / 21)),
    "api": ((25_000.0, 16 / 20), (50_000.0, 12.5 / 20)),
    "viewers": ((200_000.0, 4.9 / 6.1),),
}
"""What two cores cannot carry beside a simulated upstream. At so many a second a token (an event) costs so much of what it
costs at the most that is measured here, by docs/performance.md, where each part is measured alone: `live` and `end-to-end`
for the worker, B100 to B1000 for Redis and API, A1000 and A4000 for viewers."""
_GIVEN_VIEWER_KB: Final = 7.1
"""An idle viewer: `make bench WHAT=idle`."""
_RING_KB: Final = 256.0
_REFERENCE = Load(40)
_TRIES: Final = 4
_KEPT_UP: Final = 0.95

CHECKED: Final[dict[str, Load]] = {
    "60 generations of 50 tokens/s, a viewer each": Load(60),
    "20 of 30 tokens/s, 10 viewers each": Load(20, rate=30, viewers=10),
    "40 that begin each second, of 20 tokens, a viewer each": Load.of_starts(40, rate=50, tokens=20, first=0.1),
}
"""Where tokens are 1,000 they last for as long as is measured; the others begin and end meanwhile."""


def calibrate(say: Callable[[str], None], seconds: float) -> Costs:
    """The costs of this machine; each of a dozen loads runs for so long."""
    with running() as system:
        say("idle")
        at_rest = idle(system, seconds)
        base = {name: kb / 1024 for name, kb in _memory(system).items()}
        say("one viewer each")
        ones = [carried(system, Load(many), seconds) for many in _GENERATIONS]
        say("many viewers")
        crowds = [carried(system, load, seconds) for load in _CROWDS]
        heard = carried(system, Load(_GENERATIONS[0]), seconds, further=_FURTHER)
        short, long = left_behind(system, 200), left_behind(system, 4000)
    with running(apart=True) as system:
        say("generations that begin and end")
        begun = [arriving(system, _short(starts, 1), seconds) for starts in _STARTS]
        crowd = arriving(system, _short(_STARTS[0], 5), seconds)
        indexes = index_bytes(system)

    def per_token(name: str) -> Curve:
        points = [(_tokens(one), (one.cores[name] - at_rest[name]) * 1e6 / _tokens(one)) for one in ones]
        return _beyond(name, points)

    entry, token = per_token("api"), {"worker": per_token("worker"), "logs": per_token("redis")}
    events = [
        (seen.load.events_a_second,
         (seen.cores["api"] - at_rest["api"] - entry.cores(_tokens(seen))) * 1e6
         / (seen.load.events_a_second - _tokens(seen)))
        for seen in crowds
    ]  # fmt: skip

    def per_generation(name: str, tokens: Curve | None) -> Curve:
        rest = at_rest["redis" if name == "logs" else name]
        return Curve(
            tuple(
                (seen.load.starts, (seen.cores[name] - rest - (tokens.cores(_tokens(seen)) if tokens else 0)) * 1e6
                 / seen.load.starts)
                for seen in begun
            )
        )  # fmt: skip

    costs = Costs(
        machine=", ".join(f"{name} {value}" for name, value in machine().items()),
        idle=at_rest,
        worker_token=token["worker"],
        redis_token=token["logs"],
        redis_publish_us=max(0.0, heard.cores["redis"] - ones[0].cores["redis"]) * 1e6 / _tokens(heard) / _FURTHER,
        api_entry=entry,
        api_event=_beyond("viewers", events),
        worker_generation=per_generation("worker", token["worker"]),
        logs_generation=per_generation("logs", token["logs"]),
        coordination_generation=per_generation("redis", None),
        api_generation=per_generation("api", entry),
        api_viewer_us=0.0,
        base_mb=base,
        worker_generation_kb=(ones[-1].memory_kb["worker"] - base["worker"] * 1024) / _GENERATIONS[-1],
        api_viewer_kb=_GIVEN_VIEWER_KB,
        api_ring_kb=_RING_KB,
        event_bytes=ones[-1].wire_bytes,
        redis_token_bytes=(long - short) / 3800,
        redis_generation_bytes=short - (long - short) / 19 + indexes,
        connections={name: float(many) for name, many in ones[-1].connections.items()},
    )
    further = crowd.load.starts * (crowd.load.viewers - 1)
    unexplained = max(0.0, crowd.cores["api"] - api_cores(crowd.load, costs))
    return replace(costs, api_viewer_us=unexplained * 1e6 / further)


def carried(system: Respool, load: Load, seconds: float, *, further: int = 0) -> Measured:
    """A steady load that this machine has kept up with: one that is late takes more at once, and each token costs less. Raises
    RuntimeError if it is late at each of some tries."""
    for _ in range(_TRIES):
        measured = steady(system, load, seconds, further=further)
        if measured.load.rate > load.rate * _KEPT_UP:
            return measured
    raise RuntimeError(f"this machine is too busy for {load.running:g} generations of {load.rate:g} tokens/s")


@dataclass(frozen=True, slots=True)
class Compared:
    load: str
    process: str
    measured: float
    predicted: float

    @property
    def off(self) -> float:
        return self.predicted / self.measured - 1


def check(say: Callable[[str], None], costs: Costs, seconds: float) -> tuple[list[Compared], list[float]]:
    """Cores of each process for the loads that are checked, and the factor by which this machine is slower, while they run,
    than the one that the costs are of: measured before and after each of them by one load, one for all processes."""
    compared, factors = [], []
    with running() as system:

        def factor() -> float:
            say("the reference")
            seen = carried(system, _REFERENCE, seconds)
            return sum(seen.cores.values()) / sum(predicted(seen.load, costs).values())

        before = factor()
        for name, load in CHECKED.items():
            say(name)
            measured = (carried if load.tokens == _REFERENCE.tokens else arriving)(system, load, seconds)
            assert not measured.faults, f"{name}: {measured.faults} events were lost or came twice"
            after = factor()
            factors.append((before + after) / 2)
            for process, cores in predicted(measured.load, costs).items():
                compared.append(Compared(name, process, measured.cores[process], cores * factors[-1]))
            before = after
    return compared, factors


def predicted(load: Load, costs: Costs) -> dict[str, float]:
    """Cores, with one process of each."""
    redis = logs_cores(load, costs) + coordination_cores(load, costs)
    return {"api": api_cores(load, costs), "worker": worker_cores(load, costs), "redis": redis}


def as_table(compared: list[Compared], factors: list[float]) -> str:
    rows = [
        [each.load, each.process, shown(each.measured), shown(each.predicted), f"{each.off:+.0%}"] for each in compared
    ]
    said = ", ".join(f"{factor:.2f}" for factor in factors)
    return f"{table(['load', 'process', 'cores', 'predicted', 'off'], rows)}\n\nThe machine's factor around each load: {said}"


def _calibrate(figures: Figures, *, quick: bool) -> None:
    """Measures them, and keeps them."""
    costs = calibrate(lambda _: None, _SECONDS[quick])
    costs.write()
    for what, curve in (
        ("worker, a token", costs.worker_token), ("Redis, a token", costs.redis_token),
        ("API, a token and its first viewer", costs.api_entry), ("API, one more viewer", costs.api_event),
        ("worker, a generation", costs.worker_generation), ("API, a generation", costs.api_generation),
        ("Redis, a generation's log", costs.logs_generation),
        ("Redis, a generation's coordination", costs.coordination_generation),
    ):  # fmt: skip
        for many, us in curve.points:
            figures.put("respool", f"{what}, {shown(many)} a second", "µs", us)


def _predicted(figures: Figures, *, quick: bool) -> None:
    compared, factors = check(lambda _: None, Costs.read(), _SECONDS[quick])
    for each in compared:
        what = f"{each.process}: {each.load}"
        figures.put("measured", what, "cores", each.measured)
        figures.put("predicted", what, "cores", each.predicted)
    for load, factor in zip(CHECKED, factors, strict=True):
        figures.put("measured", f"this machine, around {load}", "of that of the costs", factor)


CAPACITY: Final[dict[str, Callable[..., None]]] = {"calibrate": _calibrate, "predicted": _predicted}
"""By name; each is given the figures and whether to be quick."""
_SECONDS: Final = {False: 10.0, True: 4.0}


def _beyond(name: str, measured: list[tuple[float, float]]) -> Curve:
    return Curve((*measured, *((many, measured[-1][1] * share) for many, share in _BEYOND[name])))


def _memory(system: Respool) -> dict[str, int]:
    return {name: resident_kb([system.pids[name]]) for name in ("api", "worker")}


def _tokens(measured: Measured) -> float:
    return measured.load.tokens_a_second


def _short(starts: float, viewers: float) -> Load:
    return Load.of_starts(starts, rate=50, tokens=_SHORT, viewers=viewers, first=0.1)
