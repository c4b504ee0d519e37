"""The bytes of a stream, rule by rule: each of them cost some real client a failure."""

import json
import re
import socket

import pytest

from tests.harness.client import Client, text_of
from tests.harness.client import frames as parsed
from tests.harness.stack import Stack

LOCAL = {"queued", "gap", "drain"}
BLOCK = re.compile(
    rb"(?:: ka\n)*(retry: 500\n)?data: (\{[^\n]*\})(?:\nid: ((?:0|[1-9][0-9]*)-(?:0|[1-9][0-9]*))|\nretry: [0-9]+)?",
    re.ASCII,
)
NASTY = 'data: x\n\nid: 9-9\r\nevent: e\rretry: 1\n: c\u2028\u2029\x85\x0b\x0c\ufeff\x00\\"{}[DONE]🧵e\u0301'


def check_wire(raw: bytes) -> list[str]:
    """Fails unless these are the bytes of a whole stream in our own view; the types in them."""
    assert raw.startswith(b": ka\n"), "a comment at once"
    assert raw.endswith(b"\n\n")
    assert b"\r" not in raw
    assert not raw.startswith(b"\xef\xbb\xbf")
    types, retries = [], []
    for block in raw.removesuffix(b"\n\n").split(b"\n\n"):
        match = BLOCK.fullmatch(block)
        assert match, block
        data = json.loads(match[2].decode())
        types.append(data["type"])
        retries.append(match[1] is not None)
        assert (match[3] is None) == (data["type"] in LOCAL), "only what is in the log has an id"
    assert retries == [True] + [False] * (len(types) - 1), "once, and with an event"
    return types


def raw_of(client: Client, id_: str, **query: str) -> tuple[dict[str, str], bytes]:
    headers = {"accept": "text/event-stream", "accept-encoding": "gzip, br, deflate"}
    with client.http.stream("GET", f"/v1/generations/{id_}/events", headers=headers, params=query) as response:
        return dict(response.headers), b"".join(response.iter_raw())


@pytest.fixture(scope="module")
def nasty(shared: Stack) -> str:
    """A generation whose text is made of what breaks careless framing; followed live, so that it has ended."""
    client = shared.client()
    generation = client.submit("sim-1?echo=1&tps=300&ttft_ms=20&thinking=1&tool=look&citations=1", NASTY * 3)
    headers, raw = raw_of(client, generation.id)
    assert "stream_end" in check_wire(raw)
    check_headers(headers)
    assert client.record(generation.id)["text"] == NASTY * 3
    return generation.id


def check_headers(headers: dict[str, str]) -> None:
    assert headers["content-type"].partition(";")[0] == "text/event-stream"
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in headers
    assert "content-length" not in headers


@pytest.mark.parametrize("query", [{}, {"from": "snapshot"}, {"after": "1-1"}, {"after": "nonsense"}])
def test_the_bytes_of_a_replay_keep_every_rule(client: Client, nasty: str, query: dict[str, str]) -> None:
    headers, raw = raw_of(client, nasty, **query)
    check_headers(headers)
    types = check_wire(raw)
    assert types[-1] == "stream_end"
    assert text_of(list(parsed(iter([raw])))) == NASTY * 3


def test_every_byte_of_text_survives_whatever_it_looks_like(client: Client, other_client: Client, nasty: str) -> None:
    _, raw = raw_of(client, nasty)
    assert "\u2028".encode() in raw, "as it is: no client may split lines there"
    assert b"event:" not in re.sub(rb'data: \{"type":"[a-z_]+","[a-z_]+":"[^\n]*', b"", raw)
    assert raw_of(other_client, nasty)[1] == raw
    assert text_of(list(parsed(iter([raw])))) == NASTY * 3


def test_the_first_bytes_come_at_once_even_when_there_is_no_event_yet(client: Client) -> None:
    generation = client.submit("sim-1?ttft_ms=60000&tokens=5")
    url = f"/v1/generations/{generation.id}/events"
    with client.http.stream("GET", url, headers={"accept": "text/event-stream"}) as response:
        first = next(response.iter_raw())
    assert first.startswith(b": ka\n")
    client.cancel(generation.id)


def test_a_client_that_pipelines_gets_both_streams_in_order(client: Client, nasty: str) -> None:
    host, port = client.url.removeprefix("http://").split(":")
    request = f"GET /v1/generations/{nasty}/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall((request + "\r\n" + request + "Connection: close\r\n\r\n").encode())
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert answer.count(b'"type":"stream_end"') == 2
    assert answer.endswith(b"\r\n0\r\n\r\n")


def test_an_ended_stream_frees_its_connection_for_the_next_request(client: Client, nasty: str) -> None:
    with client.http.stream("GET", f"/v1/generations/{nasty}/events") as first:
        first.read()
        address = first.extensions["network_stream"].get_extra_info("client_addr")
    with client.http.stream("GET", f"/v1/generations/{nasty}") as second:
        second.read()
        assert second.extensions["network_stream"].get_extra_info("client_addr") == address
