"""Requests that two readers could take differently, and what comes behind them: answered once, and the connection is over."""

import json

import pytest

from tests.harness.client import check_log
from tests.system.http.conftest import Server
from tests.system.http.wire import Answer, Connection

HOST = b"Host: localhost\r\n"
SECOND = b"GET /v1/generations?smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
JSON = b"Content-Type: application/json\r\n"
SUBMIT = json.dumps(
    {"model": "sim-1?tps=0&tokens=5&ttft_ms=0", "messages": [{"role": "user", "content": "Tell me."}]}
).encode()


def only_answer(server: Server, *parts: bytes) -> Answer:
    """The one answer to what is sent, part by part; fails if anything comes behind it."""
    with server.address.connect() as connection:
        for part in parts:
            connection.socket.sendall(part)
        return last_answer(connection)


def last_answer(connection: Connection) -> Answer:
    answer = connection.answer()
    assert answer.headers["connection"] == "close"
    assert connection.is_over()
    return answer


def post(path: bytes, *headers: bytes) -> bytes:
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"".join(headers) + b"\r\n"


def length(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n" % len(body)


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


@pytest.mark.parametrize("protocol", [b"x", b"h2c", b"websocket"])
def test_the_body_of_a_request_that_asks_for_an_upgrade_is_never_a_request(server: Server, protocol: bytes) -> None:
    body = b"\r\n" * 150_000 + SECOND
    head = post(b"/v1/generations", JSON, b"Connection: Upgrade\r\nUpgrade: ", protocol, b"\r\n", length(body))
    for parts in ((head, body), (head + body,), (head, body[:300_000], body[300_000:])):
        answer = only_answer(server, *parts)
        assert answer.json["code"] == "malformed_json", "all of it is the body"


@pytest.mark.parametrize("framed", ["length", "chunks"])
def test_an_upgrade_that_is_not_done_is_answered_as_if_it_were_not_asked_for(server: Server, framed: str) -> None:
    if framed == "length":
        request = post(b"/v1/generations", JSON, UPGRADE, length(SUBMIT)) + SUBMIT
    else:
        request = post(b"/v1/generations", JSON, UPGRADE, b"Transfer-Encoding: chunked\r\n") + chunked(SUBMIT)
    submitted = only_answer(server, request + SECOND)
    assert submitted.status == 202
    assert only_answer(server, request[:100], request[100:], SECOND).status == 202
    path = f"/v1/generations/{submitted.json['id']}/events".encode()
    check_log(only_answer(server, b"GET " + path + b" HTTP/1.1\r\n" + HOST + UPGRADE + b"\r\n", SECOND).frames)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"hOST: 127.0.0.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: \r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: user@localhost\r\n\r\n",
        b"GET http://elsewhere/healthz HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET http://localhost HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET ftp://localhost/healthz HTTP/1.1\r\n" + HOST + b"\r\n",
        b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /v1%2fgenerations HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /%761/generations HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /v1/%00 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /v1\\generations HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /public/../v1/generations HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /v1/. HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /healthz#/v1 HTTP/1.1\r\n" + HOST + b"\r\n",
        post(b"/healthz", b"Transfer-Encoding: gzip, chunked\r\n") + b"0\r\n\r\n",
        post(b"/healthz", b"Transfer-Encoding: gzip\r\n") + b"0\r\n\r\n",
        post(b"/healthz", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n") + b"0\r\n\r\n",
        post(b"/healthz", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n",
        post(b"/healthz", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n",
        post(b"/healthz", b"Content-Length: 5\r\n", b"Content-Length: 5\r\n") + b"12345",
        post(b"/healthz", b"Content-Length: 5\r\n", b"Content-Length: 6\r\n") + b"123456",
        post(b"/healthz", b"Content-Length: +5\r\n") + b"12345",
        b"POST /healthz HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"BREW /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"A : b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"A: b\x00c\r\n\r\n",
        b"GET /healthz HTTP/1.1\nHost: localhost\n\n",
        b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n",
        b"GET /healthz\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)  # fmt: skip
def test_what_two_readers_could_take_differently_is_refused(server: Server, request_: bytes) -> None:
    for parts in ((request_ + SECOND,), (request_[:20], request_[20:], SECOND)):
        answer = only_answer(server, *parts)
        assert (answer.status, answer.json["code"]) == (400, "malformed_head")
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_request_may_name_its_host_twice_if_it_is_the_same(server: Server) -> None:
    with server.address.connect() as connection:
        connection.ask("http://LocalHost/healthz")
        assert connection.answer().status == 200
        connection.ask("/healthz", version="1.0")
        assert connection.answer().status == 200


def test_a_body_that_breaks_off_its_own_framing_is_refused(server: Server) -> None:
    head = post(b"/v1/generations", JSON, b"Transfer-Encoding: chunked\r\n")
    answer = only_answer(server, head, b"5\r\n{    \r\nnonsense\r\n", SECOND)
    assert (answer.status, answer.json["code"]) == (400, "malformed_head")
    with server.address.connect() as connection:
        connection.socket.sendall(post(b"/healthz", b"Transfer-Encoding: chunked\r\n"))
        assert connection.answer().status == 405
        connection.socket.sendall(b"nonsense\r\n" + SECOND)
        assert connection.is_over(), "it has had its answer"


def test_what_cannot_be_read_behind_a_request_is_refused_behind_its_answer(server: Server) -> None:
    with server.address.connect() as connection:
        connection.ask("/healthz")
        connection.ask("/healthz")
        connection.socket.sendall(b"nonsense\r\n\r\n")
        assert [connection.answer().status for _ in range(2)] == [200, 200]
        assert last_answer(connection).json["code"] == "malformed_head"


def test_trailers_are_dropped(server: Server) -> None:
    head = post(b"/v1/generations", JSON, b"Transfer-Encoding: chunked\r\n", b"Trailer: Idempotency-Key\r\n")
    body = b"%x\r\n%b\r\n0\r\nIdempotency-Key: \x80 two words\r\n\r\n" % (len(SUBMIT), SUBMIT)
    with server.address.connect() as connection:
        connection.socket.sendall(head)
        connection.socket.sendall(body[:-40])
        connection.socket.sendall(body[-40:])
        assert connection.answer().status == 202
        assert connection.get("/healthz").status == 200
