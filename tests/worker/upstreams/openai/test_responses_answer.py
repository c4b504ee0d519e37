"""What is particular to the events of the Responses API."""

import orjson
import pytest

from tests.worker.upstreams.openai.played import content, shown
from worker.upstreams import Json, UpstreamFailure
from worker.upstreams.malformed import MalformedEvent
from worker.upstreams.openai.responses_answer import ResponsesTranslator

MESSAGE: Json = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
CREATED: Json = {
    "type": "response.created",
    "response": {
        "id": "resp_1", "model": "gpt-5.6", "created_at": 5, "instructions": "a secret prompt", "tools": [{"name": "x"}],
        "status": "in_progress",
    },
}  # fmt: skip


def call(name: str) -> Json:
    return {"type": "function_call", "id": f"fc_{name}", "call_id": f"call_{name}", "name": name, "arguments": ""}


def added(index: int, item: Json) -> Json:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(index: int, item: Json) -> Json:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def said(index: int, text: str, kind: str = "output_text", **more: object) -> Json:
    return {"type": f"response.{kind}.delta", "output_index": index, "delta": text, **more}


def ended(status: str = "completed", **more: object) -> Json:
    return {"type": f"response.{status}", "response": {"id": "resp_1", "status": status, **more}}


def fed(*events: Json) -> tuple[list[tuple[str, object]], list[dict[str, object]], ResponsesTranslator]:
    translator = ResponsesTranslator()
    contents = [entry for event in events for entry in translator.feed(event)]
    return shown(contents), content(contents), translator


def test_the_prompt_that_an_answer_repeats_is_shown_to_nobody() -> None:
    found, _, _ = fed(CREATED, {**CREATED, "type": "response.in_progress"}, added(0, MESSAGE), ended())
    assert "secret" not in str(found)
    assert found[0] == (
        "message",
        {
            "message": {
                "id": "resp_1", "type": "message", "role": "assistant", "model": "gpt-5.6", "created_at": 5,
                "stop_reason": None, "stop_sequence": None,
            }
        },
    )  # fmt: skip


def test_nothing_is_told_before_there_is_something_to_show() -> None:
    """An answer that fails before has not begun, and may be asked of another model."""
    translator = ResponsesTranslator()
    assert translator.feed(CREATED) == []
    with pytest.raises(UpstreamFailure) as caught:
        translator.feed({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "x"}}})
    assert (caught.value.code, caught.value.retryable, caught.value.begun) == ("upstream_error", True, False)


def test_pieces_of_two_calls_by_turns_go_each_to_its_own() -> None:
    found, blocks, translator = fed(
        CREATED,
        added(0, call("one")), added(1, call("two")),
        *(said(index, text, "function_call_arguments") for index, text in [(0, '{"a":'), (1, '{"b":'), (0, "1}"), (1, "2}")]),
        done(1, call("two")), done(0, call("one")),
        ended(),
    )  # fmt: skip
    assert [(block["id"], block["input"]) for block in blocks] == [("call_one", {"a": 1}), ("call_two", {"b": 2})]
    assert [fields["index"] for type_, fields in found if type_ == "block_stop"] == [1, 0]  # type: ignore[index]
    assert translator.stop_reason == "tool_use"


def test_what_no_delta_has_said_is_said_when_the_item_is_done_and_nothing_twice() -> None:
    whole = {**MESSAGE, "content": [{"type": "output_text", "text": "Hello"}]}
    _, silent, _ = fed(CREATED, added(0, MESSAGE), done(0, whole), ended())
    _, told, _ = fed(CREATED, added(0, MESSAGE), said(0, "Hello"), done(0, whole), ended())
    assert silent == told == [{"type": "text", "text": "Hello"}]
    _, (tool,), _ = fed(CREATED, added(0, call("x")), done(0, {**call("x"), "arguments": '{"a":1}'}), ended())
    assert tool["input"] == {"a": 1}


def test_the_parts_of_a_summary_are_paragraphs_and_its_encrypted_form_the_signature() -> None:
    reasoning: Json = {"type": "reasoning", "id": "rs_1", "summary": []}
    kind = "reasoning_summary_text"
    _, blocks, _ = fed(
        CREATED,
        added(0, reasoning),
        said(0, "One", kind, summary_index=0), said(0, ".", kind, summary_index=0), said(0, "Two.", kind, summary_index=1),
        done(0, {**reasoning, "encrypted_content": "gAAAA"}),
        added(1, MESSAGE), said(1, "Yes."), done(1, MESSAGE),
        ended(),
    )  # fmt: skip
    thinking = {"type": "thinking", "thinking": "One.\n\nTwo.", "signature": "gAAAA", "id": "rs_1"}
    assert blocks == [thinking, {"type": "text", "text": "Yes."}]


def test_a_refusal_is_text_and_the_reason_why_it_stopped() -> None:
    _, blocks, translator = fed(CREATED, added(0, MESSAGE), said(0, "I cannot.", "refusal"), done(0, MESSAGE), ended())
    assert (blocks, translator.stop_reason) == ([{"type": "text", "text": "I cannot."}], "refusal")


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("max_output_tokens", "max_tokens"), ("content_filter", "refusal"), ("steered", "steered"), (None, "incomplete")],
)
def test_an_incomplete_answer_is_whole_and_says_why_it_stopped(reason: str | None, expected: str) -> None:
    details = {"incomplete_details": {"reason": reason}}
    found, _, translator = fed(CREATED, added(0, MESSAGE), said(0, "x"), ended("incomplete", **details))
    assert (translator.stop_reason, translator.stopped) == (expected, True)
    assert [type_ for type_, _ in found] == ["message", "block_start", "t", "block_stop", "usage"]


def test_what_came_from_the_cache_is_counted_apart_as_in_messages() -> None:
    usage = {
        "input_tokens": 100, "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30}, "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 4}, "total_tokens": 107, "something_new": {"x": 1},
    }  # fmt: skip
    _, _, translator = fed(CREATED, added(0, MESSAGE), ended(usage=usage))
    assert translator.usage == {
        "input_tokens": 10, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 60, "output_tokens": 7,
        "reasoning_tokens": 4, "something_new": {"x": 1},
    }  # fmt: skip


def test_whatever_has_no_name_here_is_passed_on_whole_without_its_padding() -> None:
    search: Json = {"type": "web_search_call", "id": "ws_1", "status": "in_progress"}
    odd: Json = {
        "type": "response.web_search_call.searching",
        "output_index": 0,
        "item_id": "ws_1",
        "obfuscation": "abc",
    }
    found, blocks, _ = fed(CREATED, added(0, search), odd, done(0, search), added(1, MESSAGE), said(1, "x"), ended())
    told = [fields["event"] for type_, fields in found if type_ == "upstream"]  # type: ignore[index]
    del odd["obfuscation"]
    assert told == [added(0, search), odd, done(0, search)]
    assert blocks == [{"type": "text", "text": "x"}]


ERRORS = {
    "rate_limit_exceeded": ("upstream_rate_limited", True),
    "server_is_overloaded": ("upstream_overloaded", True),
    "server_error": ("upstream_error", True),
    "invalid_prompt": ("upstream_invalid_request", False),
    "insufficient_quota": ("upstream_permission", False),
    "a_new_one": ("upstream_error", True),
}


@pytest.mark.parametrize("code", ERRORS)
@pytest.mark.parametrize("form", ["flat", "nested", "failed"])
def test_an_error_has_its_name_in_each_of_its_forms(code: str, form: str) -> None:
    error: Json = {"code": code, "message": "sk-abcdefghijklmnop at http://10.0.0.1/"}
    event: Json = {"type": "error", **error} if form == "flat" else {"type": "error", "error": error}
    if form == "failed":
        event = {"type": "response.failed", "response": {"error": error}}
    with pytest.raises(UpstreamFailure) as caught:
        ResponsesTranslator().feed(event)
    assert (caught.value.code, caught.value.retryable) == ERRORS[code]
    assert "abcdefgh" not in str(caught.value)
    assert "10.0.0.1" not in str(caught.value)


def test_more_of_a_block_that_is_complete_is_malformed() -> None:
    with pytest.raises(MalformedEvent):
        fed(CREATED, added(0, MESSAGE), done(0, MESSAGE), said(0, "late"))


def test_a_delta_of_no_item_is_malformed() -> None:
    with pytest.raises(MalformedEvent):
        fed(CREATED, said(3, "x"))


def test_an_event_is_json_that_the_log_can_hold() -> None:
    found, _, _ = fed(CREATED, {"type": "response.new", "text": "\u2028 水"})
    assert orjson.dumps(found)
