"""Tokens without a worker: generations that the bench itself has claimed, filled through the append script.

Each token's text begins with when it was handed to Redis (CLOCK_MONOTONIC ns) and its number.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import orjson
from redis.asyncio.connection import parse_url

from broker.events import TEXT, Content, event
from broker.ids import BEGINNING, new_generation_id
from broker.record import Ending
from broker.replies import Appended, AppendReply, Granted
from broker.store.appends import AppendCall, AttemptLog, Lane
from broker.store.client import connect
from broker.store.logs import Logs
from tests.bench.load import Lines
from tests.bench.system import compiled

TEXT_BYTES = 64
"""Of a token: with the rest of its frame they are the 120 bytes of an event."""
_REQUEST = orjson.dumps({"model": "bench", "messages": [{"role": "user", "content": "bench"}]})
_LEASE_MS = 3_600_000
_AT_ONCE = 1000
T = TypeVar("T")


class Claimed:
    """A running generation of the bench's own."""

    def __init__(self, id_: str, attempt: int) -> None:
        self.id = id_
        self.attempt = attempt
        self.path = f"/v1/generations/{id_}/events"
        self.next_seq = 1

    @property
    def log(self) -> AttemptLog:
        return AttemptLog(self.id, self.attempt)


def with_logs(url: str, work: Callable[[Logs], Awaitable[T]]) -> T:
    """Runs some asynchronous work on a connection of its own."""

    async def run() -> T:
        redis = connect(url)
        try:
            await _appended(url, AttemptLog("nobody", 1).append(1, []))  # from now on the server knows the script
            return await work(Logs(redis))
        finally:
            await redis.aclose(close_connection_pool=True)

    return asyncio.run(run())


async def _appended(url: str, call: AppendCall) -> AppendReply:
    appends = Lane(url)
    try:
        (reply,) = await appends.send([call])
    finally:
        appends.close()
    return reply


def claim(url: str, count: int) -> list[Claimed]:
    """New generations that are running, with `stream_start` in their logs."""

    async def one(logs: Logs) -> Claimed:
        id_ = new_generation_id()
        await logs.create(id_, _REQUEST, "bench", 3_600_000)
        return await _run(logs, id_)

    async def all_(logs: Logs) -> list[Claimed]:
        return [await one(logs) for _ in range(count)]

    return with_logs(url, all_)


def run(url: str, id_: str) -> Claimed:
    """Claims a generation that somebody has submitted."""
    return with_logs(url, lambda logs: _run(logs, id_))


async def _run(logs: Logs, id_: str) -> Claimed:
    start = orjson.dumps(
        {"type": "stream_start", "generation": id_, "model": "bench", "reason": "start", "keep_blocks": 0}
    )
    granted = await logs.claim(
        id_, "bench", lease_ms=_LEASE_MS, most_attempts=3, planned_from=BEGINNING, run=True, start_json=start,
        kept_chunks=0,
    )  # fmt: skip
    assert isinstance(granted, Granted), granted
    return Claimed(id_, granted.attempt)


def open_block(url: str, generation: Claimed) -> None:
    """Lets a message and a block of text begin, as those must have seen them who remember something."""
    contents = [
        event("message", message={"id": "msg_bench", "type": "message", "role": "assistant", "usage": {}}),
        event("block_start", index=0, block={"type": "text", "text": ""}),
    ]
    reply = with_logs(url, lambda _: _appended(url, generation.log.append(1, contents)))
    assert reply == Appended(len(contents))
    generation.next_seq = 1 + len(contents)


async def write(appends: Lane, generation: Claimed, contents: Sequence[Content]) -> None:
    """Appends them, a thousand at a time."""
    for at in range(0, len(contents), _AT_ONCE):
        some = contents[at : at + _AT_ONCE]
        (reply,) = await appends.send([generation.log.append(generation.next_seq, some)])
        assert isinstance(reply, Appended), reply
        generation.next_seq += len(some)


def fill(url: str, generation: Claimed, entries: int) -> None:
    """Lane so many tokens at once, and the end."""

    async def write(logs: Logs) -> None:
        for first in range(1, entries + 1, 500):
            seqs = range(first, min(first + 500, entries + 1))
            texts = (f"{0:016} #{seq:<8} ".encode().ljust(TEXT_BYTES, b"x") for seq in seqs)
            reply = await _appended(url, generation.log.append(first, [Content(TEXT, text) for text in texts]))
            assert reply == Appended(seqs[-1])
        await logs.finish(generation.id, generation.attempt, entries + 1, Ending("completed", stop_reason="end_turn"))

    with_logs(url, write)


class LogFeed(Lines):
    """A process that appends to these generations, each `rate` times a second, from `go` on."""

    def __init__(self, url: str, generations: list[Claimed], folder: Path) -> None:
        where = parse_url(url)
        password = [where["password"]] if where.get("password") else []
        super().__init__([str(compiled("feed", folder)), "resp", str(where["port"]), *password])
        whole = b"".join(_template(generation) for generation in generations)
        self.send(whole)

    def go(self, rate: float, seconds: float) -> None:
        """Begins; it ends by itself after so many seconds."""
        self.say(f"go {rate:g} {seconds:g} {TEXT_BYTES}")

    def stop(self, seconds: float = 20.0) -> tuple[int, float]:
        """Ends it; how many tokens it has appended, and how many ms the latest of them was late by the feed's own doing."""
        self.say("stop")
        appended, _, late, refused = self.answer("done", seconds).split()
        assert refused == "0", "the log refused entries"
        return int(appended), float(late)


def _template(generation: Claimed) -> bytes:
    """The append call but for seq and text, as the feed wants it: no new lease, no usage. A worker renews, and looks for a
    cancel, now and then, not with every token."""
    call = generation.log.append(1, [Content(TEXT, b"")])
    head, _, behind = call.rpartition(b"$1\r\n1\r\n")
    middle = behind.removesuffix(b"$0\r\n\r\n")
    return b"gen %d %d %d\n" % (len(head), len(middle), generation.next_seq) + head + middle
