"""Scenarios of fan-out: one server process, many viewers, tokens written by the bench itself. Each function measures one
server once and returns its figures by name."""

import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.load import Figures, Load
from tests.bench.servers import Server
from tests.bench.system import cpu_seconds, resident_kb

RATE = 50.0
REPLAYED = 10_000
LATE_JOINERS = 200
HERD = 2_000
IDLE = 10_000
_SETTLE = 1.0
Measured = dict[str, float]


class Watch:
    """CPU of a server and of its Redis from the making of this on."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._begun = (cpu_seconds(server.pids()), cpu_seconds(server.redis_pids))

    def per_event(self, seen: Figures) -> Measured:
        """µs of each per event that a viewer has got, and what was wrong with them."""
        spent = cpu_seconds(self._server.pids()) - self._begun[0]
        redis = cpu_seconds(self._server.redis_pids) - self._begun[1]
        events = max(1, seen.events)
        figures: Measured = {"µs/event": spent * 1e6 / events, "faults": seen.faults}
        if self._server.redis_pids:
            figures["Redis µs"] = redis * 1e6 / events
        return figures


def steady(
    make: type[Server], tools: Path, seconds: float, *, generations: int, viewers: int, churn: bool = False
) -> Measured:
    """Tokens at a steady pace to viewers that are there already. With `churn` each drops about once a second, is away for
    50 ms and resumes."""
    with make(tools, generations) as server, Load(server.port, tools) as load:
        load.open(server.paths() * (viewers // generations))
        load.connect(90)
        feed = server.feed()
        feed.go(RATE, _SETTLE + seconds + 30)
        if churn:
            load.say("churn 1000 50")
        time.sleep(_SETTLE)
        load.mark()
        watch = Watch(server)
        time.sleep(seconds)
        seen = load.tell()[0]
        figures = watch.per_event(seen)
        _, late = feed.stop()
        expected = RATE * viewers * seen.seconds
        figures |= {"delivered/s": seen.events / seen.seconds, "of due %": 100 * seen.events / expected}
        figures |= {"p50 ms": seen.ms("latency", "p50"), "p99 ms": seen.ms("latency", "p99"), "feed late ms": late}
        if churn:
            figures |= {"resumes": seen.resumes}
            figures |= {"resume p50 ms": seen.ms("resume", "p50"), "resume p99 ms": seen.ms("resume", "p99")}
        return figures


def replay(make: type[Server], tools: Path, seconds: float) -> Measured:
    """10,000 entries of a generation that has ended, to 200 who come late and all at once."""
    with make(tools, 1) as server, Load(server.port, tools) as load:
        server.fill(REPLAYED)
        before = resident_kb(server.pids())
        load.open(server.paths() * LATE_JOINERS)
        watch = Watch(server)
        load.connect(90)
        took = float(load.answer("ended", 90))
        time.sleep(0.1)
        seen = load.tell()[0]
        figures = watch.per_event(seen)
        figures |= {"all ms": took * 1000, "first p99 ms": seen.ms("first", "p99")}
        figures["growth MB"] = (resident_kb(server.pids()) - before) / 1024
        figures["faults"] += abs(seen.events - LATE_JOINERS * round(seen.events / LATE_JOINERS))
        return figures


def herd(make: type[Server], tools: Path, seconds: float) -> Measured:
    """2,000 viewers of a running generation lose their connections at once and come back at once."""
    with make(tools, 1) as server, Load(server.port, tools) as load:
        load.open(server.paths() * HERD)
        load.connect(90)
        feed = server.feed()
        feed.go(RATE, 90)
        time.sleep(_SETTLE)
        load.mark()
        watch = Watch(server)
        load.say("herd")
        all_ = float(load.answer("herd", 60))
        time.sleep(0.3)
        seen = load.tell()[0]
        feed.stop()
        figures = watch.per_event(seen)
        return figures | {"back p50 ms": seen.ms("caught", "p50"), "all ms": all_ * 1000}


def idle(make: type[Server], tools: Path, seconds: float) -> Measured:
    """Viewers of a generation that says nothing: what each costs in memory."""
    with make(tools, 1) as server:
        viewers = IDLE if server.name != "naive" else IDLE // 5  # each has a connection to Redis, which allows 10,000
        (path,) = server.paths()
        with Load(server.port, tools) as first, Load(server.port, tools) as load:
            first.open([path] * 50)
            first.connect()
            before = resident_kb(server.pids())
            load.open([path] * viewers)
            took = load.connect(120)
            time.sleep(1)
            after = resident_kb(server.pids())
            watch, began = cpu_seconds(server.pids()), time.monotonic()
            time.sleep(min(seconds, 5.0))
            spent = (cpu_seconds(server.pids()) - watch) / (time.monotonic() - began)
            seen = load.tell()[0]
            return {
                "viewers": viewers, "KB/viewer": (after - before) / viewers, "faults": seen.faults,
                "connects/s": viewers / took, "idle CPU %": 100 * spent,
            }  # fmt: skip


Scenario = Callable[[type[Server], Path, float], Measured]


def _steady(generations: int, viewers: int, churn: bool = False) -> Scenario:
    return lambda make, tools, seconds: steady(
        make, tools, seconds, generations=generations, viewers=viewers, churn=churn
    )


SCENARIOS: dict[str, Scenario] = {
    **{f"A{n}": _steady(1, n) for n in (100, 1000, 4000, 8000)},
    **{f"B{n}": _steady(n, n) for n in (100, 500, 1000)},
    "C": replay,
    "D1000": _steady(1, 1000, churn=True),
    "herd": herd,
    "idle": idle,
}
