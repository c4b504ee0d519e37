"""`/api/chat/ws` as `WebSocketChatTransport` of the AI SDK asks for it, on both ways to the socket; tests/interop asks with the
SDK itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tests.harness.client import Client
from tests.harness.stack import Stack
from tests.system.test_ui_chat import QUICK, SLOW, asking, name, resume, send

WAYS = {"direct": 0, "plain": 1}


@pytest.fixture(params=WAYS)
def client(request: pytest.FixtureRequest, shared: Stack) -> Client:
    """Of the API that writes this way."""
    return shared.client(WAYS[request.param])


@contextmanager
def opened(client: Client, *protocols: str) -> Iterator[ClientConnection]:
    url = client.url.replace("http", "ws", 1) + "/api/chat/ws"
    with connect(url, subprotocols=[Subprotocol(each) for each in protocols] or None) as socket:
        yield socket


def say(socket: ClientConnection, type_: str, request: str, **more: Any) -> None:
    socket.send(orjson.dumps({"type": type_, "requestId": request, **more}).decode())


def send_chat(socket: ClientConnection, request: str, chat: str, model: str) -> None:
    asked = asking(chat, model)
    say(socket, "send", request, **asked, headers={}, body={"model": asked.pop("model")}, metadata=None)


def hear(socket: ClientConnection) -> dict[str, Any]:
    heard: dict[str, Any] = orjson.loads(socket.recv(timeout=20))
    return heard


def until_end(socket: ClientConnection, *requests: str) -> dict[str, list[dict[str, Any]]]:
    """What each of these was told, up to its end."""
    told: dict[str, list[dict[str, Any]]] = {each: [] for each in requests}
    waiting = set(requests)
    while waiting:
        heard = hear(socket)
        told[heard["requestId"]].append(heard)
        if heard["type"] in ("end", "error", "no-active"):
            waiting.discard(heard["requestId"])
    return told


def chunks(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The chunks of one that was told from its start to its end."""
    first, *numbered, last = told
    assert (first["type"], last["type"]) == ("start", "end")
    assert [each["sequence"] for each in numbered] == list(range(len(numbered)))
    return [each["chunk"] for each in numbered]


def test_a_chat_that_is_sent_and_each_that_resumes_it_has_every_chunk_once(client: Client) -> None:
    chat = name()
    with opened(client) as ours, opened(client, "respool.chat.v1") as others:
        assert (ours.subprotocol, others.subprotocol) == (None, "respool.chat.v1")
        send_chat(ours, "r-1", chat, "sim-1?tps=300&ttft_ms=0&tokens=60&thinking=1")
        assert hear(ours) == {"type": "start", "requestId": "r-1"}
        begun = hear(ours)
        say(others, "resume", "é", id=chat, headers={}, body={})
        say(others, "resume", "r-3", id=chat, headers={}, body={})
        told = until_end(others, "é", "r-3")
        sent = chunks([{"type": "start"}, begun, *until_end(ours, "r-1")["r-1"]])
    whole = [orjson.loads(each.removeprefix(b"data: ")) for each in resume(client, chat, startIndex=0)]
    assert sent == chunks(told["é"]) == chunks(told["r-3"]) == whole
    assert whole[-1]["type"] == "finish"


def test_who_aborts_what_it_has_sent_stops_it_for_all_and_what_it_has_resumed_is_only_left(client: Client) -> None:
    chat = name()
    with opened(client) as ours, opened(client) as others:
        send_chat(ours, "r-1", chat, SLOW)
        id_ = [hear(ours), hear(ours)][1]["chunk"]["messageId"]
        say(others, "resume", "r-2", id=chat, headers={}, body={})
        assert hear(others)["type"] == "start"
        say(others, "abort", "r-2")
        say(others, "resume", "r-3", id=chat, headers={}, body={})
        while hear(others) != {"type": "start", "requestId": "r-3"}:
            pass
        assert client.record(id_)["state"] == "running"
        say(ours, "abort", "r-1")
        while (last := hear(others))["type"] != "end":
            before = last
        assert before["chunk"] == {"type": "abort", "reason": "requested"}
    assert client.record(id_)["state"] == "cancelled"


def test_what_cannot_be_done_is_told_to_the_request_and_hurts_no_other(client: Client) -> None:
    chat = name()
    send(client, chat, QUICK)
    with opened(client) as socket:
        say(socket, "resume", "r-1", id=name(), headers={}, body={})
        assert hear(socket) == {"type": "no-active", "requestId": "r-1"}
        say(socket, "send", "r-2", id=chat, messages=[], headers={}, body={"model": QUICK})
        refused = hear(socket)
        assert (refused["type"], refused["requestId"], refused["code"]) == ("error", "r-2", "invalid_request")
        socket.send("{")
        assert (refused := hear(socket))["requestId"] == ""
        assert refused["code"] == "malformed_json"
        asked = asking(chat, QUICK)
        asked["messages"][0]["parts"][0]["text"] = "long " * 40_000
        for request in ("r-3", "r-4"):  # the key makes one of them
            say(
                socket, "send", request, id=chat, messages=asked["messages"], body={"model": QUICK},
                headers={"Idempotency-Key": chat},
            )  # fmt: skip
        told = until_end(socket, "r-3", "r-4")
        assert chunks(told["r-3"]) == chunks(told["r-4"])
    with pytest.raises(InvalidStatus) as refusal, opened(client, "chat"):
        pass
    assert refusal.value.response.status_code == 426
    assert orjson.loads(refusal.value.response.body or b"")["type"] == "error"
    with (
        pytest.raises(InvalidStatus, match="403"),
        connect(client.url.replace("http", "ws", 1) + "/api/chat/ws", origin=Origin("https://evil.example")),
    ):
        pass
