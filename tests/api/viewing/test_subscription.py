"""The subscription of an API process, without a server: what it sends and when, what it tells of what comes, and when it gives
a connection up. On a clock that the test moves."""

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any

import pytest
from redis.exceptions import ResponseError

from api.viewing.subscription import Subscription, _Wire
from broker.store.wire import packed
from tests.harness.clockwork import at_once
from tests.harness.network import Network, Transport, connected

PING = b"*1\r\n$4\r\nPING\r\n"
MESSAGE = b"*3\r\n$8\r\nsmessage\r\n$2\r\nch\r\n$3\r\none\r\n"
JOINED = b"*3\r\n$10\r\nssubscribe\r\n$2\r\nch\r\n:1\r\n"
LEFT = b"*3\r\n$12\r\nsunsubscribe\r\n$2\r\nch\r\n:0\r\n"
PONG = b"*2\r\n$4\r\npong\r\n$0\r\n\r\n"

Heard = list[tuple[Any, ...]]


class Hub:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.heard: Heard = []
        self.times: list[float] = []

    def live_up(self) -> None:
        self.heard.append(("up",))
        self.times.append(_now())

    def lost(self, channels: Collection[bytes]) -> None:
        self.heard.append(("lost", *channels))
        self.times.append(_now())

    def subscribed(self, channel: bytes) -> None:
        self.heard.append(("subscribed", channel))

    def published(self, channel: bytes, payload: bytes) -> None:
        self.heard.append(("published", channel, payload))

    def read(self) -> None:
        self.heard.append(("read",))


def _now() -> float:
    return asyncio.get_running_loop().time()


def wire_of(hub: Hub) -> tuple[_Wire, Transport]:
    wire = _Wire(hub, lambda channel: hub.lost([channel]))
    return wire, connected(wire)


def run(scene: Coroutine[Any, Any, None]) -> None:
    at_once(scene)


# ── what comes ──


@pytest.mark.parametrize(
    ("data", "heard"),
    [
        ([MESSAGE], [("published", b"ch", b"one"), ("read",)]),
        ([MESSAGE * 2], [("published", b"ch", b"one"), ("published", b"ch", b"one"), ("read",)]),
        ([MESSAGE[:9], MESSAGE[9:]], [("read",), ("published", b"ch", b"one"), ("read",)]),
        ([JOINED], [("subscribed", b"ch"), ("read",)]),
        ([JOINED + MESSAGE], [("subscribed", b"ch"), ("published", b"ch", b"one"), ("read",)]),
        ([LEFT + PONG], [("lost", b"ch"), ("read",)]),
        ([b"+PONG\r\n" + MESSAGE], [("published", b"ch", b"one"), ("read",)]),
    ],
)
def test_messages_are_told_as_they_come_and_then_that_all_of_a_read_was_told(data: list[bytes], heard: Heard) -> None:
    async def scene() -> None:
        hub = Hub()
        wire, _ = wire_of(hub)
        for each in data:
            wire.data_received(each)
        assert hub.heard == heard

    run(scene())


def test_a_question_is_answered_by_the_next_reply_that_is_no_message() -> None:
    async def scene() -> None:
        wire, transport = wire_of(Hub())
        asking = asyncio.create_task(wire.ask("ECHO", "word"))
        await asyncio.sleep(0)
        assert transport.written == [packed(("ECHO", "word"))]
        wire.data_received(MESSAGE)
        await asyncio.sleep(0)
        assert not asking.done()
        wire.data_received(b"+OK\r\n+once more, which answers nothing\r\n")
        await asking

    run(scene())


# ── what is sent ──


def test_a_connection_on_which_nothing_comes_is_given_up_after_six_seconds_and_pings_in_between() -> None:
    async def scene() -> None:
        wire, transport = wire_of(Hub())
        await asyncio.sleep(5.9)
        assert not transport.aborted
        await asyncio.sleep(0.2)
        assert transport.aborted
        assert transport.written == [PING] * 3
        assert wire.lost.is_set()

    run(scene())


def test_a_connection_that_is_heard_of_is_pinged_every_two_seconds_and_kept() -> None:
    async def scene() -> None:
        wire, transport = wire_of(Hub())
        await asyncio.sleep(1)
        for _ in range(15):
            await asyncio.sleep(4)
            wire.data_received(PONG)
        assert not transport.aborted
        assert transport.written == [PING] * 30
        await asyncio.sleep(6)
        assert transport.aborted

    run(scene())


# ── connecting ──


def test_it_is_up_when_redis_answers() -> None:
    async def scene() -> None:
        network, hub = Network[_Wire](), Hub()
        running = asyncio.create_task(Subscription("unix://:secret@/run/valkey.sock", hub).run())
        await asyncio.sleep(1)
        assert network.asked == [("unix", "/run/valkey.sock")]
        assert network.transports[0].written == [packed(("AUTH", "secret")), packed(("ECHO", ""))]
        assert [each for each in hub.heard if each != ("read",)] == [("up",)]
        running.cancel()

    run(scene())


def test_a_channel_is_subscribed_while_there_is_a_connection_and_anew_when_there_is_one_again() -> None:
    async def scene() -> None:
        network, hub = Network[_Wire](), Hub()
        subscription = Subscription("redis://", hub)
        subscription.subscribe(b"early")
        subscription.subscribe(b"left")
        subscription.unsubscribe(b"left")
        running = asyncio.create_task(subscription.run())
        await asyncio.sleep(1)
        subscription.subscribe(b"ch")
        subscription.unsubscribe(b"early")
        first = network.transports[0]
        assert first.written[1:] == [
            packed(("SSUBSCRIBE", "early")), packed(("SSUBSCRIBE", "ch")), packed(("SUNSUBSCRIBE", "early")),
        ]  # fmt: skip
        network.error = OSError("away")
        network.wires[0].connection_lost(None)
        await asyncio.sleep(1)
        assert hub.heard[-1] == ("lost", b"ch")
        assert not subscription.up
        sent = len(first.written)
        subscription.subscribe(b"late")
        assert len(first.written) == sent
        network.error = None
        await asyncio.sleep(1)
        assert subscription.up
        one, other = packed(("SSUBSCRIBE", "ch")), packed(("SSUBSCRIBE", "late"))
        assert network.transports[1].written[1] in (one + other, other + one)
        running.cancel()

    run(scene())


def test_a_channel_that_the_server_takes_away_is_lost_and_asked_for_again_and_one_that_was_left_is_not() -> None:
    async def scene() -> None:
        network, hub = Network[_Wire](), Hub()
        subscription = Subscription("redis://", hub)
        running = asyncio.create_task(subscription.run())
        await asyncio.sleep(1)
        subscription.subscribe(b"ch")
        network.wires[0].data_received(JOINED + LEFT)
        assert hub.heard[-3:] == [("subscribed", b"ch"), ("lost", b"ch"), ("read",)]
        asked = packed(("SSUBSCRIBE", "ch"))
        assert network.transports[0].written[1:] == [asked, asked]
        subscription.unsubscribe(b"ch")
        network.wires[0].data_received(LEFT)
        assert hub.heard[-2:] == [("read",), ("read",)]
        assert network.transports[0].written[3:] == [packed(("SUNSUBSCRIBE", "ch"))]
        running.cancel()

    run(scene())


@pytest.mark.parametrize("error", [OSError("away"), TimeoutError(), ResponseError("WRONGPASS")])
def test_a_redis_that_is_away_is_tried_after_pauses_that_grow_to_half_a_second(error: Exception) -> None:
    async def scene() -> None:
        network, hub = Network[_Wire](error=error), Hub()
        begun = _now()
        running = asyncio.create_task(Subscription("redis://", hub).run())
        await asyncio.sleep(2)
        assert [round(at - begun, 3) for at in network.times] == [0, 0.05, 0.15, 0.35, 0.75, 1.25, 1.75]
        network.error = None
        await asyncio.sleep(0.5)
        assert hub.heard.count(("up",)) == 1
        network.error, network.times[:] = error, []
        begun = _now()
        network.wires[-1].connection_lost(None)
        await asyncio.sleep(0.4)
        assert [round(at - begun, 3) for at in network.times] == [0, 0.05, 0.15, 0.35]
        running.cancel()

    run(scene())


def test_a_redis_that_does_not_answer_is_tried_again_after_two_seconds() -> None:
    async def scene() -> None:
        network, hub = Network[_Wire](answer=b""), Hub()
        running = asyncio.create_task(Subscription("redis://", hub).run())
        await asyncio.sleep(3)
        assert len(network.asked) == 2
        assert hub.heard == []
        running.cancel()

    run(scene())


def test_a_connection_that_is_silent_or_lost_is_closed_told_and_made_anew() -> None:
    async def scene() -> None:
        network, hub = Network[_Wire](), Hub()
        begun = _now()
        running = asyncio.create_task(Subscription("redis://", hub).run())
        await asyncio.sleep(7)
        assert [each for each in hub.heard if each != ("read",)] == [("up",), ("lost",), ("up",)]
        assert [round(at - begun, 2) for at in hub.times] == [0, 6, 6]
        assert [each.aborted for each in network.transports] == [True, False]
        running.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert hub.heard[-1] == ("lost",)
        assert network.transports[-1].aborted

    run(scene())
