"""The worker and the real SDK against an upstream that somebody else wrote (llmock), so that our simulated one is not the
only witness."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from llmock.pytest_plugin import LLMock
from llmock.testing import LLMockServer

from tests.harness.client import Client, Frame, check_log, text_of
from tests.harness.stack import Stack

MODEL = "claude-sonnet-4-6"
ANSWER = "Streams, *like rivers*,\nare read from their source: ünïcödé, 水, and an emoji 🚰."


@pytest.fixture(scope="module")
def stack(llmock_server: LLMockServer) -> Iterator[Stack]:
    with Stack(upstream=llmock_server.base_url("anthropic")) as stack:
        yield stack


@pytest.fixture
def client(stack: Stack) -> Client:
    return stack.client()


def run(client: Client, **fields: Any) -> tuple[list[Frame], dict[str, Any]]:
    """The whole log of a new generation, and its record."""
    id_ = client.submit(MODEL, **fields).id
    events = [frame for frame in client.events(id_) if frame.id]
    check_log(events)
    record = client.record(id_)
    assert record["text"] == text_of(events)
    return events, record


def test_an_answer_arrives_as_it_was_given(client: Client, llmock: LLMock) -> None:
    llmock.reply(ANSWER)
    events, record = run(client, system="Be brief.", max_tokens=200, stop_sequences=["END"])
    assert (record["state"], record["text"], record["stop_reason"]) == ("completed", ANSWER, "end_turn")
    assert sum(frame.type == "text" for frame in events) > 3
    sent = llmock.last_request.body
    assert (sent["model"], sent["stream"], sent["max_tokens"], sent["system"]) == (MODEL, True, 200, "Be brief.")
    assert sent["stop_sequences"] == ["END"]
    assert not {"on_interrupt", "retention", "durability"} & set(sent)


def test_a_tool_call_arrives_with_its_input(client: Client, llmock: LLMock) -> None:
    llmock.call_tool("look", {"place": "Basel", "days": 3}, text="I will look.")
    tools = [{"name": "look", "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}}}]
    _, record = run(client, tools=tools)
    assert (record["state"], record["stop_reason"]) == ("completed", "tool_use")
    text, tool = record["content"]
    assert text["text"] == "I will look."
    assert (tool["type"], tool["name"], tool["input"]) == ("tool_use", "look", {"place": "Basel", "days": 3})


def test_refusals_are_waited_out_as_asked(client: Client, llmock: LLMock) -> None:
    llmock.rate_limit(times=2, retry_after=0.4).reply(ANSWER)
    events, record = run(client)
    assert (record["state"], record["text"]) == ("completed", ANSWER)
    assert [frame.data["code"] for frame in events if frame.type == "retrying"] == ["upstream_rate_limited"] * 2
    assert len(llmock.requests) == 3
    llmock.assert_resilient(strict=True)


def test_what_cannot_work_is_not_tried_again(client: Client, llmock: LLMock) -> None:
    llmock.context_overflow(times=None)
    _, record = run(client)
    assert (record["state"], record["error"]["code"]) == ("failed", "upstream_invalid_request")
    assert len(llmock.requests) == 1


BREAKS = {
    "disconnect": "upstream_disconnected",
    "truncate": "upstream_truncated",
    "corrupt": "upstream_malformed",
    "stall": "idle_timeout",
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_answer_is_never_completed(client: Client, llmock: LLMock, how: str) -> None:
    llmock.reply(ANSWER)
    getattr(llmock, how)(after_chunks=6)
    _, record = run(client, on_interrupt="fail", idle_timeout=1)
    error = record["error"]
    assert (record["state"], error["code"], error["partial"]) == ("failed", BREAKS[how], True)
    assert record["text"]
    assert ANSWER.startswith(record["text"])


@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_answer_is_asked_for_again(client: Client, llmock: LLMock, how: str) -> None:
    llmock.reply(ANSWER, times=2)
    getattr(llmock, how)(after_chunks=6)
    events, record = run(client, on_interrupt="restart", idle_timeout=1)
    assert (record["state"], record["text"]) == ("completed", ANSWER)
    assert [frame.data["reason"] for frame in events if frame.type == "stream_start"] == ["start", "restart"]
    assert len(llmock.requests) == 2


# -- the same fake as OpenAI


def openai_entry(llmock_server: LLMockServer, name: str, kind: str) -> dict[str, object]:
    return {
        "name": name,
        "kind": kind,
        "base_url": llmock_server.base_url("openai"),
        "key": None,
        "models": [f"{name}*"],
    }


@pytest.fixture(scope="module")
def openai_stack(llmock_server: LLMockServer) -> Iterator[Stack]:
    entries = [
        openai_entry(llmock_server, "gpt-4o-mini", "openai-chat"),
        openai_entry(llmock_server, "gpt", "openai-responses"),
    ]
    with Stack(upstream=llmock_server.base_url("anthropic"), upstreams=json.dumps(entries)) as stack:
        yield stack


OPENAI_MODELS = {"chat": "gpt-4o-mini", "responses": "gpt-4o"}


def run_openai(stack: Stack, api: str, **fields: Any) -> tuple[list[Frame], dict[str, Any]]:
    client = stack.client()
    id_ = client.submit(OPENAI_MODELS[api], **fields).id
    events = [frame for frame in client.events(id_) if frame.id]
    check_log(events)
    return events, client.record(id_)


@pytest.mark.parametrize("api", OPENAI_MODELS)
def test_an_answer_of_openai_arrives_as_it_was_given(openai_stack: Stack, llmock: LLMock, api: str) -> None:
    llmock.reply(ANSWER)
    events, record = run_openai(openai_stack, api, system="Be brief.", max_tokens=200)
    assert (record["state"], record["text"], record["stop_reason"]) == ("completed", ANSWER, "end_turn")
    assert sum(frame.type == "text" for frame in events) > 3
    assert not [frame for frame in events if frame.type == "upstream"]
    assert record["usage"]["output_tokens"] > 0


@pytest.mark.parametrize("api", OPENAI_MODELS)
def test_a_tool_call_of_openai_arrives_with_its_input(openai_stack: Stack, llmock: LLMock, api: str) -> None:
    llmock.call_tool("look", {"place": "Basel", "days": 3}, text="I will look.")
    tools = [{"name": "look", "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}}}]
    _, record = run_openai(openai_stack, api, tools=tools)
    assert (record["state"], record["stop_reason"]) == ("completed", "tool_use")
    tool = record["content"][-1]
    assert (tool["type"], tool["name"], tool["input"]) == ("tool_use", "look", {"place": "Basel", "days": 3})


@pytest.mark.parametrize("api", OPENAI_MODELS)
def test_refusals_of_openai_are_waited_out_as_asked(openai_stack: Stack, llmock: LLMock, api: str) -> None:
    llmock.rate_limit(times=2, retry_after=0.4).reply(ANSWER)
    events, record = run_openai(openai_stack, api)
    assert (record["state"], record["text"]) == ("completed", ANSWER)
    assert [frame.data["code"] for frame in events if frame.type == "retrying"] == ["upstream_rate_limited"] * 2
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("api", OPENAI_MODELS)
@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_answer_of_openai_is_never_completed(openai_stack: Stack, llmock: LLMock, how: str, api: str) -> None:
    llmock.reply(ANSWER)
    getattr(llmock, how)(after_chunks=8)
    _, record = run_openai(openai_stack, api, on_interrupt="fail", idle_timeout=1)
    assert (record["state"], record["error"]["code"]) == ("failed", BREAKS[how])
    assert ANSWER.startswith(record["text"])
