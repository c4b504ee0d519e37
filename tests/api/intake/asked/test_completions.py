"""A request of Chat Completions is said in the words of Messages, comes out at a model of OpenAI's as it was, or is refused by
its place."""

import pytest

from api.intake.asked.completions import asked, read
from api.intake.asked.reading import Given, Json
from api.intake.problems import Problem
from worker.upstreams.openai.chat_ask import ask

PNG = "data:image/png;base64,aGk="
CALLS: list[Json] = [
    {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}},
    {"id": "c2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
]
CONVERSATION: list[Json] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Look."}, {"type": "image_url", "image_url": {"url": PNG}},
                                 {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}]},
    {"role": "assistant", "content": "I will.", "reasoning_content": "Hm.", "tool_calls": CALLS},
    {"role": "tool", "tool_call_id": "c1", "content": "Rain."},
    {"role": "tool", "tool_call_id": "c2", "content": "Noon."},
    {"role": "user", "content": [{"type": "text", "text": "And?"}]},
    {"role": "assistant", "content": "So."},
    {"role": "user", "content": "Well"},
]  # fmt: skip
TOOL: Json = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object"}, "description": "Of a city.", "strict": True},
}


def fields(**body: object) -> Json:
    return read(Given({"model": "m", "messages": [{"role": "user", "content": "Hi"}], **body}))


def test_a_conversation_comes_out_at_a_model_of_openais_as_it_was() -> None:
    request = asked({
        "model": "m", "messages": CONVERSATION, "tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False,
        "max_completion_tokens": 77, "stop": ["a", "b"], "user": "u", "reasoning_effort": "none",
    }, {}).request  # fmt: skip
    assert ask(request.upstream_body(), newest=True) == {
        "model": "m", "messages": CONVERSATION, "tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False,
        "max_completion_tokens": 77, "stop": ["a", "b"], "user": "u", "reasoning_effort": "none",
    }  # fmt: skip


def test_an_answer_of_this_vocabulary_may_be_sent_back_as_it_came() -> None:
    own = {
        "role": "assistant", "content": None, "refusal": None, "reasoning_content": "Hm.", "reasoning_signature": "s",
        "annotations": [], "audio": None, "function_call": None, "tool_calls": [{**CALLS[0], "index": 0}],
    }  # fmt: skip
    content = [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}},
    ]
    assert fields(messages=[own])["messages"] == [{"role": "assistant", "content": content}]


def test_results_of_tools_and_what_is_said_behind_them_are_one_turn() -> None:
    found = fields(messages=CONVERSATION[2:6])["messages"]
    assert [(turn["role"], [each["type"] for each in turn["content"]]) for turn in found] == [  # type: ignore[attr-defined]
        ("assistant", ["thinking", "text", "tool_use", "tool_use"]), ("user", ["tool_result", "tool_result", "text"]),
    ]  # fmt: skip


def test_what_has_words_in_messages_is_said_in_them() -> None:
    said = fields(
        temperature=0.5, top_p=0.9, metadata={"team": "a"}, safety_identifier="u", stop="x", reasoning_effort="high",
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        tool_choice={"type": "function", "function": {"name": "weather"}}, tools=[TOOL], max_tokens=5,
    )  # fmt: skip
    assert said == {
        "model": "m", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0.5, "top_p": 0.9,
        "labels": {"team": "a"}, "metadata": {"user_id": "u"}, "stop_sequences": ["x"], "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        "tools": [{"name": "weather", "description": "Of a city.", "input_schema": {"type": "object"}, "strict": True}],
        "tool_choice": {"type": "tool", "name": "weather"}, "max_tokens": 5,
    }  # fmt: skip


def test_what_asks_for_nothing_may_be_sent() -> None:
    nothing: Json = {
        "n": 1, "logprobs": False, "store": False, "frequency_penalty": 0, "presence_penalty": 0.0, "modalities": ["text"],
        "service_tier": "auto", "verbosity": "medium", "prompt_cache_key": "k", "seed": None, "tool_choice": "auto",
        "parallel_tool_calls": True, "response_format": {"type": "text"}, "tools": [], "stream_options": None,
    }  # fmt: skip
    assert fields(**nothing) == fields()


USER: Json = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"n": 2}, "/n"), ({"n": True}, "/n"), ({"seed": 1}, "/seed"), ({"logit_bias": {"1": 2}}, "/logit_bias"),
        ({"logprobs": True}, "/logprobs"), ({"store": True}, "/store"), ({"frequency_penalty": 1}, "/frequency_penalty"),
        ({"modalities": ["text", "audio"]}, "/modalities/1"), ({"functions": [{}]}, "/functions"),
        ({"service_tier": "flex"}, "/service_tier"), ({"reasoning_effort": "minimal"}, "/reasoning_effort"),
        ({"response_format": {"type": "json_object"}}, "/response_format/type"), ({"prediction": {}}, "/prediction"),
        ({"web_search_options": {}}, "/web_search_options"), ({"verbosity": "low"}, "/verbosity"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "/max_tokens"), ({"max_tokens": 0}, "/max_tokens"),
        ({"max_completion_tokens": 0}, "/max_completion_tokens"), ({"stop": [1]}, "/stop"),
        ({"temperature": "hot"}, "/temperature"), ({"metadata": {"a": 1}}, "/metadata"),
        ({"tools": [{"type": "custom", "custom": {}}]}, "/tools/0/type"),
        ({"tools": [{"type": "function"}]}, "/tools/0/function"),
        ({"tool_choice": {"type": "allowed_tools"}}, "/tool_choice/type"), ({"tool_choice": "maybe"}, "/tool_choice"),
        ({"stream": True, "stream_options": {"include_obfuscation": True}}, "/stream_options/include_obfuscation"),
        ({"stream_options": {"include_usage": True}}, "/stream_options"), ({"messages": None}, "/messages"),
        ({"messages": []}, "/messages"), ({"messages": [{"content": "x"}]}, "/messages/0/role"),
        ({"messages": [{"role": "function", "name": "x", "content": "x"}]}, "/messages/0/role"),
        ({"messages": [USER, {"role": "system", "content": "x"}]}, "/messages/1/role"),
        ({"messages": [{**USER, "name": "Ann"}]}, "/messages/0/name"),
        ({"messages": [{"role": "user", "content": []}]}, "/messages/0/content"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "/messages/0/content/0/type"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
         "/messages/0/content/0/file/file_id"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x", "detail": "low"}}]}]},
         "/messages/0/content/0/image_url/detail"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]}]},
         "/messages/0/content/0/image_url/url"),
        ({"messages": [{"role": "assistant"}]}, "/messages/0/content"),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "/messages/0/audio"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]}]},
         "/messages/0/tool_calls/0/type"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "n", "arguments": "x"}}]}]},
         "/messages/0/tool_calls/0/function/arguments"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "/messages/0/tool_call_id"),
    ],
)  # fmt: skip
def test_what_has_no_words_is_refused_by_its_place(body: Json, place: str) -> None:
    with pytest.raises(Problem) as refused:
        asked({"model": "m", "messages": [USER], **body}, {})
    assert (refused.value.status, refused.value.extensions["errors"][0]["pointer"]) == (422, place)  # type: ignore[index]
