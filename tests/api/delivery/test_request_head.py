"""What a head must not be: a proxy and the API behind it read each request as one and the same."""

import pytest

from api.delivery.request_head import fault

OURS = (b"host", b"a.example:8080")
CHUNKED = (b"transfer-encoding", b"chunked")
LENGTH = (b"content-length", b"5")


@pytest.mark.parametrize(
    "host",
    [
        b"a",
        b"A.Example",
        b"a-b_c.example:80",
        b"127.0.0.1:8000",
        b"[::1]",
        b"[::FFFF:127.0.0.1]:80",
        b"a:",
        b"a.example.",
    ],
)
def test_a_host_is_a_name_or_an_address_and_a_port_where_there_is_one(host: bytes) -> None:
    assert fault(b"/", "1.1", [(b"host", host)]) is None


@pytest.mark.parametrize(
    "host", [b"", b":80", b"a b", b"a,b", b"a/b", b"u@a", b"a:80:80", b"a:8x", b"[::1", b"::1", b"[]", b"[g]", b"\xe9"]
)
def test_any_other_host_is_refused(host: bytes) -> None:
    for version in ("1.1", "1.0"):
        assert fault(b"/", version, [(b"host", host)]) == "Host is a name or an address, and a port where there is one."


def test_http_1_1_needs_a_host_and_1_0_does_not() -> None:
    assert fault(b"/", "1.1", []) == "HTTP/1.1 needs a Host."
    assert fault(b"/", "1.1", [(b"x-host", b"a")]) == "HTTP/1.1 needs a Host."
    assert fault(b"/", "1.0", []) is None


def test_no_other_version_is_spoken() -> None:
    for version in ("1.2", "2.0", "0.9"):
        assert fault(b"/", version, [OURS]) == "Only HTTP/1.1 and HTTP/1.0 are spoken here."
    for version in ("1.1", "1.0"):
        assert fault(b"/", version, [OURS]) is None


def test_what_frames_a_request_is_given_once_and_anything_else_as_often_as_one_likes() -> None:
    once = "Host, Content-Length and Transfer-Encoding are given at most once."
    for twice in (OURS, LENGTH, CHUNKED):
        assert fault(b"/", "1.1", [OURS, twice, twice]) == once
        assert fault(b"/", "1.1", [OURS, twice, (b"accept", b"a"), (twice[0], b"another")]) == once
    assert fault(b"/", "1.1", [OURS, (b"accept", b"a"), (b"accept", b"a")]) is None


def test_a_body_has_a_length_or_chunks() -> None:
    assert fault(b"/", "1.1", [OURS, LENGTH]) is None
    assert fault(b"/", "1.0", [OURS, LENGTH]) is None
    assert fault(b"/", "1.1", [OURS, CHUNKED]) is None
    assert fault(b"/", "1.1", [OURS, (b"transfer-encoding", b"Chunked")]) is None
    for coding in (b"gzip, chunked", b"gzip", b"identity", b"", b"chunked, chunked", b"chunked\x0b"):
        found = fault(b"/", "1.1", [OURS, (b"transfer-encoding", coding)])
        assert found == "The only Transfer-Encoding is `chunked`."
    assert fault(b"/", "1.1", [OURS, LENGTH, CHUNKED]) == "A body has a Content-Length or is chunked, not both."
    assert fault(b"/", "1.0", [OURS, CHUNKED]) == "HTTP/1.0 has no chunks."


@pytest.mark.parametrize(
    "target",
    [b"/", b"/v1/generations?after=%2f%20\\#..", b"//", b"/a?b?%2f", b"/a..b", b"/.a", b"/...", b"/a.", b"/a?/../b"],
)
def test_a_path_is_read_as_it_is_written_and_a_query_may_be_anything(target: bytes) -> None:
    assert fault(target, "1.1", [OURS]) is None
    assert fault(b"http://a.example:8080" + target, "1.1", [OURS]) is None


@pytest.mark.parametrize(
    "target",
    [b"/a%2fb", b"/%", b"/a\\b", b"/a#b", b"/.", b"/..", b"/./a", b"/a/..", b"/a/../b", b"/a%2f?b", b"/../a?b"],
)
def test_a_path_that_could_be_read_as_another_is_refused(target: bytes) -> None:
    wrong = "No path here has `%`, a backslash, `#`, or a segment of dots alone."
    assert fault(target, "1.1", [OURS]) == wrong
    assert fault(b"http://a.example:8080" + target, "1.1", [OURS]) == wrong


def test_an_absolute_target_names_the_host() -> None:
    for target in (b"HTTP://A.EXAMPLE:8080/", b"https://a.example:8080/v1?x"):
        assert fault(target, "1.1", [OURS]) is None
    assert fault(b"http://a.example/", "1.1", [(b"host", b"A.EXAMPLE")]) is None
    another = "The request line names another host than Host."
    for target in (b"http://b.example:8080/", b"http://a.example/", b"http:///", b"http://u@a.example:8080/"):
        assert fault(target, "1.1", [OURS]) == another
    assert fault(b"http://a.example:8080/", "1.0", []) == another


@pytest.mark.parametrize(
    "target", [b"*", b"a.example:8080", b"ftp://a.example:8080/", b"http://a.example:8080", b"?", b""]
)
def test_any_other_target_is_refused(target: bytes) -> None:
    assert fault(target, "1.1", [OURS]) == "The request line names a path that begins with a slash."
