"""Each stream tells a browser once, with its first event, to come back soon; without that it is blind for seconds."""

from itertools import chain

import pytest

from tests.harness.client import Client
from tests.system.http.conftest import Server
from tests.system.http.wire import Connection

RETRY = b"retry: 500\n"
LIVE = "sim-1?ttft_ms=20&tps=50&tokens=2000"


def blocks(connection: Connection, number: int) -> list[bytes]:
    """The first so many frames of the stream that was asked for, with the comments before them."""
    assert connection.head().status == 200
    body = b""
    for chunk in connection.chunks():
        body += chunk
        if body.count(b"\n\n") >= number:
            break
    return body.split(b"\n\n")[:number]


def check(found: list[bytes]) -> None:
    first, *rest = (block.replace(b": ka\n", b"") for block in found)
    assert first.startswith(RETRY + b"data: {")
    assert rest
    assert not any(RETRY in block for block in chain(rest, [first.removeprefix(RETRY)]))


@pytest.mark.parametrize("query", ["", "?from=snapshot", "?after=nonsense"])
def test_a_replay_says_it_once(server: Server, ended: str, query: str) -> None:
    with server.address.connect() as connection:
        connection.ask(f"/v1/generations/{ended}/events{query}")
        check(blocks(connection, 2))


def test_a_live_stream_and_one_that_comes_back_say_it_once_each(client: Client, server: Server) -> None:
    id_ = client.submit(LIVE, max_tokens=2000).id
    with server.address.connect() as first, server.address.connect() as again, server.address.connect() as joined:
        first.ask(f"/v1/generations/{id_}/events")
        seen = blocks(first, 8)
        check(seen)
        cursor = seen[-1].rpartition(b"id: ")[2].decode()
        again.ask(f"/v1/generations/{id_}/events", last_event_id=cursor)
        check(blocks(again, 30))
        joined.ask(f"/v1/generations/{id_}/events", last_event_id=str(client.record(id_)["last_event_id"]))
        check(blocks(joined, 8))
    client.cancel(id_)


def test_the_chat_form_does_not_say_it(server: Server) -> None:
    body = {"model": "sim-1?ttft_ms=20&tps=0&tokens=5", "messages": [{"role": "user", "content": "Hi"}]}
    with server.address.connect() as connection:
        connection.ask("/v1/chat/stream", "POST", body)
        answer = connection.answer()
    assert b"retry" not in answer.body
    assert answer.body.endswith(b"\n\ndata: [DONE]\n\n")
