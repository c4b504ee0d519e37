"""What a short generation costs each process, beside what they do at rest; and what thousands that wait cost a running one.

Each generation is submitted to a real API and has no viewer. Its second look, 10 s after its end, is counted too.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from redis import Redis

from broker import keys
from broker.local.embedded import EmbeddedServer
from tests.bench.probe import Caller
from tests.bench.report import Figures
from tests.bench.system import cpu_seconds
from tests.bench.systems import Respool
from tests.harness.stack import until

WAITING = 10_000
_SHORT = "sim-1?ttft_ms=5&tps=0&tokens=5"
_LONG = "sim-1?ttft_ms=5&tps=10&tokens=20000"
_CALLERS = 8
_MONITORED = 100
_MARK = "that is all"
_SECOND_LOOKS_SECONDS = 12.0
"""Behind the last end: after these each end has been looked at for the second time."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What has been spent since a server began, or between two moments."""

    seconds: float
    commands: float
    """Those that scripts call included."""
    redis_us: float
    worker_us: float
    api_us: float

    @classmethod
    def until_now(cls, redis: Any, pids: Mapping[str, int]) -> Self:
        stats, cpu = redis.info("commandstats"), redis.info("cpu")
        return cls(
            time.monotonic(),
            sum(each["calls"] for each in stats.values()),
            (cpu["used_cpu_user"] + cpu["used_cpu_sys"]) * 1e6,
            cpu_seconds([pids["worker"]]) * 1e6,
            cpu_seconds([pids["api"]]) * 1e6,
        )

    def each(self, other: "Spent", of: Callable[[float, float], float]) -> "Spent":
        return Spent(*(of(getattr(self, field.name), getattr(other, field.name)) for field in fields(Spent)))

    def since(self, before: "Spent") -> "Spent":
        return self.each(before, lambda now, then: now - then)

    def beyond(self, rest: "Spent") -> "Spent":
        """Without what would have been spent at rest."""
        share = self.seconds / rest.seconds
        return self.each(rest, lambda all_, idle: all_ - idle * share)


@contextmanager
def _connected(url: str) -> Iterator[Any]:
    with closing(Redis.from_url(url)) as redis:
        yield redis


@contextmanager
def _ledger(url: str, pids: Mapping[str, int]) -> Iterator[Callable[[], Spent]]:
    with _connected(url) as redis:
        yield lambda: Spent.until_now(redis, pids)


def generations(figures: Figures, *, quick: bool) -> None:
    """On one server, then what of it coordination costs, on a server of its own."""
    with Respool() as system:
        cost, count = _of_each(system, system.redis_url, quick)
        put = figures.put
        put(
            "respool",
            "a generation of 5 tokens: Redis commands",
            "commands",
            cost.commands / count,
            target=40,
            samples=count,
        )
        put("respool", "of these called by scripts", "commands", _share_of_scripts(system) * cost.commands / count)
        put("respool", "a generation of 5 tokens: Redis CPU", "µs", cost.redis_us / count)
        put("respool", "a generation of 5 tokens: worker CPU", "ms", cost.worker_us / count / 1000, target=1.2)
        put("respool", "a generation of 5 tokens: API CPU", "ms", cost.api_us / count / 1000, target=0.8)
    with (
        tempfile.TemporaryDirectory(prefix="respool-bench-logs-") as folder,
        EmbeddedServer(Path(folder)) as logs,
        Respool(logs_url=logs.url) as system,
    ):
        cost, count = _of_each(system, system.redis_url, quick)
        put("respool", "coordination of a generation: Redis commands", "commands", cost.commands / count, target=25)
        put("respool", "coordination of a generation: Redis CPU", "µs", cost.redis_us / count, target=200)


def _of_each(system: Respool, url: str, quick: bool) -> tuple[Spent, int]:
    count = 300 if quick else 1000
    _submit(system.port, _SHORT, 50)
    _await_ends(url, 50)
    with _ledger(url, system.pids) as spent:
        time.sleep(_SECOND_LOOKS_SECONDS)
        before_rest = spent()
        time.sleep(5)
        before = spent()
        _submit(system.port, _SHORT, count)
        _await_ends(url, 50 + count)
        time.sleep(_SECOND_LOOKS_SECONDS)
        return spent().since(before).beyond(before.since(before_rest)), count


def _share_of_scripts(system: Respool) -> float:
    """Of the commands, told by MONITOR, which says where each comes from."""
    with _connected(system.redis_url) as redis, redis.monitor() as monitor:
        before = int(redis.zcard(keys.index("completed")))
        _submit(system.port, _SHORT, _MONITORED)
        _await_ends(system.redis_url, before + _MONITORED)
        redis.echo(_MARK)
        heard = []
        while not (said := monitor.next_command())["command"].endswith(_MARK):
            heard.append(said["client_type"])
    return heard.count("lua") / len(heard)


def _submit(port: int, model: str, count: int) -> None:
    with ThreadPoolExecutor(_CALLERS) as pool:

        def submit(share: int) -> None:
            caller = Caller(port)
            for _ in range(share, count, _CALLERS):
                caller.submit(model)

        list(pool.map(submit, range(_CALLERS)))


def _await_ends(url: str, count: int) -> None:
    with _connected(url) as redis:

        def ended() -> bool:
            time.sleep(0.1)
            return int(redis.zcard(keys.index("completed"))) == count

        until(ended, f"{count} generations have ended", 120)


def queue(figures: Figures, *, quick: bool) -> None:
    """Beside one that runs and has all slots of its worker."""
    seconds = 12.0 if quick else 60.0
    with Respool(max_jobs=1) as system, _ledger(system.redis_url, system.pids) as spent:
        _submit(system.port, _LONG, 1)
        time.sleep(15)  # the one that runs has been looked at
        before = spent()
        time.sleep(seconds)
        alone = spent().since(before)
        _submit(system.port, _SHORT, WAITING)
        before = spent()
        time.sleep(seconds)
        beside = spent().since(before)
        for what, cost in (("nothing", alone), (f"{WAITING:,} that wait", beside)):
            put, name = figures.put, f"one that runs, and {what}"
            put("respool", f"{name}: Redis commands", "1/s", cost.commands / cost.seconds)
            put("respool", f"{name}: Redis CPU", "ms/s", cost.redis_us / cost.seconds / 1000)
            put("respool", f"{name}: worker CPU", "ms/s", cost.worker_us / cost.seconds / 1000)


COSTS: dict[str, Callable[..., None]] = {"generations": generations, "queue": queue}
"""By name; each is given the figures and whether to be quick."""
