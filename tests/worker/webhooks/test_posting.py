"""One POST: where it goes, and where it does not."""

import asyncio
import socket
from collections.abc import Iterator

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from broker.webhooks import Allowance, allowances
from tests.harness.receiver import Receiver
from worker.webhooks.posting import Answer, Poster


class Names(AbstractResolver):
    """DNS that changes: each look-up gets the next of these addresses, and from then on the last."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        return [
            ResolveResult(
                hostname=host, host=each, port=port, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST
            )
            for each in found
        ]

    async def close(self) -> None:
        return None


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def post(
    url: str, names: Names | None = None, allow: str = "http", seconds: float = 5.0, times: int = 1
) -> list[Answer]:
    async def go() -> list[Answer]:
        allowed: frozenset[Allowance] = allowances(allow)
        poster = Poster(allowed, seconds, names)
        return [await poster.post(url, {"webhook-id": "x"}, b"{}") for _ in range(times)]

    return asyncio.run(go())


def test_a_name_that_leads_to_a_private_address_is_not_connected_to(receiver: Receiver) -> None:
    url = f"http://inside.example:{receiver.port}/"
    for addresses in (["127.0.0.1"], ["127.0.0.1", "127.0.0.2"]):
        assert post(url, Names(addresses)) == [Answer(None, "forbidden_address")]
    assert receiver.received == []


def test_a_name_that_leads_elsewhere_the_next_time_is_checked_again(receiver: Receiver) -> None:
    """Nothing is remembered of the first answer, neither the name's address nor the connection."""
    names = Names(["127.0.0.2"], ["10.0.0.1"], ["169.254.169.254"])
    url = f"http://rebound.example:{receiver.port}/"
    assert [each.trouble for each in post(url, names, "http loopback", times=3)] == [
        "unreachable", "forbidden_address", "forbidden_address",
    ]  # fmt: skip
    assert names.asked == 3


def test_of_several_addresses_only_those_that_are_allowed_are_connected_to(receiver: Receiver) -> None:
    url = f"http://both.example:{receiver.port}/"
    assert post(url, Names(["10.0.0.1", "127.0.0.1"]), "http loopback") == [Answer(204, None)]
    assert len(receiver.received) == 1


def test_of_several_addresses_each_is_checked(receiver: Receiver) -> None:
    url = f"http://both.example:{receiver.port}/"
    assert post(url, Names(["240.0.0.1", "127.0.0.1"])) == [Answer(None, "forbidden_address")]
    with_loopback = post(f"http://both.example:{receiver.port}/", Names(["127.0.0.2", "10.0.0.1"]), "http loopback")
    assert with_loopback == [Answer(None, "forbidden_address")]
    assert receiver.received == []


def test_an_address_in_the_url_is_checked_too_and_so_is_what_only_a_resolver_takes_for_one(receiver: Receiver) -> None:
    for host in ("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "2130706433"):
        assert post(f"http://{host}:{receiver.port}/") == [Answer(None, "forbidden_url")]
    assert post(f"http://localtest.example:{receiver.port}/", Names(["127.0.0.1"])) == [
        Answer(None, "forbidden_address")
    ]
    assert receiver.received == []


def test_what_was_allowed_when_it_was_accepted_may_not_be_any_more(receiver: Receiver) -> None:
    assert post(receiver.url("/"), allow="loopback") == [Answer(None, "forbidden_url")]


def test_no_proxy_of_the_environment_is_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert post(receiver.url("/"), allow="http loopback") == [Answer(204, None)]


def test_a_redirect_is_an_answer_and_a_pause_that_is_asked_for_is_told(receiver: Receiver) -> None:
    receiver.reactions = {
        "/moved": [(308, {"location": receiver.url("/elsewhere")})],
        "/busy": [(429, {"retry-after": "17"})],
        "/gone": [410],
    }
    assert post(receiver.url("/moved"), allow="http loopback") == [Answer(308, "redirected")]
    assert post(receiver.url("/busy"), allow="http loopback") == [Answer(429, "refused", 17.0)]
    assert post(receiver.url("/gone"), allow="http loopback") == [Answer(410, "gone")]
    assert receiver.at("/elsewhere") == []


def test_what_is_no_http_is_named(receiver: Receiver) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-nonsense\r\n\r\n")
        await writer.drain()
        writer.close()

    async def go() -> list[Answer]:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        allowed = allowances("http loopback")
        async with server:
            return [
                await Poster(allowed, 5.0).post(f"{scheme}://127.0.0.1:{port}/", {}, b"{}")
                for scheme in ("http", "https")
            ]

    assert [each.trouble for each in asyncio.run(go())] in (
        ["protocol_error", "tls_failed"], ["protocol_error", "unreachable"],
    )  # fmt: skip
