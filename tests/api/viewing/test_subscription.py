"""The subscription of an API process, without a server: what it sends and when, what it tells of what comes, and when it gives
a connection up. On a clock that the test moves."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import hiredis
import pytest

from api.viewing.subscription import Subscription, _tls, _Wire
from tests.harness.clockwork import at_once

PING = b"*1\r\n$4\r\nPING\r\n"
MESSAGE = b"*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$3\r\none\r\n"
JOINED = b"*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n"
LEFT = b"*3\r\n$11\r\nunsubscribe\r\n$2\r\nch\r\n:0\r\n"
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

    def live_down(self) -> None:
        self.heard.append(("down",))
        self.times.append(_now())

    def subscribed(self, channel: bytes) -> None:
        self.heard.append(("subscribed", channel))

    def published(self, channel: bytes, payload: bytes) -> None:
        self.heard.append(("published", channel, payload))

    def read(self) -> None:
        self.heard.append(("read",))


class Transport:
    """`answers`: what comes back for each command, by its first word."""

    def __init__(self, answers: Callable[[bytes], None] = lambda _: None) -> None:
        self.written: list[bytes] = []
        self.closing = self.aborted = False
        self.answers = answers

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self.answers(data)

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.aborted = True


def _now() -> float:
    return asyncio.get_running_loop().time()


def packed(*words: str) -> bytes:
    return cast(bytes, hiredis.pack_command(words))  # type: ignore[arg-type]


def wire_of(hub: Hub) -> tuple[_Wire, Transport]:
    wire, transport = _Wire(hub), Transport()
    wire.connection_made(cast(asyncio.BaseTransport, transport))
    return wire, transport


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
        ([LEFT + PONG], [("read",)]),
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
        assert transport.written == [packed("ECHO", "word")]
        wire.data_received(MESSAGE)
        await asyncio.sleep(0)
        assert not asking.done()
        wire.data_received(b"+OK\r\n+once more, which answers nothing\r\n")
        await asking

    run(scene())


def test_an_error_is_raised_to_who_asked() -> None:
    async def scene() -> None:
        wire, _ = wire_of(Hub())
        asking = asyncio.create_task(wire.ask("AUTH", "wrong"))
        await asyncio.sleep(0)
        wire.data_received(b"-WRONGPASS invalid\r\n")
        with pytest.raises(hiredis.HiredisError, match="WRONGPASS"):
            await asking

    run(scene())


def test_who_asks_when_the_connection_is_lost_is_told() -> None:
    async def scene() -> None:
        wire, _ = wire_of(Hub())
        asking = asyncio.create_task(wire.ask("ECHO", ""))
        await asyncio.sleep(0)
        wire.connection_lost(None)
        with pytest.raises(ConnectionResetError):
            await asking

    run(scene())


def test_a_connection_that_is_lost_behind_an_answer_or_before_any_question_is_only_lost() -> None:
    async def scene() -> None:
        asked, _ = wire_of(Hub())
        asking = asyncio.create_task(asked.ask("ECHO", ""))
        await asyncio.sleep(0)
        asked.data_received(b"+OK\r\n")
        for wire in (asked, wire_of(Hub())[0]):
            wire.connection_lost(None)
            await asyncio.wait_for(wire.watch(), 0.001)
        await asking

    run(scene())


# ── what is sent ──


def test_nothing_is_sent_where_there_is_no_connection_or_one_that_closes() -> None:
    async def scene() -> None:
        wire = _Wire(Hub())
        wire.send("PING")
        wire.close()
        wire, transport = wire_of(Hub())
        transport.closing = True
        wire.send("PING")
        assert transport.written == []
        transport.closing = False
        wire.send("SUBSCRIBE", b"ch")
        assert transport.written == [packed("SUBSCRIBE", "ch")]
        assert not transport.aborted
        wire.close()
        assert transport.aborted

    run(scene())


def test_a_connection_on_which_nothing_comes_is_given_up_after_six_seconds_and_three_pings() -> None:
    async def scene() -> None:
        begun = _now()
        wire, transport = wire_of(Hub())
        await wire.watch()
        assert _now() - begun == pytest.approx(6)
        assert transport.written == [PING] * 3

    run(scene())


def test_a_connection_that_is_heard_of_is_pinged_every_two_seconds_and_kept() -> None:
    async def scene() -> None:
        wire, transport = wire_of(Hub())
        begun = _now()
        watching = asyncio.create_task(wire.watch())
        await asyncio.sleep(1)
        for _ in range(10):
            await asyncio.sleep(5)
            wire.data_received(PONG)
        assert not watching.done()
        assert len(transport.written) == 26
        await watching
        assert _now() - begun == pytest.approx(58)

    run(scene())


def test_a_loss_is_noticed_at_once() -> None:
    async def scene() -> None:
        wire, _ = wire_of(Hub())
        watching = asyncio.create_task(wire.watch())
        await asyncio.sleep(0.5)
        begun = _now()
        wire.connection_lost(None)
        await watching
        assert _now() == begun

    run(scene())


# ── connecting ──


class Network:
    """In place of the loop's two ways to connect: an `answer` to each command, or an error, or silence."""

    def __init__(self, *, answer: bytes = b"+OK\r\n", error: Exception | None = None) -> None:
        self.answer, self.error = answer, error
        self.asked: list[tuple[Any, ...]] = []
        self.transports: list[Transport] = []
        self.wires: list[_Wire] = []
        loop: Any = asyncio.get_running_loop()
        loop.create_connection, loop.create_unix_connection = self._tcp, self._unix

    async def _tcp(self, make: Callable[[], _Wire], host: str, port: int, *, ssl: Any) -> tuple[Any, _Wire]:
        return self._join(make, "tcp", host, port, ssl)

    async def _unix(self, make: Callable[[], _Wire], path: str) -> tuple[Any, _Wire]:
        return self._join(make, "unix", path)

    def _join(self, make: Callable[[], _Wire], *where: Any) -> tuple[Any, _Wire]:
        self.asked.append(where)
        if self.error is not None:
            raise self.error
        wire = make()

        def answer(command: bytes) -> None:
            if self.answer and b"SUBSCRIBE" not in command and b"PING" not in command:
                asyncio.get_running_loop().call_soon(wire.data_received, self.answer)

        transport = Transport(answer)
        wire.connection_made(cast(asyncio.BaseTransport, transport))
        self.transports.append(transport)
        self.wires.append(wire)
        return transport, wire


ECHO = packed("ECHO", "")


@pytest.mark.parametrize(
    ("url", "where", "sent"),
    [
        ("redis://", ("tcp", "localhost", 6379, None), [ECHO]),
        ("redis://there:7000/0", ("tcp", "there", 7000, None), [ECHO]),
        ("unix:///run/valkey.sock", ("unix", "/run/valkey.sock"), [ECHO]),
        ("redis://:secret@there", ("tcp", "there", 6379, None), [packed("AUTH", "secret"), ECHO]),
        ("redis://user:secret@there", ("tcp", "there", 6379, None), [packed("AUTH", "user", "secret"), ECHO]),
        ("unix://:secret@/run/valkey.sock", ("unix", "/run/valkey.sock"), [packed("AUTH", "secret"), ECHO]),
    ],
)
def test_it_connects_where_the_url_says_and_is_up_when_redis_answers(
    url: str, where: tuple[Any, ...], sent: list[bytes]
) -> None:
    async def scene() -> None:
        network, hub = Network(), Hub()
        running = asyncio.create_task(Subscription(url, hub).run())
        await asyncio.sleep(1)
        assert network.asked == [where]
        assert network.transports[0].written == [*sent, PING]
        assert hub.heard.count(("up",)) == 1
        running.cancel()

    run(scene())


def test_tls_is_for_who_asks_for_it() -> None:
    async def scene() -> None:
        network = Network()
        running = asyncio.create_task(Subscription("rediss://there", Hub()).run())
        await asyncio.sleep(1)
        ((*where, context),) = network.asked
        assert where == ["tcp", "there", 6379]
        assert isinstance(context, ssl.SSLContext)
        running.cancel()

    run(scene())


def test_a_channel_is_subscribed_while_there_is_a_connection_and_nothing_is_sent_where_there_is_none() -> None:
    async def scene() -> None:
        network, hub = Network(), Hub()
        subscription = Subscription("redis://", hub)
        subscription.subscribe(b"ch")
        subscription.unsubscribe(b"ch")
        running = asyncio.create_task(subscription.run())
        await asyncio.sleep(1)
        subscription.subscribe(b"ch")
        subscription.unsubscribe(b"ch")
        first = network.transports[0]
        assert first.written[2:] == [packed("SUBSCRIBE", "ch"), packed("UNSUBSCRIBE", "ch")]
        network.error = OSError("away")
        network.wires[0].connection_lost(None)
        await asyncio.sleep(1)
        sent = len(first.written)
        subscription.subscribe(b"ch")
        subscription.unsubscribe(b"ch")
        assert len(first.written) == sent
        running.cancel()

    run(scene())


@pytest.mark.parametrize("error", [OSError("away"), TimeoutError(), hiredis.HiredisError("WRONGPASS")])
def test_a_redis_that_is_away_is_tried_after_pauses_that_grow_to_half_a_second(error: Exception) -> None:
    async def scene() -> None:
        network, hub = Network(error=error), Hub()
        times: list[float] = []
        begun = _now()
        subscription = Subscription("redis://", hub)
        connect = subscription._connect

        async def noted() -> _Wire:
            times.append(round(_now() - begun, 3))
            return await connect()

        vars(subscription)["_connect"] = noted
        running = asyncio.create_task(subscription.run())
        await asyncio.sleep(2)
        assert times == [0, 0.05, 0.15, 0.35, 0.75, 1.25, 1.75]
        network.error = None
        await asyncio.sleep(0.5)
        assert hub.heard.count(("up",)) == 1
        network.error, times[:] = error, []
        begun = _now()
        network.wires[-1].connection_lost(None)
        await asyncio.sleep(0.4)
        assert times == [0, 0.05, 0.15, 0.35]
        running.cancel()

    run(scene())


def test_a_redis_that_does_not_answer_is_tried_again_after_two_seconds() -> None:
    async def scene() -> None:
        network, hub = Network(answer=b""), Hub()
        running = asyncio.create_task(Subscription("redis://", hub).run())
        await asyncio.sleep(3)
        assert len(network.asked) == 2
        assert hub.heard == []
        running.cancel()

    run(scene())


def test_a_connection_that_is_silent_or_lost_is_closed_told_and_made_anew() -> None:
    async def scene() -> None:
        network, hub = Network(), Hub()
        begun = _now()
        running = asyncio.create_task(Subscription("redis://", hub).run())
        await asyncio.sleep(7)
        assert [each for each in hub.heard if each != ("read",)] == [("up",), ("down",), ("up",)]
        assert [round(at - begun, 2) for at in hub.times] == [0, 6, 6]
        assert [each.aborted for each in network.transports] == [True, False]
        running.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert hub.heard[-1] == ("down",)
        assert network.transports[-1].aborted

    run(scene())


# ── TLS ──


class Context(SimpleNamespace):
    chain: tuple[str | None, ...] | None = None

    def load_cert_chain(self, certificate: str, key: str | None) -> None:
        self.chain = (certificate, key)


@pytest.mark.parametrize(
    ("where", "checks", "mode"),
    [
        ({}, True, ssl.CERT_REQUIRED),
        ({"ssl_cert_reqs": "required"}, True, ssl.CERT_REQUIRED),
        ({"ssl_cert_reqs": "OPTIONAL"}, True, ssl.CERT_OPTIONAL),
        ({"ssl_cert_reqs": "none"}, False, ssl.CERT_NONE),
        ({"ssl_cert_reqs": "of a kind we do not know"}, True, ssl.CERT_REQUIRED),
        ({"ssl_check_hostname": False}, False, ssl.CERT_REQUIRED),
    ],
)
def test_a_certificate_is_asked_for_as_the_url_says(
    monkeypatch: pytest.MonkeyPatch, where: dict[str, Any], *, checks: bool, mode: ssl.VerifyMode
) -> None:
    monkeypatch.setattr(ssl, "create_default_context", lambda **how: Context(how=how))
    context: Any = _tls({"ssl_ca_certs": "ca.pem", **where})
    assert (context.check_hostname, context.verify_mode) == (checks, mode)
    assert context.how == {"cafile": "ca.pem"}
    assert context.chain is None


@pytest.mark.parametrize("key", [None, "own.key"])
def test_a_certificate_of_our_own_is_shown(monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    monkeypatch.setattr(ssl, "create_default_context", lambda **how: Context(how=how))
    context: Any = _tls({"ssl_certfile": "own.pem"} | ({"ssl_keyfile": key} if key else {}))
    assert context.how == {"cafile": None}
    assert context.chain == ("own.pem", key)
