"""Foreign pages in a browser: rebound names and other origins."""

import asyncio

import httpx2
import pytest

from api.access.gate import Open
from api.app import create_app
from api.settings import ApiSettings
from tests.harness.client import Client
from tests.harness.stack import until
from tests.system.http.conftest import Server
from tests.system.http.wire import Answer

LONG = "sim-1?tps=50&tokens=5000&ttft_ms=0&seed=6"


def asked(server: Server, method: str, path: str, **headers: str) -> Answer:
    with server.address.connect() as connection:
        connection.ask(path, method, **headers)
        return connection.answer()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "10.0.0.7", "[2001:db8::1]"]
)
def test_a_host_that_is_not_ours_gets_nothing(server: Server, ended: str, host: str) -> None:
    paths = ("/v1/generations", f"/v1/generations/{ended}", f"/v1/generations/{ended}/events", "/docs", "/nothing")
    for method, path in [("GET", path) for path in paths] + [("POST", "/v1/generations"), ("POST", "/v1/chat/stream")]:
        answer = asked(server, method, path, Host=host)
        assert (answer.status, answer.json["code"]) == (421, "host_not_allowed")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "a.localhost", "127.0.0.1:8000", "127.9.9.9", "[::1]:8000"]
)
def test_loopback_is_ours_by_any_name(server: Server, host: str) -> None:
    assert asked(server, "GET", "/v1/generations", Host=host).status == 200


def test_health_is_told_to_any_host(server: Server) -> None:
    for path in ("/healthz", "/readyz"):
        assert asked(server, "GET", path, Host="10.0.0.7:8000").status == 200


def test_a_viewer_that_joins_asks_for_our_host_too(server: Server, client: Client) -> None:
    """The generation is watched already, so the quick way in would let it in."""
    generation = client.submit(LONG)
    path = f"/v1/generations/{generation.id}/events"
    with server.address.connect() as first:
        first.ask(path)
        first.head()
        chunks = first.chunks()
        until(lambda: b'"type":"text"' in next(chunks), "a token has come")
        assert asked(server, "GET", path, Host="evil.example").status == 421
        with server.address.connect() as second:
            second.ask(path)
            head = second.head()
            assert (head.status, head.headers["x-content-type-options"]) == (200, "nosniff")
    client.cancel(generation.id)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 409),
        ({"Sec_Fetch_Site": "same-origin", "Origin": "null"}, 409),
        ({"Sec_Fetch_Site": "none"}, 409),
        ({"Origin": "http://localhost"}, 409),
        ({"Sec_Fetch_Site": "cross-site", "Origin": "http://localhost"}, 403),
        ({"Sec_Fetch_Site": "same-site", "Origin": "http://localhost:3000"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_a_page_of_another_origin_changes_nothing(
    server: Server, ended: str, headers: dict[str, str], status: int
) -> None:
    answer = asked(server, "POST", f"/v1/generations/{ended}/cancel", **headers)
    assert (answer.status, answer.json["code"]) == (status, "cross_site" if status == 403 else "already_ended")
    assert asked(server, "GET", f"/v1/generations/{ended}", **headers).status == 200


def test_nothing_that_is_answered_is_sniffed(server: Server, ended: str) -> None:
    path = f"/v1/generations/{ended}"
    over = server.address.get(path).json["last_event_id"]
    read = ("/healthz", "/readyz", path, f"{path}/events", "/nothing", "/docs", "/openapi.json", "/%")
    asking = [*(("GET", target) for target in read), ("PUT", path), ("POST", "/v1/generations")]
    answers = [asked(server, method, target) for method, target in asking]
    answers.append(asked(server, "GET", f"{path}/events", Last_Event_ID=over))
    answers.append(asked(server, "GET", path, Host="evil.example"))
    assert {answer.status for answer in answers} == {200, 204, 400, 404, 405, 415, 421}
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_on_another_server_it_is_the_same() -> None:
    settings = ApiSettings(host="0.0.0.0", allow_anonymous=True, allowed_hosts="Respool.example.com, [2001:db8::1]:443")
    transport = httpx2.ASGITransport(app=create_app(settings, Open()))

    async def status(host: str, **headers: str) -> int:
        async with httpx2.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            answer = await client.post("/nothing", headers=headers)
            assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
            return answer.status_code

    async def statuses() -> list[int]:
        ours = ("respool.example.com", "respool.example.com:8443", "[2001:db8::1]", "localhost")
        found = [await status(host) for host in ("evil.example", *ours)]
        return [*found, await status("localhost", Origin="http://evil.example")]

    assert asyncio.run(statuses()) == [421, 404, 404, 404, 404, 403]


def test_any_host_is_ours_where_it_listens_for_all_and_nothing_else_is_said() -> None:
    assert ApiSettings(host="0.0.0.0", allow_anonymous=True).effective_hosts is None
    assert ApiSettings(host="127.0.0.1", allowed_hosts="*").effective_hosts is None
    assert ApiSettings(host="::1").effective_hosts == frozenset()
