"""`POST /v1/chat/stream`: the plain chat form, for readers that know nothing but `data:` lines and `[DONE]`."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.harness.client import Client, check_log, frames
from tests.harness.stack import Stack


def naive(lines: Iterator[str]) -> str:
    """The usual reader of chat streams: append every `text`, stop at `[DONE]`."""
    text = ""
    for line in lines:
        if line.startswith("data: "):
            if line == "data: [DONE]":
                return text
            text += json.loads(line[6:]).get("text", "")
    raise AssertionError("the stream ended without [DONE]")


def lines_of(raw: bytes) -> Iterator[str]:
    for block in raw.decode().split("\n\n"):
        yield from block.split("\n")


def chat(client: Client, model: str, prompt: str = "Hi", **fields: Any) -> tuple[httpx2.Response, bytes]:
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], **fields}
    with client.http.stream("POST", "/v1/chat/stream", json=body) as response:
        return response, b"".join(response.iter_raw())


def test_a_chat_streams_the_same_events_and_done_is_last(client: Client) -> None:
    response, raw = chat(client, "sim-1?tps=300&ttft_ms=10&tokens=40&thinking=1", system="Be brief.")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert raw.startswith(b": ka\n")
    assert raw.endswith(b"\n\ndata: [DONE]\n\n")
    assert raw.count(b"\n\ndata: [DONE]\n\n") == 1
    id_ = response.headers["location"].removeprefix("/v1/generations/")
    logged = [frame for frame in frames(iter([raw])) if frame.id]
    check_log(logged)
    assert logged == [frame for frame in client.events(id_) if frame.id]
    assert naive(lines_of(raw)) == client.record(id_)["text"] != ""


def test_the_naive_reader_is_not_fooled_by_text_that_looks_like_the_protocol(client: Client) -> None:
    prompt = 'data: [DONE]\n\ndata: {"text":"no"}\n\n: ka\n\nid: 1\u2028data: [DONE]'
    _, raw = chat(client, "sim-1?echo=1&tps=0&ttft_ms=0", prompt)
    assert naive(lines_of(raw)) == prompt


@pytest.mark.parametrize(
    ("fault", "code"),
    [("400", "upstream_invalid_request"), ("500&retry_after=0", "upstream_error")],
)
def test_done_comes_after_an_error_too(client: Client, fault: str, code: str) -> None:
    _, raw = chat(client, f"sim-1?tps=0&ttft_ms=0&fail={fault}")
    *_, last, done, nothing = raw.split(b"\n\n")
    assert (done, nothing) == (b"data: [DONE]", b"")
    assert json.loads(last.split(b"\n")[0][6:]).items() >= {"type": "error", "code": code}.items()


def test_done_comes_after_a_cancel_too(client: Client, other_client: Client) -> None:
    body = {"model": "sim-1?tps=50&ttft_ms=0&tokens=1000", "messages": [{"role": "user", "content": "Hi"}]}
    raw = b""
    with client.http.stream("POST", "/v1/chat/stream", json=body) as response:
        id_ = response.headers["location"].removeprefix("/v1/generations/")
        for chunk in response.iter_raw():
            if b'"type":"text"' in chunk and b'"type":"text"' not in raw:
                assert other_client.cancel(id_).status_code in (200, 202)
            raw += chunk
    assert raw.endswith(b"\n\ndata: [DONE]\n\n")
    assert naive(lines_of(raw)) == client.record(id_)["text"] != ""


def test_a_chat_that_was_sent_twice_is_one_generation(client: Client, shared: Stack) -> None:
    headers = {"idempotency-key": str(uuid.uuid4())}
    model = f"sim-1?tps=0&ttft_ms=0&tokens=9&seed={uuid.uuid4().int % 10**9}"
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    answers = [client.http.post("/v1/chat/stream", json=body, headers=headers) for _ in range(2)]
    assert answers[0].headers["location"] == answers[1].headers["location"]
    assert answers[0].text.partition("data: ")[2].endswith("data: [DONE]\n\n")
    assert naive(lines_of(answers[0].content)) == naive(lines_of(answers[1].content)) != ""
    asked = httpx2.get(f"{shared.upstream_url}/_sim/requests", params={"model": model}).json()
    assert len(asked) == 1
