"""Requests in the Messages form as OpenAI's two APIs want them, held against the SDK's own types; what cannot be said is
refused by its place, never left out."""

from typing import Any

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming
from pydantic import TypeAdapter

from tests.worker.upstreams.openai.played import APIS, body
from worker.upstreams import Json
from worker.upstreams.openai import chat_ask, responses_ask
from worker.upstreams.openai.asking import Unsaid

_TYPES: dict[str, Any] = {"responses": ResponseCreateParamsStreaming, "chat": CompletionCreateParamsStreaming}
TOOL: Json = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}
PIXEL: Json = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
PAGE: Json = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
CALL: Json = {"type": "tool_use", "id": "call_1", "name": "look", "input": {"place": "Basel"}}


def turns(*messages: tuple[str, object]) -> list[Json]:
    return [{"role": role, "content": content} for role, content in messages]


def asked(api: str, **fields: Any) -> dict[str, Any]:
    """The body, which the SDK's own types allow."""
    written: dict[str, Any] = {**APIS[api].ask(body("gpt-5.6", **fields)), **APIS[api].streaming}
    TypeAdapter(_TYPES[api]).validate_python(written, extra="forbid")
    return written


@pytest.mark.parametrize("api", APIS)
def test_a_plain_request(api: str) -> None:
    said = asked(api, system="Be brief.", metadata={"user_id": "u1"}, cache_control={"type": "ephemeral"})
    if api == "responses":
        assert said == {
            "model": "gpt-5.6", "input": [{"role": "user", "content": [{"type": "input_text", "text": "Tell me something."}]}],
            "instructions": "Be brief.", "max_output_tokens": 4096, "store": False, "include": ["reasoning.encrypted_content"],
            "safety_identifier": "u1", "stream": True, "stream_options": {"include_obfuscation": False},
        }  # fmt: skip
    else:
        messages = turns(("system", "Be brief."), ("user", "Tell me something."))
        assert said == {
            "model": "gpt-5.6", "messages": messages, "max_tokens": 4096, "user": "u1", "stream": True,
            "stream_options": {"include_usage": True},
        }  # fmt: skip


def test_openai_itself_is_told_its_newest_words() -> None:
    said = chat_ask.ask(body("gpt-5.6"), newest=True)
    assert (said["max_completion_tokens"], "max_tokens" in said) == (4096, False)


@pytest.mark.parametrize(
    ("model", "reasons"), [("gpt-4o-mini", False), ("ft:gpt-4.1:x", False), ("gpt-5.6", True), ("o3", True)]
)
def test_only_a_model_that_reasons_is_asked_for_its_reasoning(model: str, reasons: bool) -> None:
    assert ("include" in responses_ask.ask(body(model))) is reasons


def test_a_user_with_a_long_name_is_known_by_its_hash() -> None:
    said = responses_ask.ask(body("gpt-5.6", metadata={"user_id": "u" * 129}))["safety_identifier"]
    assert len(str(said)) == 64


CONVERSATION = turns(
    ("user", [{"type": "text", "text": "See:", "cache_control": {"type": "ephemeral"}}, PIXEL, PAGE]),
    ("assistant", [{"type": "text", "text": "I look."}, CALL]),
    ("user", [{"type": "tool_result", "tool_use_id": "call_1", "content": "rain"}, {"type": "text", "text": "And?"}]),
    ("assistant", "Take an umbrella."),
    ("user", "Thanks."),
)


def test_a_conversation_with_images_and_tools_in_responses() -> None:
    said = asked("responses", messages=CONVERSATION, tools=[TOOL], tool_choice={"type": "tool", "name": "look"})
    assert said["input"] == [
        {"role": "user", "content": [
            {"type": "input_text", "text": "See:"},
            {"type": "input_image", "image_url": "data:image/png;base64,iVBO", "detail": "auto"},
            {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "auto"},
        ]},
        {"role": "assistant", "content": "I look."},
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"place":"Basel"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
        {"role": "user", "content": [{"type": "input_text", "text": "And?"}]},
        {"role": "assistant", "content": "Take an umbrella."},
        {"role": "user", "content": [{"type": "input_text", "text": "Thanks."}]},
    ]  # fmt: skip
    assert said["tools"] == [
        {
            "type": "function",
            "name": "look",
            "description": "Looks.",
            "parameters": TOOL["input_schema"],
            "strict": False,
        }
    ]
    assert said["tool_choice"] == {"type": "function", "name": "look"}


def test_a_conversation_with_images_and_tools_in_chat() -> None:
    said = asked(
        "chat", messages=CONVERSATION, tools=[TOOL], tool_choice={"type": "any", "disable_parallel_tool_use": True}
    )
    assert said["messages"] == [
        {"role": "user", "content": [
            {"type": "text", "text": "See:"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        ]},
        {"role": "assistant", "content": "I look.", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"place":"Basel"}'}},
        ]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        {"role": "user", "content": [{"type": "text", "text": "And?"}]},
        {"role": "assistant", "content": "Take an umbrella."},
        {"role": "user", "content": "Thanks."},
    ]  # fmt: skip
    assert said["tools"] == [
        {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": TOOL["input_schema"]}}
    ]
    assert (said["tool_choice"], said["parallel_tool_calls"]) == ("required", False)


@pytest.mark.parametrize("api", APIS)
def test_a_tool_that_failed_says_so_in_words(api: str) -> None:
    failed = {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "no such place"}]}
    for is_error, expected in ((True, "The tool failed. no such place"), (False, "no such place")):
        conversation = turns(("user", "x"), ("assistant", [CALL]), ("user", [{**failed, "is_error": is_error}]))
        written = asked(api, messages=conversation)
        last = written["input" if api == "responses" else "messages"][-1]
        output = last["content"] if api == "chat" else "".join(part["text"] for part in last["output"])
        assert output == expected


def test_reasoning_goes_back_as_it_came() -> None:
    thought = {"type": "thinking", "thinking": "So.", "signature": "gAAA", "id": "rs_1"}
    conversation = turns(("user", "x"), ("assistant", [thought, CALL]))
    assert asked("responses", messages=conversation)["input"][1] == {
        "type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "So."}], "encrypted_content": "gAAA",
    }  # fmt: skip
    assert chat_ask.ask(body("m", messages=conversation), newest=False)["messages"][1]["reasoning_content"] == "So."  # type: ignore[index]


@pytest.mark.parametrize(
    ("thinking", "reasoning", "effort"),
    [
        ({"type": "disabled"}, {"effort": "none"}, "none"),
        ({"type": "enabled", "budget_tokens": 1024}, {"effort": "low", "summary": "auto"}, "low"),
        ({"type": "enabled", "budget_tokens": 10_000}, {"effort": "medium", "summary": "auto"}, "medium"),
        ({"type": "enabled", "budget_tokens": 32_000}, {"effort": "high", "summary": "auto"}, "high"),
        ({"type": "adaptive"}, {"summary": "auto"}, None),
    ],
)
def test_thinking_is_said_as_far_as_it_can_be(thinking: Json, reasoning: Json, effort: str | None) -> None:
    assert asked("responses", thinking=thinking)["reasoning"] == reasoning
    assert asked("chat", thinking=thinking).get("reasoning_effort") == effort


def test_a_tool_of_openais_own_goes_as_it_is() -> None:
    assert asked("responses", tools=[{"type": "web_search"}])["tools"] == [{"type": "web_search"}]


def test_stop_sequences_are_for_chat_alone() -> None:
    assert asked("chat", stop_sequences=["END"])["stop"] == ["END"]


def test_documents_are_for_responses_alone() -> None:
    pdf = {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
        "title": "a.pdf",
    }
    said = asked("responses", messages=turns(("user", [pdf])))
    assert said["input"][0]["content"] == [
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}
    ]


BOTH = {"responses", "chat"}
UNSAID: dict[str, tuple[set[str], Json]] = {
    "stop_sequences": ({"responses"}, {"stop_sequences": ["END"]}),
    "top_k": (BOTH, {"top_k": 5}),
    "thinking.type": (BOTH, {"thinking": {"type": "interleaved"}}),
    "thinking.display": (BOTH, {"thinking": {"type": "adaptive", "display": "summarized"}}),
    "system[0].type": (BOTH, {"system": [PIXEL]}),
    "metadata.team": (BOTH, {"metadata": {"team": "x"}}),
    "tool_choice.type": (BOTH, {"tool_choice": {"type": "some"}}),
    "tools[0].defer_loading": (BOTH, {"tools": [{**TOOL, "defer_loading": True}]}),
    "tools[0].type": ({"chat"}, {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
    "messages[0].content[0].source": (
        BOTH,
        {"messages": turns(("user", [{"type": "image", "source": {"type": "file"}}]))},
    ),
    "messages[0].content[0].type": (BOTH, {"messages": turns(("user", [{"type": "container_upload"}]))}),
    "messages[0].content[0].title": (
        BOTH,
        {"messages": turns(("user", [{"type": "text", "text": "x", "title": "y"}]))},
    ),
    "messages[1].content[0].type": (
        BOTH,
        {"messages": turns(("user", "x"), ("assistant", [{"type": "redacted_thinking"}]))},
    ),
    "messages[1].content[0].id": (
        {"responses"},
        {
            "messages": turns(
                ("user", "x"), ("assistant", [{"type": "thinking", "thinking": "x", "signature": "of Claude"}])
            )
        },
    ),
    "messages[0].content[0].content[0].type": (
        {"chat"},
        {"messages": turns(("user", [{"type": "tool_result", "tool_use_id": "a", "content": [PIXEL]}]))},
    ),
}


@pytest.mark.parametrize("place", UNSAID)
@pytest.mark.parametrize("api", APIS)
def test_what_cannot_be_said_is_refused_by_its_place(api: str, place: str) -> None:
    apis, fields = UNSAID[place]
    if api not in apis:
        APIS[api].ask(body("m", **fields))
        return
    with pytest.raises(Unsaid) as caught:
        APIS[api].ask(body("m", **fields))
    assert f"`{place}`" in caught.value.message
    assert (caught.value.code, caught.value.retryable) == ("unsupported_field", False)
