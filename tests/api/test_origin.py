"""Which hosts are answered for, and which pages may read and change something: one request at a time, without a server."""

import asyncio
from typing import Any

import pytest

from api.direct import CUT
from api.guard import Guard
from api.origin import LOOPBACK, PREFLIGHT, Header, Origins, is_loopback, name_of, origins_of
from api.problems import Code

PAGE, HOST = b"https://app.example", b"api.example"
OURS: Header = (b"host", HOST)
NOSNIFF, VARY = (b"x-content-type-options", b"nosniff"), (b"vary", b"Origin")
ALLOW: Header = (b"access-control-allow-origin", PAGE)
EXPOSE: Header = (b"access-control-expose-headers", b"Location, Retry-After, Generation-Id")


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_known_by_name_and_by_address(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "localhost.example", "alocalhost", "128.0.0.1", "::2", "example.com", "0.0.0.0"])
def test_nothing_else_is_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_a_host_is_its_name_without_case_port_brackets_and_last_dot() -> None:
    for host, name in (
        (" API.example:80 ", "api.example"),
        ("api.example.", "api.example"),
        ("api.example.:80", "api.example"),
        ("[::1]:80", "::1"),
        ("[::1]", "::1"),
        ("a:1:2", "a"),
    ):
        assert name_of(host) == name


def refusal(origins: Origins, *headers: Header, method: str = "POST", path: str = "/v1/generations") -> Code | None:
    return origins.refusal(method, path, headers)


def test_only_the_named_hosts_and_loopback_are_answered_for_but_health_is_told_to_any() -> None:
    origins = Origins(frozenset({"api.example"}))
    for host in (HOST, b"API.Example:443", b"localhost", b"[::1]:8000", b""):
        assert refusal(origins, (b"host", host)) is None
    for host in (b"evil.example", b"api.example.evil", b"\xe9"):
        for method in ("GET", "POST"):
            assert refusal(origins, (b"host", host), method=method) is Code.HOST_NOT_ALLOWED
        for path in ("/healthz", "/readyz"):
            assert refusal(origins, (b"host", host), method="GET", path=path) is None
    assert refusal(origins) is None
    assert refusal(Origins(None), (b"host", b"any.example")) is None
    assert refusal(Origins(frozenset()), OURS) is Code.HOST_NOT_ALLOWED


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ((), True),
        (((b"origin", b"https://api.example"),), True),
        (((b"origin", b"HTTP://API.EXAMPLE"),), True),
        (((b"origin", b"https://evil.example"),), False),
        (((b"origin", b"null"),), False),
        (((b"origin", b"api.example"),), False),
        (((b"origin", b"https://api.example"), (b"origin", b"https://api.example")), False),
        (((b"sec-fetch-site", b"same-origin"),), True),
        (((b"sec-fetch-site", b"none"),), True),
        (((b"sec-fetch-site", b"same-site"),), False),
        (((b"sec-fetch-site", b"cross-site"),), False),
        (((b"sec-fetch-site", b"cross-site"), (b"origin", b"https://api.example")), False),
        (((b"sec-fetch-site", b"same-origin"), (b"origin", b"https://evil.example")), True),
        (((b"sec-fetch-site", b"cross-site"), (b"origin", PAGE)), True),
        (((b"sec-fetch-site", b"cross-site"), (b"origin", PAGE), (b"origin", PAGE)), False),
    ],
)
def test_a_page_of_another_origin_that_is_not_named_changes_nothing(headers: tuple[Header, ...], own: bool) -> None:
    origins = Origins(None, frozenset({PAGE.decode()}))
    assert refusal(origins, (b"host", b"API.example"), *headers) is (None if own else Code.CROSS_SITE)
    for method in ("GET", "HEAD", "OPTIONS"):
        assert refusal(origins, OURS, *headers, method=method) is None


def test_a_page_may_read_if_its_origin_is_named_exactly() -> None:
    named, loopback, none = (
        Origins(None, frozenset({PAGE.decode()})),
        Origins(None, frozenset({LOOPBACK})),
        Origins(None),
    )
    assert named.sharing([OURS, (b"origin", PAGE)]) == (ALLOW, EXPOSE)
    for origin in (
        b"http://app.example",
        PAGE + b":8443",
        PAGE.upper(),
        b"https://app.example.evil",
        b"null",
        b"loopback",
    ):
        assert named.sharing([(b"origin", origin)]) == ()
    assert named.sharing([(b"origin", PAGE)] * 2) == named.sharing([OURS]) == none.sharing([(b"origin", PAGE)]) == ()
    for origin in (b"http://localhost:3000", b"https://127.0.0.1", b"http://[::1]:80", b"http://a.localhost"):
        assert loopback.sharing([(b"origin", origin)]) == ((ALLOW[0], origin), EXPOSE)
        assert refusal(loopback, OURS, (b"origin", origin)) is None
        assert named.sharing([(b"origin", origin)]) == ()
    for origin in (b"ftp://localhost", b"http://localhost.example", b"http://localhost/", b"loopback", PAGE):
        assert loopback.sharing([(b"origin", origin)]) == ()


def test_origins_are_named_with_commas_between() -> None:
    assert origins_of(" HTTPS://App.example , loopback,,http://[::1]:3000 ") == {
        PAGE.decode(),
        LOOPBACK,
        "http://[::1]:3000",
    }
    assert origins_of("") == frozenset()


@pytest.mark.parametrize(
    ("origin", "wrong"),
    [
        ("*", "`*`"),
        ("https://*.example", "`*`"),
        ("null", "`null`"),
        ("app.example", "begins with its scheme"),
        ("https://app.example/", "no path"),
        ("https://app.example/a", "no path"),
        ("https://app example", "in ASCII"),
        ("https://é.example", "in ASCII"),
        ("https://u@app.example", "in ASCII"),
        ("http://app.example:80", "own port"),
        ("https://app.example:443", "own port"),
    ],
)
def test_what_is_no_origin_is_refused_with_the_reason(origin: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong.replace("*", r"\*")):
        origins_of(f"https://fine.example,{origin}")


def answered(origins: Origins, *headers: Header, method: str = "GET", ours: bool = False) -> tuple[int, list[Header]]:
    """Status and headers of what comes through the guard; the application answers 200 with a header of its own."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["method"] == method
        await send({"type": "http.response.start", "status": 200, "headers": [(b"own", b"1")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": "/", "headers": headers}
    asyncio.run(Guard(app, origins)(scope | ({"extensions": {CUT: {}}} if ours else {}), None, send))  # type: ignore[arg-type]
    return sent[0]["status"], list(sent[0]["headers"])


def test_every_answer_has_the_standing_headers_unless_the_server_adds_them() -> None:
    plain, shared = Origins(None), Origins(None, frozenset({PAGE.decode()}))
    assert answered(plain, OURS) == (200, [(b"own", b"1"), NOSNIFF])
    assert answered(shared, OURS) == (200, [(b"own", b"1"), NOSNIFF, VARY])
    assert answered(shared, OURS, (b"origin", PAGE)) == (200, [(b"own", b"1"), NOSNIFF, VARY, ALLOW, EXPOSE])
    assert answered(shared, OURS, (b"origin", PAGE), ours=True) == (200, [(b"own", b"1")])


def test_a_refusal_has_them_too_and_ends_the_connection() -> None:
    status, headers = answered(Origins(frozenset()), OURS)
    assert status == 421
    assert (b"connection", b"close") in headers
    assert headers[-1] == NOSNIFF


def test_a_preflight_is_answered_if_its_page_is_named() -> None:
    asks = (b"access-control-request-method", b"POST")
    named = Origins(None, frozenset({PAGE.decode()}))
    status, headers = answered(named, OURS, (b"origin", PAGE), asks, method="OPTIONS")
    assert (status, headers) == (204, [*PREFLIGHT, NOSNIFF, VARY, ALLOW, EXPOSE])
    assert PREFLIGHT == (
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", b"Content-Type, Accept, Last-Event-ID, Idempotency-Key, Authorization"),
        (b"access-control-max-age", b"600"),
    )
    for origins, method, given in (
        (named, "GET", (OURS, (b"origin", PAGE), asks)),
        (named, "OPTIONS", (OURS, (b"origin", PAGE))),
        (named, "OPTIONS", (OURS, (b"origin", b"https://evil.example"), asks)),
        (named, "OPTIONS", (OURS, asks)),
        (Origins(None), "OPTIONS", (OURS, (b"origin", PAGE), asks)),
    ):
        assert answered(origins, *given, method=method)[0] == 200


def test_what_is_no_request_goes_on_as_it_is() -> None:
    gone: list[Any] = []

    async def app(*call: Any) -> None:
        gone.append(call)

    call = ({"type": "lifespan"}, 1, 2)
    asyncio.run(Guard(app, Origins(frozenset()))(*call))  # type: ignore[arg-type]
    assert gone == [call]
