"""How a worker hears of cancels, from a channel that breaks when the test says so; no time passes but the test's."""

import asyncio
from typing import Any, Self, cast

import pytest
from arq.connections import ArqRedis
from redis.exceptions import ConnectionError

from broker import keys
from broker.store.appends import Lane
from broker.store.lanes import OneLane
from tests.harness.clockwork import at_once
from worker.cancels import listen
from worker.log.appender import Appender
from worker.log.writer import Writer


class Channel:
    """Redis and its pubsub. `says` is what comes next: a message, None for silence, or an exception."""

    def __init__(self, *says: Any) -> None:
        self.says = list(says)
        self.did: list[tuple[Any, ...]] = []
        self.times: list[float] = []

    def note(self, *what: Any) -> None:
        self.did.append(what)
        self.times.append(round(asyncio.get_running_loop().time() - 1000, 2))

    def pubsub(self, *, ignore_subscribe_messages: bool) -> Self:
        assert ignore_subscribe_messages
        return self

    async def __aenter__(self) -> Self:
        self.note("open")
        return self

    async def __aexit__(self, *error: object) -> None:
        self.note("close")

    async def subscribe(self, name: str) -> None:
        self.note("subscribe", name)

    async def ping(self) -> None:
        self.note("ping")

    async def get_message(self, *, timeout: float) -> Any:
        said = self.says.pop(0) if self.says else None
        if isinstance(said, Exception):
            raise said
        if said is None:
            await asyncio.sleep(timeout)
        return said


def cancel(id_: str) -> dict[str, Any]:
    return {"type": "message", "data": id_.encode()}


def heard(seconds: float, *says: Any) -> tuple[Channel, dict[str, Writer]]:
    """What has become of three generations' attempts, a, b and c, after so long."""
    channel = Channel(*says)
    writers: dict[str, Writer] = {}

    async def scene() -> None:
        appender = Appender(OneLane(cast(Lane, None)), 1000)
        for id_ in "abc":
            writers[id_] = Writer(id_, 7, max_unwritten=9, now=0.0)
            appender.add(writers[id_])
        listening = asyncio.create_task(listen(cast(ArqRedis, channel), appender))
        await asyncio.sleep(seconds)
        assert not listening.done()
        listening.cancel()
        await asyncio.wait({listening})

    at_once(scene())
    return channel, writers


def test_the_attempts_that_are_named_are_stopped_and_no_others() -> None:
    pong = {"type": "pong", "data": b"b"}
    channel, writers = heard(1, cancel("a"), cancel("unknown"), pong, cancel("c"))
    assert {id_: writer.cause for id_, writer in writers.items()} == {"a": "cancelled", "b": None, "c": "cancelled"}
    assert channel.did == [("open",), ("subscribe", keys.CANCELS), ("close",)]


def test_a_silent_channel_is_tried_now_and_then_for_it_may_be_dead() -> None:
    channel, _ = heard(12)
    assert channel.did[2:-1] == [("ping",)] * 2
    assert channel.times[2:-1] == [5, 10]


@pytest.mark.parametrize("error", [ConnectionError("gone"), OSError("gone")])
def test_a_broken_channel_is_opened_again_soon_and_that_is_told(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    channel, writers = heard(1, error, cancel("b"))
    assert writers["b"].cause == "cancelled"
    assert [what for what, *_ in channel.did] == ["open", "subscribe", "close"] * 2
    assert channel.times[:4] == [0, 0, 0, 0.25]
    assert caplog.messages == [f"not hearing of cancels: {type(error).__name__}"]
