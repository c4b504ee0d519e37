"""What grows: logs of 100,000 entries, and lists. One API process, and somebody who only watches another generation meanwhile.

Each long log is asked for by one, or by many at once, who are the first to ask for it; then again.
"""

import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from broker.events import TEXT, Content, event
from broker.record import Ending
from broker.store.appends import Lane
from broker.store.logs import Logs
from tests.bench import systems
from tests.bench.bursts import BURSTS
from tests.bench.feed import Claimed, claim, with_logs, write
from tests.bench.figures import median, percentile
from tests.bench.load import Load
from tests.bench.path import Path as MainPath
from tests.bench.probe import Caller
from tests.bench.report import Figures
from tests.bench.servers import Respool
from tests.bench.system import compiled

ENTRIES = 100_000
JOINERS = 20
LISTED = 100
_RATE = 500
_WAIT_SECONDS = 60.0
_WORD_BYTES = 4
"""Of a token's text, as models write it."""
_ASKED: dict[str, tuple[str, bytes]] = {
    "record": ("", b"{"),
    "snapshot": ("/events?from=snapshot", b"data: "),
    "snapshot as text": ("/events?from=snapshot&view=text", b"data: "),
    "resume half-way as text": ("/events?view=text&after={half}", b"data: "),
}
"""By name: what is asked for, and how the first byte that says something begins."""


class Joined(NamedTuple):
    """Seconds from the request to the first byte of what was asked for, and to the last."""

    first: float
    whole: float


def long_logs(figures: Figures, *, quick: bool) -> None:
    rounds = 2 if quick else 5
    with tempfile.TemporaryDirectory(prefix="respool-bench-tools-") as folder:
        tools = Path(folder)
        for program in ("load", "feed"):
            compiled(program, tools)
        with Respool(tools, 1) as server, Load(server.port, tools) as load:
            fresh = _written(server.url, rounds * 2 * len(_ASKED))
            load.open(server.paths())
            load.connect()
            feed = server.feed()
            feed.go(_RATE, 300)
            time.sleep(1)
            for name in _ASKED:
                _ask(server.port, load, figures, name, [(next(fresh), next(fresh)) for _ in range(rounds)])
            _, late = feed.stop()
            figures.put("respool", "the feed's own latest", "ms", late)


def _ask(port: int, load: Load, figures: Figures, name: str, logs: list[tuple[Claimed, Claimed]]) -> None:
    put, what = figures.put, f"{ENTRIES:,} entries, {name}"
    alone = [_join(port, name, one, 1)[0] for one, _ in logs]
    again = [_join(port, name, one, 1)[0] for one, _ in logs]
    load.mark()
    crowds = [_join(port, name, many, JOINERS) for _, many in logs]
    seen = load.tell()[0]
    put("respool", f"{what}: first byte", "ms", median(each.first for each in alone) * 1000, target=50)
    put("respool", f"{what}: all of it", "ms", median(each.whole for each in alone) * 1000)
    put("respool", f"{what}, again: all of it", "ms", median(each.whole for each in again) * 1000)
    put("respool", f"{what}, {JOINERS} at once: all have all of it", "ms",
        median(max(each.whole for each in crowd) for crowd in crowds) * 1000, target=300)  # fmt: skip
    put("respool", f"{what}, {JOINERS} at once: another's events, p99", "ms", seen.ms("latency", "p99"), target=5,
        samples=seen.samples("latency"))  # fmt: skip
    put("respool", f"{what}, {JOINERS} at once: another's events, latest", "ms", seen.ms("latency", "max"))


def lists(figures: Figures, *, quick: bool) -> None:
    """A list of 100 generations that have ended."""
    with tempfile.TemporaryDirectory(prefix="respool-bench-tools-") as folder, Respool(Path(folder), 1) as server:
        caller, took = Caller(server.port), []
        for _ in range(LISTED):
            caller.cancel(caller.submit("sim-1"))
        for _ in range(100 if quick else 500):
            began = time.perf_counter()
            _, listing = caller.call("GET", f"/v1/generations?limit={LISTED}")
            took.append((time.perf_counter() - began) * 1000)
            assert len(listing["data"]) == LISTED
        for name, rank, target in (("p50", 0.5, 4), ("p99", 0.99, None)):
            figures.put(
                "respool", f"list of {LISTED}, {name}", "ms", percentile(took, rank), target=target, samples=len(took)
            )


def paces(figures: Figures, *, quick: bool) -> None:
    """Tokens that wait for one another on their way to Redis."""
    for pace_ms in (0, 20, 50, 100):
        with systems.Respool(append_pace_ms=pace_ms) as system:
            MainPath(system, figures, samples=0, seconds=6 if quick else 30).paced(pace_ms)


SCALE: dict[str, Callable[..., None]] = {"long-logs": long_logs, "lists": lists, "paces": paces, **BURSTS}
"""By name; each is given the figures and whether to be quick."""


# -- the logs


def _written(url: str, count: int) -> Iterator[Claimed]:
    """Generations of `ENTRIES` words each, that have ended; nobody has asked for them."""
    claimed = claim(url, count)
    words = [b"%03d " % (number % 1000) for number in range(ENTRIES)]
    contents = [event("block_start", index=0, block={"type": "text", "text": ""})]
    contents += [Content(TEXT, word[:_WORD_BYTES]) for word in words]

    async def write_all(logs: Logs) -> None:
        appends, ending = Lane(url), Ending("completed", stop_reason="end_turn")
        for generation in claimed:
            await write(appends, generation, contents)
            await logs.finish(generation.id, generation.attempt, generation.next_seq, ending)
        appends.close()

    with_logs(url, write_all)
    return iter(claimed)


# -- who asks


def _join(port: int, name: str, generation: Claimed, joiners: int) -> list[Joined]:
    """All at once, each over a connection that is there."""
    query, mark = _ASKED[name]
    path = f"/v1/generations/{generation.id}" + query.format(half=f"{generation.attempt}-{ENTRIES // 2}")
    begin = threading.Barrier(joiners)

    def join() -> Joined:
        with socket.create_connection(("127.0.0.1", port), timeout=_WAIT_SECONDS) as connection:
            begin.wait(_WAIT_SECONDS)
            return _read(connection, path, mark)

    with ThreadPoolExecutor(joiners) as pool:
        joined = [pool.submit(join) for _ in range(joiners)]
        return [each.result() for each in joined]


def _read(connection: socket.socket, path: str, mark: bytes) -> Joined:
    """Asks, and reads to the end of the connection."""
    began = time.perf_counter()
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    head, first, size, buffer = b"", 0.0, 0, bytearray(1 << 20)
    while read := connection.recv_into(buffer):
        size += read
        if not first:
            head += buffer[:read]
            assert head.startswith(b"HTTP/1.1 200"[: len(head)]), head[:200]
            if mark in head.partition(b"\r\n\r\n")[2]:
                first = time.perf_counter()
    assert size > ENTRIES * _WORD_BYTES // 2, f"{size} bytes are not all of it"
    return Joined(first - began, time.perf_counter() - began)
