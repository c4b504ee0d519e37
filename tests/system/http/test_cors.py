"""Pages of other origins that may read the API: what each answer tells their browser, whoever makes it."""

import asyncio
import sys
from types import SimpleNamespace
from typing import NoReturn

import httpx2
import pytest

from api.__main__ import main
from api.access.gate import Open
from api.access.origin import SENT_BY_SDKS, Origins, origins_of
from api.app import create_app
from api.delivery.fast_path import FAST_PATH
from api.intake.problems import Code, Problem
from api.settings import ApiSettings
from tests.harness.client import Client
from tests.harness.stack import until
from tests.system.http.conftest import PAGE, Server
from tests.system.http.wire import Address, Answer

LONG = "sim-1?tps=50&tokens=5000&ttft_ms=0&seed=6"
BODY = {"model": "sim-1?tps=0&tokens=5&ttft_ms=0", "messages": [{"role": "user", "content": "?"}]}
ALLOW = "access-control-allow-origin"
EXPOSED = (
    "Location, Retry-After, Generation-Id, Respool-Generation, RateLimit, RateLimit-Policy, "
    "X-Should-Retry, Request-Id, X-Workflow-Run-Id, X-Workflow-Stream-Tail-Index, "
    "Stream-Next-Offset, Stream-Up-To-Date, Stream-Closed, Stream-Cursor, ETag"
)


def asked(server: Server, method: str, path: str, body: object = None, **headers: str) -> Answer:
    with server.address.connect() as connection:
        connection.ask(path, method, body, **headers)
        return connection.answer()


def of_all_kinds(server: Server, ended: str, **headers: str) -> list[Answer]:
    """One of each status that needs no broken storage, each on a connection of its own."""
    path = f"/v1/generations/{ended}"
    over = server.address.get(path).json["last_event_id"]
    read = ("/healthz", path, f"{path}/events", "/docs", "/openapi.json", "/nothing", "/v1/generations/gen_1", "/%")
    answers = [asked(server, "GET", target, **headers) for target in read]
    answers.append(asked(server, "GET", f"{path}/events", Last_Event_ID=over, **headers))
    answers.append(asked(server, "GET", path, Accept="text/plain", **headers))
    answers.append(asked(server, "GET", path, Host="evil.example", **headers))
    answers.append(asked(server, "GET", path, **headers, X="a" * 40_000))
    return [*answers, asked(server, "OPTIONS", path, **headers)]


STATUSES = [200, 200, 200, 200, 200, 404, 404, 400, 204, 406, 421, 431, 405]


def test_every_answer_lets_its_page_read_it(server: Server, ended: str) -> None:
    answers = of_all_kinds(server, ended, Origin=PAGE)
    assert [answer.status for answer in answers] == STATUSES
    for answer in answers:
        assert (answer.headers[ALLOW], answer.headers["access-control-expose-headers"]) == (PAGE, EXPOSED)
        assert answer.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "https://evil.example"}, {"Origin": PAGE + "."}, {"Origin": "null"}]
)
def test_no_answer_lets_another_page_read_it_and_no_cache_mixes_them_up(
    server: Server, ended: str, headers: dict[str, str]
) -> None:
    answers = of_all_kinds(server, ended, **headers)
    assert [answer.status for answer in answers] == STATUSES
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["vary"] == "Origin"


def test_its_page_may_submit_follow_and_cancel(server: Server) -> None:
    foreign = {"Origin": PAGE, "Sec_Fetch_Site": "cross-site"}
    submitted = asked(server, "POST", "/v1/generations", BODY, **foreign)
    followed = asked(server, "POST", "/v1/generations", BODY, Accept="text/event-stream", **foreign)
    chat = asked(server, "POST", "/v1/chat/stream", BODY, **foreign)
    cancelled = asked(server, "POST", chat.headers["location"] + "/cancel", **foreign)
    refused = asked(server, "POST", "/v1/generations", {}, **foreign)
    answers = [submitted, followed, chat, cancelled, refused]
    assert [answer.status for answer in answers] == [202, 200, 200, 409, 422]
    assert {answer.headers[ALLOW] for answer in answers} == {PAGE}
    assert "location" in submitted.headers


def test_a_viewer_that_joins_may_read_its_stream(server: Server, client: Client) -> None:
    generation = client.submit(LONG)
    path = f"/v1/generations/{generation.id}/events"
    with server.address.connect() as first:
        first.ask(path, Origin=PAGE)
        assert first.head().headers[ALLOW] == PAGE
        chunks = first.chunks()
        until(lambda: b'"type":"text"' in next(chunks), "a token has come")
        for origin, allowed in ((PAGE, PAGE), ("https://evil.example", None)):
            with server.address.connect() as second:
                second.ask(path, Origin=origin)
                head = second.head()
                assert (head.status, head.headers.get(ALLOW), head.headers["vary"]) == (200, allowed, "Origin")
    client.cancel(generation.id)


def test_a_browser_that_asks_first_is_told_what_the_page_may_send(server: Server) -> None:
    asks = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "last-event-id"}
    for path in ("/v1/generations", "/v1/generations/gen_1/events", "/nothing"):
        told = asked(server, "OPTIONS", path, Origin=PAGE, **asks)
        assert (told.status, told.headers[ALLOW], told.headers["vary"]) == (204, PAGE, "Origin")
        assert told.headers["access-control-allow-methods"] == "GET, POST, DELETE"
        assert (
            told.headers["access-control-allow-headers"]
            == f"Content-Type, Accept, Last-Event-ID, Idempotency-Key, Authorization, X-Api-Key, {', '.join(SENT_BY_SDKS)}"
        )
        assert told.headers["access-control-max-age"] == "600"
    foreign = asked(server, "OPTIONS", "/v1/generations", Origin="https://evil.example", **asks)
    rebound = asked(server, "OPTIONS", "/v1/generations", Origin=PAGE, Host="evil.example", **asks)
    plain = asked(server, "OPTIONS", "/v1/generations", Origin=PAGE)
    assert [answer.status for answer in (foreign, rebound, plain)] == [405, 421, 405]
    assert ALLOW not in foreign.headers


def raw(address: Address, request: bytes) -> Answer:
    with address.connect() as connection:
        connection.socket.sendall(request)
        return connection.answer()


def test_a_head_that_is_refused_before_its_origin_was_read_is_answered_for_nobody(server: Server) -> None:
    origin, wrong = f"Origin: {PAGE}\r\nAccept: */*\r\n".encode(), b"Bad Name: x\r\n"
    begin = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    known = raw(server.address, begin + origin + wrong + b"\r\n")
    unknown = raw(server.address, begin + wrong + origin + b"\r\n")
    assert (known.status, known.headers.get(ALLOW)) == (400, PAGE)
    assert (unknown.status, unknown.headers.get(ALLOW), unknown.headers["vary"]) == (400, None, "Origin")


def test_what_is_refused_behind_another_page_s_request_is_answered_for_its_own(server: Server, ended: str) -> None:
    """On one connection, as through a proxy: each answer is for the origin of its own request."""
    first = f"GET /v1/generations/{ended}/events HTTP/1.1\r\nHost: localhost\r\nOrigin: {PAGE}\r\n\r\n"
    second = "GET /% HTTP/1.1\r\nHost: localhost\r\nOrigin: {}\r\n\r\n"
    for origins in ((PAGE, "https://evil.example"), ("https://evil.example", PAGE)):
        with server.address.connect() as connection:
            connection.socket.sendall((first.replace(PAGE, origins[0]) + second.format(origins[1])).encode())
            answers = [connection.answer(), connection.answer()]
        assert [answer.status for answer in answers] == [200, 400]
        assert [answer.headers.get(ALLOW) for answer in answers] == [each if each == PAGE else None for each in origins]


def test_on_another_server_it_is_the_same_for_what_breaks_too() -> None:
    app = create_app(ApiSettings(cors_origins=PAGE), Open())

    async def with_state(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        await app({**scope, "state": {FAST_PATH: SimpleNamespace(admit=lambda *_, **_who: None)}}, receive, send)

    def refuse() -> NoReturn:
        raise Problem(Code.DRAINING)

    app.state.cells = SimpleNamespace(ready=refuse)
    transport = httpx2.ASGITransport(app=with_state, raise_app_exceptions=False)

    async def answers() -> list[httpx2.Response]:
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://localhost", headers={"Origin": PAGE}
        ) as client:
            asks = {"Access-Control-Request-Method": "POST"}
            preflight = await client.options("/v1/generations", headers=asks)
            return [*[await client.get(path) for path in ("/v1/generations", "/readyz", "/healthz")], preflight]

    found = asyncio.run(answers())
    assert [answer.status_code for answer in found] == [500, 503, 200, 204]
    for answer in found:
        assert answer.headers.get_list(ALLOW) == [PAGE]
        assert answer.headers.get_list("vary") == ["Origin"]
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]


def test_where_no_origin_is_named_nothing_is_said_of_any() -> None:
    for named in (None, "", " , "):
        origins = Origins(None, ApiSettings(cors_origins=named).other_origins)
        assert origins.sharing([(b"origin", b"http://localhost:3000")]) == ()
        assert b"vary" not in dict(origins.standing)


@pytest.mark.parametrize(
    ("origin", "known"),
    [
        ("http://localhost", True),
        ("https://localhost:3000", True),
        ("http://a.localhost:1", True),
        ("http://127.9.9.9:5173", True),
        ("http://[::1]:5173", True),
        ("https://app.example:8443", True),
        ("https://app.example", False),
        ("http://app.example:8443", False),
        ("http://localhost.evil.example", False),
        ("http://evil.example/localhost", False),
        ("http://evil.example:1@localhost", False),
        ("http://localhost:1@evil.example", False),
        ("http://[::1].evil.example", False),
        ("http://localhost:", False),
        ("app://localhost", False),
        ("localhost", False),
        ("loopback", False),
        ("null", False),
        ("", False),
        ("http://localhost\xe9", False),
    ],
)
def test_the_word_loopback_stands_for_any_port_of_this_machine_and_a_name_for_itself(origin: str, known: bool) -> None:
    origins = Origins(None, origins_of("loopback, https://App.Example:8443"))
    header = (b"origin", origin.encode("latin-1"))
    assert bool(origins.sharing([header])) is known
    assert (origins.refusal("POST", "/", [(b"host", b"localhost:8000"), header]) is None) is known
    assert origins.sharing([header, header]) == ()


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("*", "`*` would let any page read and spend"),
        ("https://*.example.com", "`*` would let any page read and spend"),
        ("https://app.example, null", "`null` is the origin of any sandboxed page"),
        ("app.example", "begins with its scheme"),
        ("localhost:3000", "begins with its scheme"),
        ("https://app.example/", "no path, and no slash at its end"),
        ("https://app.example/page", "no path, and no slash at its end"),
        ("https://", "scheme://host or scheme://host:port"),
        ("https://user@app.example", "scheme://host or scheme://host:port"),
        ("https://app.example?x", "scheme://host or scheme://host:port"),
        ("https://app.example http://localhost", "no path, and no slash at its end"),
        ("https://b\xfccher.example", "scheme://host or scheme://host:port"),
        ("https://app.example:443", "browsers leave a scheme's own port out"),
        ("http://app.example:80", "browsers leave a scheme's own port out"),
    ],
)
def test_an_origin_that_no_browser_sends_stops_the_process_at_its_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], named: str, said: str
) -> None:
    monkeypatch.setenv("RESPOOL_CORS_ORIGINS", named)
    monkeypatch.setattr(sys, "argv", ["api"])
    assert main() == 1
    told = capsys.readouterr().err
    assert told.startswith("api: RESPOOL_CORS_ORIGINS: ")
    assert said in told
