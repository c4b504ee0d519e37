"""`/api/chat` as the AI SDK's transports ask for it; tests/interop asks with the SDK itself."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from broker.ids import new_generation_id
from tests.api.dialects.ui_client import Reader
from tests.harness.client import Client

QUICK = "sim-1?tps=0&ttft_ms=0&tokens=30&thinking=1"
SLOW = "sim-1?tps=40&ttft_ms=0&tokens=2000"


def name() -> str:
    return f"chat-{uuid.uuid4()}"


def asking(chat: str | None, model: str, **more: Any) -> dict[str, Any]:
    message = {"id": "m-1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
    named = {"id": chat, "trigger": "submit-message"} if chat is not None else {}
    return {**named, "messages": [message], "model": model, **more}


def blocks(raw: bytes) -> list[bytes]:
    """The chunks, whose `[DONE]` is last, and which have no comment among them but those in front: one, and one more for each
    15 s that nothing came."""
    assert raw.startswith(b": ka\n")
    while raw.startswith(b": ka\n"):
        raw = raw.removeprefix(b": ka\n")
    *chunks, done, rest = raw.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    return [each.partition(b"\nid: ")[0] for each in chunks]


def read(chunks: list[bytes]) -> Reader:
    return Reader().read(each + b"\n\n" for each in chunks)


def send(client: Client, chat: str | None, model: str = QUICK, **more: Any) -> tuple[str, list[bytes]]:
    response = client.http.post("/api/chat", json=asking(chat, model, **more))
    assert response.status_code == 200, response.text
    assert response.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert "location" not in response.headers
    id_ = response.headers["x-workflow-run-id"]
    assert response.headers["respool-generation"] == id_
    return id_, blocks(response.content)


def resume(client: Client, id_: str, **query: Any) -> list[bytes]:
    response = client.http.get(f"/api/chat/{id_}/stream", params=query)
    assert response.status_code == 200, response.text
    return blocks(response.content)


@contextmanager
def running(client: Client, chat: str, model: str = SLOW) -> Iterator[str]:
    """A chat whose answer has begun."""
    with client.http.stream("POST", "/api/chat", json=asking(chat, model)) as response:
        assert response.status_code == 200, response.read()
        lines = response.iter_lines()
        assert any("text-delta" in line for line in lines)
        yield response.headers["x-workflow-run-id"]


def test_a_chat_is_a_generation_and_whoever_comes_back_has_its_text(client: Client) -> None:
    chat = name()
    id_, chunks = send(client, chat)
    record = client.record(id_)
    assert read(chunks).text == record["text"] != ""
    assert read(chunks).ended == "finish"
    again = resume(client, chat)
    assert read(again).text == record["text"]
    assert len(again) < len(chunks), "each part is one piece"
    assert read(again).id == read(chunks).id == id_
    assert resume(client, chat, startIndex=0) == chunks
    assert resume(client, id_, startIndex=0) == chunks


def test_chunks_are_found_by_their_number_from_either_end(client: Client) -> None:
    id_, chunks = send(client, None)
    count = len(chunks)
    for start in (1, 2, count - 2, count - 1):
        assert resume(client, id_, startIndex=start) == chunks[start:]
    for start in (-1, -3, -count, -count - 5):
        response = client.http.get(f"/api/chat/{id_}/stream", params={"startIndex": start})
        assert response.headers["x-workflow-stream-tail-index"] == str(count - 1)
        assert blocks(response.content) == chunks[max(0, count + start) :]
    assert resume(client, id_, startIndex=count) == [b'data: {"type":"finish"}']
    error, finish = resume(client, id_, startIndex=count + 1)
    assert b'"gap: rewound"' in error
    assert finish == b'data: {"type":"finish"}'


def test_two_readers_and_one_that_stops_it(client: Client) -> None:
    chat = name()
    with running(client, chat) as id_, client.http.stream("GET", f"/api/chat/{chat}/stream") as second:
        assert second.headers["x-workflow-run-id"] == id_
        assert client.http.get(f"/api/chat/{chat}/stream", headers={"accept": "text/plain"}).status_code == 406
        stopped = client.http.post(f"/api/chat/{chat}/stop")
        assert stopped.status_code == 200, stopped.text
        assert stopped.json()["generation"] == id_
        seen = read(blocks(second.read()))
    assert seen.ended == "abort"
    assert seen.text == client.record(id_)["text"] != ""
    again = client.http.post(f"/api/chat/{chat}/stop")
    assert again.json() == {"generation": id_, "state": "cancelled"}
    assert read(resume(client, id_, startIndex=0)).ended == "abort"
    assert resume(client, id_, startIndex=10_000)[-1] == b'data: {"type":"finish"}'


def test_a_chat_is_its_last_generation(client: Client) -> None:
    chat = name()
    first, _ = send(client, chat)
    second, chunks = send(client, chat)
    assert first != second
    assert read(resume(client, chat)).id == second
    assert resume(client, chat, startIndex=0) == chunks


def test_a_submit_that_is_repeated_is_answered_from_its_beginning_and_takes_no_name_back(client: Client) -> None:
    chat, key = name(), {"idempotency-key": str(uuid.uuid4())}
    first = client.http.post("/api/chat", json=asking(chat, QUICK), headers=key)
    later, _ = send(client, chat)
    again = client.http.post("/api/chat", json=asking(chat, QUICK), headers=key)
    assert blocks(again.content) == blocks(first.content)
    assert read(resume(client, chat)).id == later


def test_what_nobody_has_asked_for_is_not_resumed(client: Client) -> None:
    assert client.http.get(f"/api/chat/{name()}/stream").status_code == 204
    assert client.http.post(f"/api/chat/{name()}/stop").status_code == 204
    unknown = client.http.get(f"/api/chat/{new_generation_id()}/stream")
    assert unknown.status_code == 404
    assert unknown.json()["code"] == "not_found"
    chat = name()
    id_, _ = send(client, chat)
    client.http.delete(f"/v1/generations/{id_}")
    assert client.http.get(f"/api/chat/{chat}/stream").status_code == 204
    assert client.http.get(f"/api/chat/{id_}/stream").status_code == 410


def test_a_failure_is_an_error_in_the_stream_and_a_refusal_one_in_its_words(client: Client) -> None:
    _, chunks = send(client, None, "sim-1?fail=400")
    assert b'"errorText":"upstream_invalid_request: ' in chunks[-1]
    refused = client.http.post("/api/chat", json=asking(None, QUICK, webSearch=True))
    assert refused.status_code == 422
    told = refused.json()
    assert (told["type"], told["code"], told["errors"][0]["pointer"]) == ("error", "invalid_request", "/webSearch")
    assert "/webSearch" in told["errorText"]


def test_a_body_may_be_called_text_as_a_page_of_this_origin_sends_it_and_of_no_other(client: Client) -> None:
    body = httpx2.Request("POST", "http://a", json=asking(None, QUICK)).content
    plain = {"content-type": "text/plain;charset=UTF-8"}
    assert client.http.post("/api/chat", content=body, headers=plain).status_code == 200
    elsewhere = {**plain, "origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert client.http.post("/api/chat", content=body, headers=elsewhere).status_code == 403
    assert client.http.post("/v1/generations", content=body, headers=plain).status_code == 415
