"""Which hosts are answered for, and which pages may read and change something: one request at a time, without a server."""

import pytest

from api.access.origin import LOOPBACK, Header, Origins, is_loopback, name_of, origins_of
from api.intake.problems import Code

PAGE, HOST = b"https://app.example", b"api.example"
OURS: Header = (b"host", HOST)
ALLOW: Header = (b"access-control-allow-origin", PAGE)
EXPOSE: Header = (
    b"access-control-expose-headers",
    b"Location, Retry-After, Generation-Id, Respool-Generation, RateLimit, RateLimit-Policy, "
    b"X-Should-Retry, Request-Id, X-Workflow-Run-Id, X-Workflow-Stream-Tail-Index, "
    b"Stream-Next-Offset, Stream-Up-To-Date, Stream-Closed, Stream-Cursor, ETag",
)


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
        ("[::1]:80]", "::1"),
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
        ("https://app.example/://a", "no path"),
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
