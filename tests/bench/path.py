"""The main path, end to end through real processes: how soon things happen, one by one, idle and with 100 running."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from urllib.parse import quote

import httpx2

from tests.bench.feed import LogFeed, claim
from tests.bench.figures import percentile
from tests.bench.load import Figures as Seen
from tests.bench.load import Load
from tests.bench.probe import Caller, Stream
from tests.bench.report import Figures
from tests.bench.system import cpu_seconds, idle_seconds
from tests.bench.systems import System
from tests.harness.stack import until

RUNNING = 100
RATE = 50
_FIRST_MS = 500
_seeds = count(1)


class Path:
    """Measures one system; `figures` is where it puts what it finds. `samples` of each kind, within `seconds`."""

    def __init__(self, system: System, figures: Figures, *, samples: int, seconds: float) -> None:
        self._system = system
        self._figures = figures
        self._samples = samples
        self._seconds = seconds
        self._upstream = httpx2.Client(base_url=system.upstream_url, timeout=20)

    def run(self, names: set[str]) -> None:
        """Those of first-token, cancel, resume, live that are named."""
        alone: dict[str, Callable[[str], None]] = {
            "first-token": self._first_tokens, "cancel": self._cancels, "resume": self._resumes,
        }  # fmt: skip
        wanted = [measure for name, measure in alone.items() if name in names]
        for measure in wanted:
            self._attempt(measure, "idle")
        if wanted or "live" in names:
            with self._background() as load:
                if "live" in names:
                    self._live(load)
                for measure in wanted:
                    self._attempt(measure, f"{RUNNING} running")

    def _attempt(self, measure: Callable[[str], None], when: str) -> None:
        what = f"{measure.__name__.strip('_')}, {when}, {self._system.name}"
        self._figures.attempt(what, lambda: measure(when))

    # -- one by one

    def _first_tokens(self, when: str) -> None:
        caller, seen, asked = Caller(self._system.port), [], []
        for _ in self._rounds():
            model = f"sim-1?ttft_ms=80&tps=200&tokens=3&stamp=1&seed={next(_seeds)}"
            before = time.monotonic_ns()
            id_ = caller.submit(model)
            with Stream(self._system.port, id_) as stream:
                first = next(stream.texts())
                for _ in stream:
                    pass
            seen.append((first.at - first.stamp) / 1e6)
            asked.append((self._asked(model)["at_ns"] - before) / 1e6)
        self._put(f"POST → worker calls upstream, {when}", asked, p50=8 if when != "idle" else None)
        self._put(f"upstream's first token → viewer, {when}", seen, p50=5, p99=40)

    def _cancels(self, when: str) -> None:
        caller, took = Caller(self._system.port), []
        for _ in self._rounds():
            model = f"sim-1?ttft_ms=5&tps=20&tokens=2000&seed={next(_seeds)}"
            id_ = caller.submit(model)
            with Stream(self._system.port, id_) as stream:
                next(stream.texts())
                before = time.monotonic_ns()
                caller.cancel(id_)
                until(lambda model=model: self._asked(model)["closed_ns"], "the upstream's socket closes", 20)  # type: ignore[misc]
            took.append((self._asked(model)["closed_ns"] - before) / 1e6)
        self._put(f"cancel → upstream's socket closed, {when}", took, p99=250)

    def _resumes(self, when: str) -> None:
        id_ = Caller(self._system.port).submit(f"sim-1?ttft_ms=5&tps=100&tokens=20000&seed={next(_seeds)}")
        cursor, took = None, []
        for _ in self._rounds():
            before = time.monotonic_ns()
            with Stream(self._system.port, id_, cursor) as stream:
                events = iter(stream)
                first = next(seen for seen in events if seen.frame.id)
                if cursor is not None:
                    took.append((first.at - before) / 1e6)
                    self._check_next(cursor, str(first.frame.id))
                cursor = next(seen.frame.id for seen in events if seen.frame.id)
            time.sleep(0.06)  # about six tokens go missing
        Caller(self._system.port).cancel(id_)
        if took:
            self._put(f"reconnect → first missing token, {when}", took, p99=50)

    # -- many at once

    @contextmanager
    def _background(self, generations: int = RUNNING, tokens: int = 30_000, *, probed: bool = True) -> Iterator[Load]:
        """Generations of 50 tokens a second, each with a viewer, for as long as the block takes. Beside them, of ours, five
        that the bench itself appends to: what they are late is what lies behind the append."""
        caller = Caller(self._system.port)
        model = f"sim-1?ttft_ms={_FIRST_MS}&tps={RATE}&tokens={tokens}&stamp=1&jitter=0.2&seed="
        asked = self._recorded()
        ids = [caller.submit(f"{model}{next(_seeds)}") for _ in range(generations)]
        until(lambda: self._recorded() >= asked + generations, f"{generations} generations run", 60)
        with Load(self._system.port, self._system.folder) as load:
            load.open(f"/v1/generations/{id_}/events" for id_ in ids)
            if self._system.name == "respool" and probed:
                probes = claim(self._system.redis_url, 5)
                load.open((probe.path for probe in probes), group=1)
                with LogFeed(self._system.redis_url, probes, self._system.folder) as feed:
                    load.connect()
                    feed.go(RATE, 600)
                    yield load
            else:
                load.connect()
                yield load

    def _live(self, load: Load, what: str = f"{RUNNING} × {RATE}/s") -> None:
        time.sleep(2)  # what connecting has piled up is over
        load.mark()
        before = [cpu_seconds([pid]) for pid in self._system.pids.values()]
        free, began = idle_seconds(), time.monotonic()
        time.sleep(self._seconds / 2)
        free = (idle_seconds() - free) / (time.monotonic() - began)
        spent = [cpu_seconds([pid]) - cpu for pid, cpu in zip(self._system.pids.values(), before, strict=True)]
        self._put_live(load.tell(), what, spent)
        self._figures.put(self._system.name, f"CPU that was free meanwhile, {what}", "cores", free)

    def paced(self, pace_ms: int) -> None:
        """What a token costs, and how late it is, where tokens of one generation wait so long for one another."""
        with self._background(probed=False) as load:
            self._live(load, f"{RUNNING} × {RATE}/s, pace {pace_ms} ms")

    def end_to_end(self, *, generations: int) -> None:
        """From the POST to the last token, everything on this machine: all delivered, and how late."""
        tokens = max(8, round(self._seconds / 3)) * RATE
        before = [cpu_seconds([pid]) for pid in self._system.pids.values()]
        began, end = time.monotonic(), time.monotonic() + 120
        with self._background(generations, tokens) as load:
            while (groups := load.tell())[0].samples("end") < generations:
                assert time.monotonic() < end, f"only {groups[0].samples('end')} have ended"
                time.sleep(0.1)
        took = time.monotonic() - began
        spent = [cpu_seconds([pid]) - cpu for pid, cpu in zip(self._system.pids.values(), before, strict=True)]
        whole = f"{generations} × {RATE}/s to the end"
        self._put_live(groups, whole, spent)
        self._figures.put("respool", f"first POST → last end, beyond the model's own time, {whole}", "s",
                          took - tokens / RATE - _FIRST_MS / 1000)  # fmt: skip

    def _put_live(self, groups: dict[int, Seen], whole: str, spent: list[float]) -> None:
        put, seen = self._figures.put, groups[0]
        put(self._system.name, f"upstream writes → viewer, {whole}, p50", "ms", seen.ms("latency", "p50"))
        put(self._system.name, f"upstream writes → viewer, {whole}, p99", "ms", seen.ms("latency", "p99"))
        if 1 in groups:
            put("respool", f"append → viewer, {whole}, p50", "ms", groups[1].ms("latency", "p50"), target=2)
            target = 20 if "end" in whole else None
            put("respool", f"append → viewer, {whole}, p99", "ms", groups[1].ms("latency", "p99"), target=target)
        put(self._system.name, f"delivered, {whole}", "events/s", seen.events / seen.seconds)
        put(
            self._system.name, f"lost, repeated, cut, {whole}", "events", sum(group.faults for group in groups.values())
        )
        everything = sum(group.events for group in groups.values())
        for name, cpu in zip(self._system.pids, spent, strict=True):
            put(self._system.name, f"CPU of {name}, {whole}", "µs/token", cpu * 1e6 / max(1, everything))

    # -- what all of them need

    def _rounds(self) -> Iterator[int]:
        end = time.monotonic() + self._seconds
        for index in range(self._samples):
            if index and time.monotonic() > end:
                return
            yield index

    def _put(self, what: str, ms: list[float], *, p50: float | None = None, p99: float | None = None) -> None:
        for name, rank, target in (("p50", 0.5, p50), ("p99", 0.99, p99)):
            self._figures.put(
                self._system.name, f"{what}, {name}", "ms", percentile(ms, rank), target=target, samples=len(ms)
            )

    def _asked(self, model: str) -> dict[str, int]:
        """The upstream's own record of the one call with this model string."""
        (found,) = self._upstream.get(f"/_sim/requests?model={quote(model)}").json()
        record: dict[str, int] = found
        return record

    def _recorded(self) -> int:
        """How many calls the upstream has had."""
        return int(self._upstream.get("/_sim/health").json()["recorded"])

    def _check_next(self, cursor: str, id_: str) -> None:
        if self._system.name == "respool":
            attempt, seq = cursor.split("-")
            assert id_ == f"{attempt}-{int(seq) + 1}", f"after {cursor} came {id_}"
