"""1,000 viewers of one generation in a vocabulary, beside 1,000 of another one in our own, on one server. One generation is fed
for a moment while the other is silent, in turn: whatever else the machine does falls on both alike."""

import time
from pathlib import Path
from typing import Final

from tests.bench import feed
from tests.bench.fanout import RATE, Measured
from tests.bench.figures import median
from tests.bench.load import Load
from tests.bench.spoken import Followed, Spoken
from tests.bench.system import running_seconds
from tests.bench.vocabularies import NATIVELY, Vocabulary

VIEWERS: Final = 1_000
_SETTLE: Final = 0.3


def alternating(vocabulary: Vocabulary, tools: Path, *, turns: int, seconds: float) -> Measured:
    """Of the vocabulary; `to native` is the median of what each turn's two moments say. The first turn is not counted."""
    with Spoken(tools, 1) as server, Load(server.port, tools) as load:
        pair = (server.made(NATIVELY, "beside"), server.made(vocabulary, "bench"))
        for group, followed in enumerate(pair):
            load.open([followed.path] * VIEWERS, group)
        load.connect(90)
        seen = list[tuple[Measured, Measured]]()
        for turn in range(turns + 1):
            moments = {}
            for group in (0, 1) if turn % 2 else (1, 0):
                moments[group] = _moment(server, load, pair[group], group, seconds)
            seen.append((moments[0], moments[1]))
    counted = seen[1:]
    figures = {name: median([spoken[name] for _, spoken in counted]) for name in counted[0][1]}
    figures["faults"] = sum(native["faults"] + spoken["faults"] for native, spoken in counted)
    return figures | {"to native": median([spoken["µs/event"] / native["µs/event"] for native, spoken in counted])}


def _moment(server: Spoken, load: Load, followed: Followed, group: int, seconds: float) -> Measured:
    with feed.LogFeed(server.url, [followed.generation], server.tools) as fed:
        fed.go(RATE, _SETTLE + seconds + 30)
        time.sleep(_SETTLE)
        load.mark()
        begun = running_seconds(server.pids())
        time.sleep(seconds)
        seen = load.tell()[group]
        spent = running_seconds(server.pids()) - begun
        appended, _ = fed.stop()
    followed.generation.next_seq += appended
    events = max(1, seen.events)
    return {
        "µs/event": spent * 1e6 / events, "bytes/event": seen.bytes / events, "events/read": events / max(1, seen.reads),
        "of due %": 100 * seen.events / (RATE * VIEWERS * seen.seconds), "p50 ms": seen.ms("latency", "p50"),
        "p99 ms": seen.ms("latency", "p99"), "faults": seen.faults,
    }  # fmt: skip
