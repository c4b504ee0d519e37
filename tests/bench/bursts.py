"""Many at once: what waited before there was a worker, generations that start together, submits faster than they can be served.

Each has one API process and one worker, beside Redis, the simulated upstream and the bench itself.
"""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

from broker import keys
from broker.store.client import connect
from broker.store.logs import Logs
from tests.bench.figures import percentile
from tests.bench.report import Figures
from tests.bench.system import cpu_seconds
from tests.harness.stack import Stack

WAITING = 2000
TOGETHER = 2000
SUBMITS_A_SECOND = 800
FOLLOWS_A_SECOND = 1000
_END_SECONDS = 120.0
_LOOK_SECONDS = 0.5
_CONNECTING = 200
"""At once: a listener's backlog is no subject of these figures."""
_FOR_AWAY = re.compile(r"Redis is away|No connection|bookkeeping failed|no jobs:|no sweep")
_WHOLE = b"0\r\n\r\n"
_seeds = count(1)


@dataclass(slots=True)
class Answers:
    """What requests came to: statuses and problem codes, ids, ms from the request to the head of each answer."""

    said: Counter[str] = field(default_factory=Counter)
    ids: list[str] = field(default_factory=list)
    heads_ms: list[float] = field(default_factory=list)
    whole: int = 0
    """Streams that came to their end."""

    @property
    def refused(self) -> str:
        return ", ".join(f"{code} {number}" for code, number in self.said.items() if code not in ("200", "202"))


def waiting(figures: Figures, *, quick: bool) -> None:
    """Jobs that have waited for longer than their bells live, and a worker that comes then."""
    number = WAITING // 4 if quick else WAITING
    with Stack(workers=0, lease=10, drain=10) as stack:
        answers = _run(_offer(stack, number, SUBMITS_A_SECOND // 2, "tokens=1&tps=0&ttft_ms=0"))
        _run(_silence(stack.server.url))
        worker = stack.add_worker()
        before = cpu_seconds([worker.pid])
        lives = _ended(stack, answers)
        spent = cpu_seconds([worker.pid]) - before
        took = max(life.ended for life in lives) - min(life.claimed for life in lives)
        what = f"{number:,} that waited"
        figures.put("respool", f"{what}: drained", "generations/s", len(lives) / took * 1000, samples=len(lives))
        figures.put("respool", f"{what}: CPU of the worker", "ms/generation", spent / len(lives) * 1000)
        _put_errors(figures, what, worker.log)


def burst(figures: Figures, *, quick: bool) -> None:
    """Generations of 5 tokens a second that start together: as they are submitted, and all of them when a worker comes."""
    number = TOGETHER // 4 if quick else TOGETHER
    for how in ("as they are submitted", "at once"):
        with Stack(workers=0, max_jobs=TOGETHER, lease=10, drain=10) as stack:
            if how == "as they are submitted":
                stack.add_worker()
            answers = _run(_offer(stack, number, SUBMITS_A_SECOND, "tokens=75&tps=5&ttft_ms=300&jitter=0.3"))
            worker = stack.workers[0] if stack.workers else stack.add_worker()
            lives = _ended(stack, answers)
            what = f"{number:,} × 5 tokens/s that start {how}"
            first = min(life.claimed for life in lives)
            waits = [life.claimed - (first if how == "at once" else life.made) for life in lives]
            figures.put("respool", f"{what}: refused submits", "submits", number - len(answers.ids), target=0)
            for name, rank, target in (("p50", 0.5, None), ("p99", 0.99, 2), ("latest", 1.0, None)):
                figures.put("respool", f"{what}: claimed after, {name}", "s", percentile(waits, rank) / 1000,
                            target=target if how == "as they are submitted" else None, samples=len(waits))  # fmt: skip
            figures.put("respool", f"{what}: not completed", "generations",
                        sum(life.state != "completed" for life in lives), target=0)  # fmt: skip
            _put_heads(figures, what, answers)
            _put_errors(figures, what, worker.log)


def follows(figures: Figures, *, quick: bool) -> None:
    """Submits that are streams, faster than they can be served: how many are, and what the others are told."""
    seconds = 3 if quick else 8
    with Stack(max_jobs=TOGETHER, lease=10, drain=10) as stack:
        number = FOLLOWS_A_SECOND * seconds
        began = time.monotonic()
        answers = _run(_offer(stack, number, FOLLOWS_A_SECOND, "tokens=10&tps=0&ttft_ms=0", stream=True))
        took = time.monotonic() - began
        what = f"POST and follow, {FOLLOWS_A_SECOND:,}/s offered"
        figures.put("respool", f"{what}: followed to the end", "streams/s", answers.whole / took, samples=number)
        for code, found in sorted(answers.said.items()):
            figures.put("respool", f"{what}: answered {code}", "answers", found)
        _put_heads(figures, what, answers)
        _put_errors(figures, what, stack.workers[0].log)


def _put_heads(figures: Figures, what: str, answers: Answers) -> None:
    for name, rank in (("p50", 0.5), ("p99", 0.99)):
        figures.put("respool", f"{what}: POST to answer, {name}", "ms", percentile(answers.heads_ms, rank))


def _put_errors(figures: Figures, what: str, log: str) -> None:
    figures.put("respool", f"{what}: lines of the worker's log that take Redis for away", "lines",
                len(_FOR_AWAY.findall(log)), target=0)  # fmt: skip


# -- requests


async def _offer(stack: Stack, number: int, rate: float, model: str, *, stream: bool = False) -> Answers:
    """Sends so many submits, `rate` of them a second whatever becomes of them, each on a connection of its own; reads every
    answer to its end."""
    port = int(stack.url.rpartition(":")[2])
    answers, connecting = Answers(), asyncio.Semaphore(_CONNECTING)

    async def one() -> None:
        body = {"model": f"sim-1?{model}&seed={next(_seeds)}", "messages": [{"role": "user", "content": "Hi"}]}
        data = json.dumps(body).encode()
        accept = "text/event-stream" if stream else "application/json"
        head = (
            f"POST /v1/generations HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: {accept}\r\nconnection: close\r\n"
            f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        )
        asked = time.monotonic()
        async with connecting:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(head.encode() + data)
            got = await reader.readuntil(b"\r\n\r\n")
            answers.heads_ms.append((time.monotonic() - asked) * 1000)
            status, rest = got[9:12].decode(), await reader.read()
            answers.said[status if status in ("200", "202") else _code(status, rest)] += 1
            if found := re.search(rb"/v1/generations/(gen_\w+)", got):
                answers.ids.append(found[1].decode())
            answers.whole += b'"type":"stream_end"' in rest
        finally:
            writer.close()

    began, tasks = time.monotonic(), []
    async with asyncio.timeout(_END_SECONDS):
        for at in range(number):
            if (early := began + at / rate - time.monotonic()) > 0:
                await asyncio.sleep(early)
            tasks.append(asyncio.create_task(one()))
        for task in tasks:
            try:
                await task
            except (OSError, asyncio.IncompleteReadError) as error:
                answers.said[type(error).__name__] += 1
    return answers


def _code(status: str, body: bytes) -> str:
    with suppress(ValueError):
        return f"{status} {json.loads(body)['code']}"
    return status


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


# -- what became of them


class Life(NamedTuple):
    """When a generation was made, first claimed and ended, ms, and as what."""

    made: int
    claimed: int
    ended: int
    state: str


async def _silence(url: str) -> None:
    """The bells are as old as they may become."""
    redis = connect(url)
    await redis.delete(keys.WAKE)
    await redis.aclose(close_connection_pool=True)


def _ended(stack: Stack, answers: Answers) -> list[Life]:
    """The lives of those that were accepted, when all have ended."""
    end = time.monotonic() + _END_SECONDS
    while (lives := _run(_lives(stack.server.url, answers.ids))) is None:
        assert time.monotonic() < end, f"not all have ended, {answers.said}"
        time.sleep(_LOOK_SECONDS)
    assert len(lives) == len(answers.ids), "a record is gone"
    found: list[Life] = lives
    return found


async def _lives(url: str, ids: list[str]) -> list[Life] | None:
    redis = connect(url)
    try:
        if await redis.zcard(keys.index("queued")) or await redis.zcard(keys.index("running")):
            return None
        records = [record for record in await Logs(redis).records(ids) if record is not None]
    finally:
        await redis.aclose(close_connection_pool=True)
    if not all(record.ended for record in records):
        return None
    return [
        Life(record.created_ms, record.started_ms or 0, record.finished_ms or 0, record.state) for record in records
    ]


BURSTS: dict[str, Callable[..., None]] = {"waiting": waiting, "burst": burst, "follows": follows}
"""By name; each is given the figures and whether to be quick."""
