"""What a token costs from the upstream's write to the viewer, and how soon the first one is there, beside a plain endpoint; the
same at several times the load, and the longest pause in five minutes."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count

from tests.bench.figures import percentile
from tests.bench.load import Load
from tests.bench.probe import SECONDS, Caller
from tests.bench.report import Figures
from tests.bench.system import cpu_seconds
from tests.bench.systems import Endpoint, Respool, System

RATE = 50
_RUNNING = 200
_SLOTS = 1000
_TORRENT = 800
_PAUSES_SECONDS = 300
_seeds = count(1)
_MODEL = "sim-1?ttft_ms={first}&tps={rate}&tokens={tokens}&stamp=1&jitter=0.2&seed={seed}"


def live(figures: Figures, *, quick: bool) -> None:
    """200 and 400 generations of 50 tokens a second, each with a viewer."""
    for many in (200, 400):
        for system in _systems():
            what = f"{many} × {RATE}/s, {system.name}"
            figures.attempt(what, partial(_live, figures, system, many, quick=quick))


def cold(figures: Figures, *, quick: bool) -> None:
    """From the POST of a stream to its first token, the model's own time taken off, idle and beside 200 others."""
    for system in _systems():
        with system:
            figures.attempt(f"idle, {system.name}", partial(_first, figures, system, "idle", quick=quick))
            with _running(system, _RUNNING):
                time.sleep(2)
                when = f"{_RUNNING} × {RATE}/s running"
                figures.attempt(f"{when}, {system.name}", partial(_first, figures, system, when, quick=quick))


def torrent(figures: Figures, *, quick: bool) -> None:
    """40,000 tokens a second through one worker."""
    system = Respool(max_jobs=_SLOTS)
    figures.attempt(f"{_TORRENT} × {RATE}/s", partial(_live, figures, system, _TORRENT, quick=quick))


def pauses(figures: Figures, *, quick: bool) -> None:
    """The longest time between an upstream's write and its viewer, of 200 generations in five minutes."""
    system = Respool(max_jobs=_SLOTS)
    seconds = 60 if quick else _PAUSES_SECONDS
    what = f"upstream writes → viewer, {_RUNNING} × {RATE}/s, {seconds} s"
    with system, _running(system, _RUNNING) as load:
        time.sleep(3)
        load.mark()
        time.sleep(seconds)
        seen = load.tell()[0]
    for name, rank, bound in (("p50", "p50", 1.2), ("p99", "p99", 8.0), ("latest", "max", 25.0)):
        figures.put(system.name, f"{what}, {name}", "ms", seen.ms("latency", rank), target=bound)
    figures.put(system.name, f"lost, repeated, cut, {what}", "events", seen.faults)


def _systems() -> tuple[System, ...]:
    return Respool(max_jobs=_SLOTS), Endpoint()


def _live(figures: Figures, system: System, many: int, *, quick: bool) -> None:
    what, put = f"{many} × {RATE}/s", figures.put
    with system, _running(system, many) as load:
        time.sleep(3)  # what connecting has piled up is over
        load.mark()
        before = {name: cpu_seconds([pid]) for name, pid in system.pids.items()}
        time.sleep(8 if quick else 30)
        spent = {name: cpu_seconds([pid]) - before[name] for name, pid in system.pids.items()}
        seen = load.tell()[0]
    bounds = {200: (1.2, 8.0, 25.0), 400: (4.0, None, None), _TORRENT: (None, 250.0, None)}[many]
    for (name, rank), bound in zip((("p50", "p50"), ("p99", "p99"), ("latest", "max")), bounds, strict=True):
        put(system.name, f"upstream writes → viewer, {what}, {name}", "ms", seen.ms("latency", rank), target=bound)
    put(system.name, f"delivered, {what}", "events/s", seen.events / seen.seconds)
    put(system.name, f"lost, repeated, cut, {what}", "events", seen.faults)
    for name, cpu in spent.items():
        bound = {"api": 16, "worker": 36, "redis": 16}[name] if many == 200 else None
        put(system.name, f"CPU of {name}, {what}", "µs/token", cpu * 1e6 / max(1, seen.events), target=bound)
    put(system.name, f"CPU of all, {what}", "µs/token", sum(spent.values()) * 1e6 / max(1, seen.events))


@contextmanager
def _running(system: System, many: int) -> Iterator[Load]:
    caller = Caller(system.port)
    ids = [caller.submit(_MODEL.format(first=500, rate=RATE, tokens=30_000, seed=next(_seeds))) for _ in range(many)]
    with Load(system.port, system.folder) as load:
        load.open(f"/v1/generations/{id_}/events" for id_ in ids)
        load.connect()
        yield load


def _first(figures: Figures, system: System, when: str, *, quick: bool) -> None:
    """One after the other, over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", system.port, timeout=SECONDS)
    took, own_ms = [], 20
    for _ in range(40 if quick else 200):
        model = _MODEL.format(first=own_ms, rate=200, tokens=3, seed=next(_seeds))
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Tell me something."}]})
        began = time.perf_counter()
        headers = {"content-type": "application/json", "accept": "text/event-stream"}
        connection.request("POST", "/v1/generations", body, headers)
        response = connection.getresponse()
        assert response.status == 200, response.status
        seen = b""
        while b'"type":"text"' not in seen:
            data = response.read1(65536)
            assert data, seen
            seen += data
        took.append((time.perf_counter() - began) * 1000 - own_ms)
        while response.read1(65536):
            pass
    connection.close()
    what = f"POST → first token beyond the model's own time, {when}"
    for name, rank in (("p50", 0.5), ("p99", 0.99)):
        figures.put(system.name, f"{what}, {name}", "ms", percentile(took, rank), samples=len(took))


TOKENS: dict[str, Callable[..., None]] = {"token": live, "cold": cold, "torrent": torrent, "pauses": pauses}
"""By name; each is given the figures and whether to be quick."""
