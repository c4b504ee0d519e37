"""A resume in the middle of a log of 100,000 entries, in each vocabulary whose readers can come back."""

import re
import socket
import tempfile
import time
from pathlib import Path
from typing import Final

from broker.events import TEXT, Content
from broker.ids import EntryId
from broker.record import Ending
from broker.store.appends import Lane
from broker.store.logs import Logs
from tests.bench.feed import with_logs, write
from tests.bench.figures import percentile
from tests.bench.report import Figures
from tests.bench.spoken import Followed, Spoken
from tests.bench.vocabularies import VOCABULARIES

_ENTRIES: Final = 100_000
_BEHIND: Final = 50_000
_STEP: Final = 37
"""Entries between one resume's place and the next one's, so that no page is there from the last time."""
_NEAR: Final = 10
"""The number of an event may be so far from that of its entry."""
_TARGET_MS: Final = 100
_TOKEN: Final = re.compile(rb"token (\d{9})")
_SECONDS: Final = 60.0


def resumes(figures: Figures, *, quick: bool) -> None:
    """Warm: the process has folded this log before. Cold: it is the first that a new process is asked for of this log."""
    spoken = [each for each in VOCABULARIES if each.behind is not None and each.tells_each]
    with tempfile.TemporaryDirectory(prefix="respool-bench-tools-") as folder, Spoken(Path(folder), 1) as server:
        logs = {state: [server.made(each, f"{state}-{each.name}") for each in spoken] for state in ("ended", "running")}
        _fill(server.url, logs)
        for state, followed in logs.items():
            times = 30 if quick else 200
            for each in followed:
                _first_byte(server.port, each, _BEHIND)
            turns = [
                [_first_byte(server.port, each, _BEHIND + _STEP * turn) for each in followed] for turn in range(times)
            ]
            _put(figures, f"{state}, warm", followed, turns)
        cold = []
        for turn in range(2 if quick else 20):
            server.begin_anew()
            at = turn % len(spoken)  # whoever is the first pays for what a new process has not done yet
            order = [*logs["ended"][at:], *logs["ended"][:at]]
            took = {each.vocabulary.name: _first_byte(server.port, each, _BEHIND) for each in order}
            cold.append([took[each.name] for each in spoken])
        _put(figures, "ended, cold", logs["ended"], cold)


def _put(figures: Figures, what: str, followed: list[Followed], turns: list[list[float]]) -> None:
    for number, each in enumerate(followed):
        took = [turn[number] for turn in turns]
        for name, rank, target in (("p50", 0.5, None), ("p99", 0.99, _TARGET_MS)):
            figures.put(each.vocabulary.name, f"behind entry {_BEHIND:,} of {_ENTRIES:,}, {what}: first byte, {name}", "ms",
                        percentile(took, rank), target=target, samples=len(took))  # fmt: skip


def _fill(url: str, logs: dict[str, list[Followed]]) -> None:
    contents = [Content(TEXT, b" token %09d of it" % number) for number in range(_ENTRIES)]

    async def fill(store: Logs) -> None:
        appends = Lane(url)
        for state, followed in logs.items():
            for _, generation, _ in followed:
                await write(appends, generation, contents)
                if state == "ended":
                    ending = Ending("completed", stop_reason="end_turn")
                    await store.finish(generation.id, generation.attempt, generation.next_seq, ending)
        appends.close()

    with_logs(url, fill)


def _first_byte(port: int, followed: Followed, behind: int) -> float:
    """Milliseconds from the request to the first event, over a connection that is there."""
    request = followed.request(EntryId(followed.generation.attempt, behind))
    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
        began = time.perf_counter()
        connection.sendall(request)
        got = b""
        while (found := _TOKEN.search(got)) is None:
            read = connection.recv(1 << 16)
            assert read, f"{followed.vocabulary.name} ended with {got[-300:]!r}"
            got += read
        took = (time.perf_counter() - began) * 1000
    assert abs(int(found[1]) - behind) < _NEAR, f"{followed.vocabulary.name} begins at {found[1]!r}"
    return took
