"""What the AI SDK's transports send, as a request for a generation, or refused by its place."""

import base64
from typing import Any

import pytest

from api.dialects.ui.said import MESSAGE_LABEL
from api.intake.asked.ui import read
from api.intake.problems import Problem

HI = {"id": "m-1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
LOOK = {"type": "tool-look", "toolCallId": "t", "state": "output-available", "input": {"q": 1}, "output": {"n": 2}}


def body(*messages: object, **more: object) -> dict[str, object]:
    return {"id": "c-1", "trigger": "submit-message", "messages": list(messages), "model": "sim-1", **more}


def turns(*parts: object, role: str = "assistant") -> list[dict[str, Any]]:
    asked = read(body(HI, {"id": "m-2", "role": role, "parts": list(parts)}), {})
    return [{"role": turn.role, "content": turn.content} for turn in asked.request.messages][1:]


def refused(given: dict[str, object]) -> tuple[str, str]:
    with pytest.raises(Problem) as refusal:
        read(given, {})
    errors = refusal.value.extensions["errors"]
    assert isinstance(errors, list)
    return errors[0]["pointer"], errors[0]["code"]


def test_a_chat_is_a_request_with_fields_of_ours_beside_its_messages() -> None:
    system = {"id": "m-0", "role": "system", "parts": [{"type": "text", "text": "Be brief."}]}
    chat, request = read(body(system, HI, max_tokens=9, server_tools=None, messageId=None), {})
    assert chat == "c-1"
    assert (request.system, request.max_tokens) == ("Be brief.", 9)
    assert request.messages[0].content == [{"type": "text", "text": "Hi"}]
    assert read({"messages": [HI], "model": "sim-1"}, {}).chat is None


def test_a_step_is_a_turn_of_the_model_and_what_its_calls_came_to_a_turn_of_the_user() -> None:
    failed = {**LOOK, "type": "dynamic-tool", "toolName": "see", "toolCallId": "u", "state": "output-error",
              "errorText": "no", "input": None}  # fmt: skip
    said = turns({"type": "step-start"}, {"type": "text", "text": "I look."}, LOOK, failed, {"type": "step-start"},
                 {"type": "text", "text": "Two.", "state": "done"}, {"type": "text", "text": ""})  # fmt: skip
    assert said == [
        {"role": "assistant", "content": [
            {"type": "text", "text": "I look."}, {"type": "tool_use", "id": "t", "name": "look", "input": {"q": 1}},
            {"type": "tool_use", "id": "u", "name": "see", "input": {}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t", "content": '{"n":2}'},
            {"type": "tool_result", "tool_use_id": "u", "content": "no", "is_error": True},
        ]},
        {"role": "assistant", "content": [{"type": "text", "text": "Two."}]},
    ]  # fmt: skip


def test_what_the_upstream_has_run_itself_is_part_of_its_answer() -> None:
    found = [{"type": "web_search_result", "url": "https://a.b", "encrypted_content": "x"}]
    search = {**LOOK, "type": "tool-web_search", "toolCallId": "srvtoolu_1", "output": found, "providerExecuted": True}
    (turn,) = turns(search, {**search, "state": "output-error", "errorText": "unavailable"})
    call, result, _, failed = turn["content"]
    assert call == {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"q": 1}}
    assert result == {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": found}
    assert failed["content"] == {"type": "web_search_tool_result_error", "error_code": "unavailable"}


def test_thinking_goes_back_with_its_signature_and_not_without() -> None:
    signed = {"type": "reasoning", "text": "hm", "providerMetadata": {"anthropic": {"signature": "s"}}}
    redacted = {"type": "reasoning", "text": "", "providerMetadata": {"anthropic": {"redactedData": "r"}}}
    (turn,) = turns(signed, redacted, {"type": "reasoning", "text": "of another"})
    assert turn["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "redacted_thinking", "data": "r"},
    ]  # fmt: skip


def test_what_only_a_client_shows_is_told_to_no_model() -> None:
    source = {"type": "source-url", "sourceId": "s", "url": "https://a.b"}
    writing = {"type": "tool-look", "toolCallId": "t", "state": "input-streaming"}
    assert turns(source, {"type": "data-weather", "data": {}}, writing) == []


def test_files_are_images_and_documents() -> None:
    text = base64.b64encode(b"hello").decode()
    (turn,) = turns(
        {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AAAA"},
        {"type": "file", "mediaType": "application/pdf", "url": "https://a.b/c.pdf", "filename": "c"},
        {"type": "file", "mediaType": "text/plain", "url": f"data:text/plain;base64,{text}"},
        role="user",
    )
    assert [block["source"] for block in turn["content"]] == [
        {"type": "base64", "media_type": "image/png", "data": "AAAA"},
        {"type": "url", "url": "https://a.b/c.pdf"},
        {"type": "text", "media_type": "text/plain", "data": "hello"},
    ]


def test_an_answer_is_added_to_the_message_that_ends_with_results() -> None:
    asked = read(body(HI, {"id": "m-2", "role": "assistant", "parts": [LOOK]}, labels={"a": "b"}), {})
    assert asked.request.labels == {"a": "b", MESSAGE_LABEL: "m-2"}
    assert read(body(HI), {}).request.labels is None


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (body(HI, webSearch=True), ("/webSearch", "unknown_field")),
        (body(HI, trigger="resume-stream"), ("/trigger", "not_allowed")),
        (body(HI, id=""), ("/id", "length")),
        (body(), ("/messages", "too_short")),
        (body({"role": "user", "content": "Hi"}), ("/messages/0/parts", "missing")),
        (body({"role": "tool", "parts": []}), ("/messages/0/role", "not_allowed")),
        (body(HI, {"role": "system", "parts": []}), ("/messages/1/role", "unsupported_field")),
        (body({**HI, "parts": [{"type": "file", "mediaType": "audio/mp3", "url": "data:,x"}]}),
         ("/messages/0/parts/0/mediaType", "unsupported_field")),
        (body(HI, {**HI, "role": "assistant", "parts": [{**LOOK, "state": "input-available"}]}),
         ("/messages/1/parts/0/state", "no_result")),
        (body(HI, {**HI, "role": "assistant", "parts": [{**LOOK, "state": "approval-requested"}]}),
         ("/messages/1/parts/0/state", "unsupported_field")),
        (body(HI, {**HI, "role": "assistant", "parts": [{"type": "custom", "kind": "a.b"}]}),
         ("/messages/1/parts/0/type", "unsupported_field")),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_named(given: dict[str, object], place: tuple[str, str]) -> None:
    assert refused(given) == place
