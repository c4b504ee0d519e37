"""Loads of a known size through the whole system, and what each process takes for them: what the capacity model is fitted to,
and what it is checked by."""

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import redis

from broker import keys
from broker.local.embedded import EmbeddedServer, free_port
from tests.bench.capacity import Load
from tests.bench.load import Figures
from tests.bench.load import Load as Viewers
from tests.bench.probe import Caller, Stream
from tests.bench.system import connections_to, cpu_seconds, resident_kb
from tests.bench.systems import Respool

SLOTS = 500
_SETTLE = 3.0
_LONG = 30_000
"""Tokens of a generation that outlasts its measurement."""
_OVER = 1.0
"""Seconds for what was cancelled, or has just ended, to be over."""
_seeds = count(1)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a load was in truth, and the cores that each process took; `faults` is what its viewers lost or got twice."""

    load: Load
    cores: dict[str, float]
    faults: int
    memory_kb: dict[str, int]
    connections: dict[str, int]
    """Of each process to the server of the logs."""
    wire_bytes: float
    """Of an event, as its viewer's socket gave it."""


@contextmanager
def running(*, apart: bool = False) -> Iterator[Respool]:
    """One API, one worker, one Redis; `apart`: logs have a Redis of their own, and `redis` is coordination's."""
    with ExitStack() as stack:
        settings: dict[str, object] = {"max_jobs": SLOTS}
        if apart:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="respool-logs-"))
            logs = stack.enter_context(EmbeddedServer(Path(folder) / "data", free_port()))
            settings["logs_url"] = logs.url
        system = stack.enter_context(Respool(**settings))
        if apart:
            assert logs.pid is not None
            system.pids["logs"] = logs.pid
        yield system


def idle(system: Respool, seconds: float) -> dict[str, float]:
    """Cores that each process takes with nothing to do."""
    time.sleep(_SETTLE)
    window = _Window(system)
    time.sleep(seconds)
    return window.cores()


def steady(system: Respool, load: Load, seconds: float, *, further: int = 0) -> Measured:
    """So many generations that neither begin nor end meanwhile, each with its viewers; `further`: what is published is heard so
    many times more, as it would be by further APIs."""
    caller, many = Caller(system.port), round(load.viewers)
    model = f"sim-1?ttft_ms=200&tps={load.rate:g}&tokens={_LONG}&jitter=0.2&seed="
    ids = [caller.submit(f"{model}{next(_seeds)}") for _ in range(round(load.running))]
    with Viewers(system.port, system.folder) as viewers, _hearing(system, ids, further):
        viewers.open(f"/v1/generations/{id_}/events" for id_ in ids * many)
        viewers.connect()
        time.sleep(_SETTLE)
        viewers.mark()
        window = _Window(system)
        time.sleep(seconds)
        measured, seen = window.closed(load, viewers)
    for id_ in ids:
        caller.cancel(id_)
    time.sleep(_OVER)
    was = replace(load, rate=seen.events / many / seen.seconds / load.running, tokens=_LONG)
    return replace(measured, load=was)


def arriving(system: Respool, load: Load, seconds: float) -> Measured:
    """Short generations that begin at an even pace, each watched from its beginning to its end by viewers of its own."""
    caller, many = Caller(system.port), round(load.viewers)
    model = f"sim-1?ttft_ms={load.first * 1000:g}&tps={load.rate:g}&tokens={load.tokens:g}&seed="
    with Viewers(system.port, system.folder) as viewers:
        viewers.say("connect")  # from now on whoever is opened is connected at once

        def arrive(seconds: float) -> int:
            """How many began."""
            began, these = time.monotonic(), round(load.starts * seconds)
            for number in range(these):
                time.sleep(max(0.0, began + number / load.starts - time.monotonic()))
                id_ = caller.submit(f"{model}{next(_seeds)}")
                viewers.open([f"/v1/generations/{id_}/events"] * many)
            return these

        arrive(_SETTLE)
        viewers.mark()
        window = _Window(system)
        fresh = arrive(seconds)
        passed = window.seconds
        measured, _ = window.closed(load, viewers)
    time.sleep(_OVER + load.seconds)
    return replace(measured, load=replace(load, running=fresh / passed * load.seconds))


@contextmanager
def _hearing(system: Respool, ids: list[str], many: int) -> Iterator[None]:
    """So many subscribers to what these generations publish."""
    over = threading.Event()

    def hear() -> None:
        with redis.Redis.from_url(system.redis_url) as client, client.pubsub() as subscribed:
            subscribed.ssubscribe(*map(keys.live, ids))
            while not over.is_set():
                subscribed.get_message(timeout=0.2)

    threads = [threading.Thread(target=hear) for _ in range(many)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(10)


def index_bytes(system: Respool) -> float:
    """What a generation that has ended takes in coordination's indexes."""
    with redis.Redis.from_url(system.redis_url) as client:
        indexes = (keys.index("all"), keys.index("completed"), keys.EXPIRING)
        return float(sum(client.memory_usage(key, samples=0) / client.zcard(key) for key in indexes))


def left_behind(system: Respool, tokens: int) -> float:
    """Bytes that a generation of so many tokens leaves in Redis: record, log, tombstone."""
    caller = Caller(system.port)
    id_ = caller.submit(f"sim-1?ttft_ms=5&tps=500&tokens={tokens}&seed={next(_seeds)}")
    with Stream(system.port, id_) as stream:
        for _ in stream:
            pass
    with redis.Redis.from_url(system.redis_url) as client:
        return float(sum(client.memory_usage(key, samples=0) for key in client.scan_iter(f"{{{id_}}}:*")))


class _Window:
    """CPU of a system's processes from the making of this on."""

    def __init__(self, system: Respool) -> None:
        self._system = system
        self._began, self._spent = time.monotonic(), self._now()

    def _now(self) -> dict[str, float]:
        return {name: cpu_seconds([pid]) for name, pid in self._system.pids.items()}

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def cores(self) -> dict[str, float]:
        """Of each process, on average."""
        seconds = self.seconds
        return {name: (spent - self._spent[name]) / seconds for name, spent in self._now().items()}

    def closed(self, load: Load, viewers: Viewers) -> tuple[Measured, Figures]:
        """The load as it was meant to be, what it took, and what its viewers have seen since their mark."""
        cores, seen = self.cores(), viewers.tell()[0]
        port = int(self._system.redis_url.rpartition(":")[2].partition("/")[0])
        ours = {name: self._system.pids[name] for name in ("api", "worker")}
        return Measured(
            load, cores, seen.faults,
            memory_kb={name: resident_kb([pid]) for name, pid in ours.items()},
            connections={name: connections_to(pid, port) for name, pid in ours.items()},
            wire_bytes=seen.bytes / max(1, seen.events),
        ), seen  # fmt: skip
