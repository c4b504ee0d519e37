"""A connection of our own to Redis, without a server: what is sent, whose reply is whose, and when it is given up. On a clock
that the test moves."""

import asyncio
import ssl
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ResponseError

from broker.refusals import SilentError
from broker.store.address import address_of
from broker.store.wire import Wire, _tls, open_wire, packed
from tests.harness.clockwork import at_once
from tests.harness.network import Network, connected

ECHO = packed(("ECHO", ""))


def _now() -> float:
    return asyncio.get_running_loop().time()


def test_an_exchange_has_as_many_replies_as_commands_in_order_however_they_come() -> None:
    async def scene() -> None:
        wire = Wire()
        transport = connected(wire)
        for pieces in ([b":1\r\n-ERR x\r\n*1\r\n:3\r\n"], [b":", b"1\r", b"\n-ERR x\r\n", b"*1\r\n", b":3\r\n"]):
            asking = asyncio.create_task(wire.exchange(b"commands", 3))
            await asyncio.sleep(0)
            assert transport.written.pop() == b"commands"
            for piece in pieces:
                assert not asking.done()
                wire.data_received(piece)
            one, error, three = await asking
            assert (one, three) == (1, [3])
            assert isinstance(error, ResponseError)
            assert str(error) == "ERR x"

    at_once(scene())


def test_an_error_is_raised_to_who_asks_one_thing() -> None:
    async def scene() -> None:
        wire = Wire()
        connected(wire)
        asking = asyncio.create_task(wire.ask("AUTH", "wrong"))
        await asyncio.sleep(0)
        wire.data_received(b"-WRONGPASS invalid\r\n")
        with pytest.raises(ResponseError, match="WRONGPASS"):
            await asking

    at_once(scene())


def test_who_waits_when_the_connection_is_lost_is_told_and_so_is_who_comes_later() -> None:
    async def scene() -> None:
        wire = Wire()
        connected(wire)
        asking = asyncio.create_task(wire.exchange(b"x", 1))
        await asyncio.sleep(0)
        wire.connection_lost(None)
        with pytest.raises(ConnectionResetError):
            await asking
        for gone in (wire, Wire()):
            with pytest.raises(ConnectionResetError):
                await gone.exchange(b"x", 1)

    at_once(scene())


def test_a_connection_that_is_lost_behind_an_answer_or_before_any_question_is_only_lost() -> None:
    async def scene() -> None:
        asked, unasked = Wire(), Wire()
        connected(asked)
        connected(unasked)
        asking = asyncio.create_task(asked.ask("ECHO", ""))
        await asyncio.sleep(0)
        asked.data_received(b"+OK\r\n")
        for wire in (asked, unasked):
            wire.connection_lost(None)
            assert wire.lost.is_set()
        assert await asking == "OK" or await asking == b"OK"

    at_once(scene())


def test_who_leaves_an_exchange_takes_the_connection_along_as_its_replies_would_be_anothers() -> None:
    async def scene() -> None:
        wire = Wire()
        transport = connected(wire)
        asking = asyncio.create_task(wire.exchange(b"x", 1))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking})
        assert asking.cancelled()
        assert transport.aborted

    at_once(scene())


def test_nothing_is_sent_where_there_is_no_connection_or_one_that_closes() -> None:
    async def scene() -> None:
        wire = Wire()
        wire.send(b"PING")
        wire.close()
        transport = connected(wire)
        transport.closing = True
        wire.send(b"PING")
        assert transport.written == []
        transport.closing = False
        wire.send(b"PING")
        assert transport.written == [b"PING"]
        assert not transport.aborted
        wire.close()
        assert transport.aborted

    at_once(scene())


def test_an_exchange_that_is_not_answered_within_four_seconds_is_given_up_and_one_that_is_answered_bit_by_bit_is_not() -> (
    None
):
    async def scene() -> None:
        wire = Wire()
        transport = connected(wire)
        await asyncio.sleep(0.5)
        begun = _now()
        asking = asyncio.create_task(wire.exchange(b"x", 1))
        for byte in b"$20\r\n":
            await asyncio.sleep(3)
            wire.data_received(bytes((byte,)))
        assert not asking.done()
        with pytest.raises(SilentError):
            await asking
        assert _now() - begun == pytest.approx(5 * 3 + 3.5)
        assert transport.aborted

    at_once(scene())


def test_a_connection_of_which_nothing_is_asked_is_kept() -> None:
    async def scene() -> None:
        wire = Wire()
        transport = connected(wire)
        await asyncio.sleep(3600)
        asking = asyncio.create_task(wire.exchange(b"x", 1))
        await asyncio.sleep(2.5)
        wire.data_received(b":1\r\n")
        assert await asking == [1]
        assert not transport.aborted

    at_once(scene())


def test_what_nobody_waits_for_is_passed_over_and_a_connection_may_be_lost_before_it_is_made() -> None:
    async def scene() -> None:
        wire, never = Wire(), Wire()
        connected(wire)
        wire.data_received(b"+hello\r\n")
        wire.replied(b"hello")
        asking = asyncio.create_task(wire.exchange(b"x", 2))
        await asyncio.sleep(0)
        for reply in (1, 2):
            assert not asking.done()
            wire.replied(reply)
            await asyncio.sleep(0)
        assert await asking == [1, 2]
        wire.data_received(b"+more\r\n")
        never.connection_lost(None)
        assert never.lost.is_set()

    at_once(scene())


def test_a_connection_that_is_lost_ticks_no_more() -> None:
    async def scene() -> None:
        wire = Wire()
        connected(wire)
        wire.connection_lost(None)
        assert wire._timer is not None
        assert wire._timer.cancelled()

    at_once(scene())


def test_who_waits_when_the_connection_is_closed_is_told_at_once() -> None:
    async def scene() -> None:
        wire = Wire()
        connected(wire)
        asking = asyncio.create_task(wire.exchange(b"x", 1))
        await asyncio.sleep(0)
        wire.close()
        with pytest.raises(ConnectionResetError, match=r"^closed$"):
            await asking

    at_once(scene())


def test_silence_counts_from_when_something_is_due() -> None:
    class Owing(Wire):
        owes = False

        def due(self) -> bool:
            return self.owes

    async def scene() -> None:
        wire = Owing()
        transport = connected(wire)
        await asyncio.sleep(10.5)
        wire.owes = True
        await asyncio.sleep(3)
        assert not transport.aborted
        await asyncio.sleep(0.6)
        assert transport.aborted

    at_once(scene())


# ── connecting ──


@pytest.mark.parametrize(
    ("url", "where", "sent"),
    [
        ("redis://", ("tcp", "localhost", 6379, None), [ECHO]),
        ("redis://there:7000/0", ("tcp", "there", 7000, None), [ECHO]),
        ("redis://there:7000/3", ("tcp", "there", 7000, None), [packed(("SELECT", "3")), ECHO]),
        ("unix:///run/valkey.sock", ("unix", "/run/valkey.sock"), [ECHO]),
        ("redis://:secret@there/1", ("tcp", "there", 6379, None), [packed(("AUTH", "secret")), packed(("SELECT", "1")), ECHO]),
        ("redis://user:secret@there", ("tcp", "there", 6379, None), [packed(("AUTH", "user", "secret")), ECHO]),
        ("unix://:secret@/run/valkey.sock", ("unix", "/run/valkey.sock"), [packed(("AUTH", "secret")), ECHO]),
    ],
)  # fmt: skip
def test_it_connects_where_the_url_says_and_logs_in(url: str, where: tuple[Any, ...], sent: list[bytes]) -> None:
    async def scene() -> None:
        network = Network[Wire]()
        await open_wire(address_of(url), Wire)
        assert network.asked == [where]
        assert network.transports[0].written == sent

    at_once(scene())


def test_tls_is_for_who_asks_for_it() -> None:
    async def scene() -> None:
        network = Network[Wire]()
        await open_wire(address_of("rediss://there"), Wire)
        ((*where, context),) = network.asked
        assert where == ["tcp", "there", 6379]
        assert isinstance(context, ssl.SSLContext)

    at_once(scene())


def test_a_redis_that_does_not_answer_is_given_up_after_two_seconds_and_one_that_refuses_at_once() -> None:
    async def scene() -> None:
        network, begun = Network[Wire](answer=b""), _now()
        with pytest.raises(SilentError):
            await open_wire(address_of("redis://"), Wire)
        assert _now() - begun == pytest.approx(2)
        network.answer = b"-NOAUTH Authentication required.\r\n"
        with pytest.raises(ResponseError, match="NOAUTH"):
            await open_wire(address_of("redis://"), Wire)
        network.error = OSError("away")
        with pytest.raises(OSError, match="away"):
            await open_wire(address_of("redis://"), Wire)
        assert [each.aborted for each in network.transports] == [True, True]

    at_once(scene())


async def _wait_for(moved: asyncio.Event) -> None:
    await moved.wait()


def test_a_connection_ends_when_its_server_is_there_no_more() -> None:
    async def scene() -> None:
        network, moved = Network[Wire](), asyncio.Event()
        wire = await open_wire(address_of("redis://"), Wire)
        wire.end_with(_wait_for(moved))
        await asyncio.sleep(1)
        assert not network.transports[0].aborted
        moved.set()
        await asyncio.sleep(1)
        assert network.transports[0].aborted

    at_once(scene())


def test_nobody_looks_after_a_connection_that_is_lost() -> None:
    async def scene() -> None:
        for already_lost in (False, True):
            network, before = Network[Wire](), asyncio.all_tasks()
            wire = await open_wire(address_of("redis://"), Wire)
            if already_lost:
                wire.connection_lost(None)
            wire.end_with(_wait_for(asyncio.Event()))
            assert bool(asyncio.all_tasks() - before) is not already_lost
            wire.connection_lost(None)
            await asyncio.sleep(1)
            assert asyncio.all_tasks() == before
            assert network.transports

    at_once(scene())


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
