"""A request of OpenAI's Responses API is said in the words of Messages, comes out at a model of OpenAI's as it was, or is
refused by its place."""

import random
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.intake.asked.reading import Json
from api.intake.asked.responses import _KNOWN, going_on, made, read
from api.intake.problems import Problem
from broker.request import GenerationRequest
from tests.api.dialects.test_responses import ENDS, RESPONSES, events_of, log_of
from worker.upstreams.openai.responses_ask import ask

PNG = "data:image/png;base64,aGk="
CALL: Json = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Oslo"}'}
CONVERSATION: list[Json] = [
    {"role": "user", "content": [{"type": "input_text", "text": "Look."},
                                 {"type": "input_image", "image_url": PNG, "detail": "auto"}]},
    {"type": "reasoning", "id": "rs_theirs", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "x"},
    {"role": "assistant", "content": "I will."},
    CALL,
    {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "Rain."}]},
    {"role": "user", "content": [{"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
                                 {"type": "input_text", "text": "And?"}]},
]  # fmt: skip
TOOL: Json = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object"},
    "description": "Of a city.",
    "strict": True,
}


def fields(**body: object) -> Json:
    return read({"model": "m", "input": "Hi", **body}).fields


def test_a_conversation_comes_out_at_a_model_of_openais_as_it_was() -> None:
    body: Json = {
        "model": "gpt-5.1", "input": CONVERSATION, "instructions": "Be brief.", "max_output_tokens": 100, "tools": [TOOL],
        "tool_choice": {"type": "function", "name": "weather"}, "parallel_tool_calls": False, "safety_identifier": "u1",
        "temperature": 0.5, "top_p": 0.9, "service_tier": "default", "reasoning": {"effort": "high", "summary": "auto"},
        "text": {"format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}, "strict": True}},
    }  # fmt: skip
    request = made(read(body).fields, {})
    said = ask(request.upstream_body())
    assert said == {**body, "store": False, "include": ["reasoning.encrypted_content"]}


def test_a_string_is_a_users_turn() -> None:
    assert fields(instructions="Brief.") == {
        "model": "m", "messages": [{"role": "user", "content": "Hi"}], "system": "Brief."
    }  # fmt: skip


def test_what_the_developer_says_first_is_the_system_prompt() -> None:
    said = fields(instructions="A", input=[{"role": "developer", "content": "B"}, {"role": "user", "content": "C"}])
    assert said["system"] == [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
    assert said["messages"] == [{"role": "user", "content": "C"}]


def test_how_it_shall_be_answered() -> None:
    schema = {"type": "json_schema", "name": "city", "schema": {"type": "object"}, "strict": True}
    said = fields(
        reasoning={"effort": "high", "summary": "auto"}, text={"format": schema}, temperature=0.5, top_p=0.9, store=False,
        metadata={"team": "a"}, user="u1",
    )  # fmt: skip
    assert said["thinking"] == {"type": "adaptive"}
    assert said["output_config"] == {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}}
    assert (said["temperature"], said["top_p"], said["retention"]) == (0.5, 0.9, 60)
    assert (said["labels"], said["metadata"]) == ({"team": "a"}, {"user_id": "u1"})


def test_what_asks_for_nothing_is_no_reason_to_refuse() -> None:
    nothing = fields(
        tool_choice="auto", tools=[], parallel_tool_calls=True, truncation="disabled", service_tier="auto", background=True,
        include=["reasoning.encrypted_content"], text={"format": {"type": "text"}}, prompt_cache_key="k", top_logprobs=0,
        stream_options={"include_obfuscation": False}, store=True, previous_response_id=None, reasoning=None,
    )  # fmt: skip
    assert nothing == {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"conversation": "conv_1"}, "/conversation"),
        ({"tools": [{"type": "web_search"}]}, "/tools/0/type"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}}, "/tool_choice/type"),
        ({"input": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]}, "/input/1/role"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "/input/0/type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "/input/0/content/0/file_id",
        ),
        ({"input": [{**CALL, "arguments": "{"}]}, "/input/0/arguments"),
        ({"reasoning": {"effort": "minimal"}}, "/reasoning/effort"),
        ({"text": {"format": {"type": "json_object"}}}, "/text/format/type"),
        ({"text": {"verbosity": "low"}}, "/text/verbosity"),
        ({"truncation": "auto"}, "/truncation"),
        ({"include": ["message.output_text.logprobs"]}, "/include/0"),
        ({"stream": "yes"}, "/stream"),
        ({"max_output_tokens": 0}, "/max_output_tokens"),
        ({"metadata": {"a": 1}}, "/metadata"),
        ({"input": None}, "/input"),
    ],
)
def test_what_cannot_be_said_is_named(body: Json, place: str) -> None:
    with pytest.raises(Problem) as raised:
        made(read({"model": "m", "input": "Hi", **body}).fields, {})
    errors: object = raised.value.extensions["errors"]
    assert isinstance(errors, list)
    assert (raised.value.status, [each["pointer"] for each in errors]) == (422, [place])


def test_the_output_of_a_response_is_taken_as_input() -> None:
    """Whatever it was, in the shape in which the SDK has it."""
    for seed in range(40):
        output = events_of(RESPONSES.fold(RESPONSES.begin, log_of(random.Random(seed), 6, ENDS[0]))[1])[-1]["response"][
            "output"
        ]  # type: ignore[index]
        made(fields(input=[*output, {"role": "user", "content": "And?"}]), {})


def test_it_goes_on_from_an_earlier_response() -> None:
    earlier = GenerationRequest.model_validate(
        {
            "model": "m",
            "system": "Brief.",
            "messages": [{"role": "user", "content": "Time?"}],
            "server_tools": ["clock"],
        }
    )
    content: list[Json] = [
        {"type": "thinking", "thinking": "unsigned", "signature": ""},
        {"type": "tool_use", "id": "c0", "name": "clock", "input": {}},
        {"type": "tool_result", "tool_use_id": "c0", "content": "noon"},
        {"type": "text", "text": "Noon.", "citations": [{"cited_text": "x"}]},
        {"type": "tool_use", "id": "c1", "name": "mine", "partial_json": '{"'},
    ]
    said = going_on(read({"input": "And?"}), earlier, content)
    assert said == {
        "system": "Brief.",
        "server_tools": ["clock"],
        "messages": [
            {"role": "user", "content": "Time?"},
            {"role": "assistant", "content": [content[1]]},
            {"role": "user", "content": [content[2]]},
            {"role": "assistant", "content": [{"type": "text", "text": "Noon."}]},
            {"role": "user", "content": "And?"},
        ],
    }
    assert going_on(read({"input": "And?", "instructions": "Long."}), earlier, [])["system"] == "Long."


WORDS = st.sampled_from([
    "type", "role", "content", "text", "input", "user", "system", "message", "function", "function_call", "reasoning", "id",
    "name", "arguments", "output", "call_id", "summary", "tools", "tool_choice", "format", "json_schema", "effort", "auto",
    "image_url", "input_image", "input_text", "data:,", "mcp_call", "server_label", "respool", "error", "metadata", "{}",
])  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(_KNOWN), JSON, max_size=6))
def test_whatever_comes_is_a_request_or_a_problem(body: Json) -> None:
    with suppress(Problem):
        made(read(body).fields, {})
