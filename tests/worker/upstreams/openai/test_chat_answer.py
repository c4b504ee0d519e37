"""What is particular to the chunks of Chat Completions, OpenAI's and everybody else's."""

import pytest

from tests.worker.upstreams.openai.played import chunks, content, shown
from worker.upstreams import Json, UpstreamFailure
from worker.upstreams.malformed import MalformedEvent
from worker.upstreams.openai.chat_answer import ChatTranslator


def called(index: int, arguments: str = "", id_: str | None = None, name: str | None = None) -> Json:
    function: Json = {"arguments": arguments, **({"name": name} if name else {})}
    return {"tool_calls": [{"index": index, "function": function, **({"id": id_} if id_ else {})}]}


def test_pieces_of_two_calls_by_turns_go_each_to_its_own() -> None:
    contents, translator = chunks(
        {"role": "assistant", "content": None},
        called(0, "", "call_a", "one"), called(1, "", "call_b", "two"),
        called(0, '{"a":'), called(1, '{"b":'), called(0, "1}"), called(1, "2}"),
        finish="tool_calls",
    )  # fmt: skip
    assert [(block["id"], block["name"], block["input"]) for block in content(contents)] == [
        ("call_a", "one", {"a": 1}),
        ("call_b", "two", {"b": 2}),
    ]
    assert translator.stop_reason == "tool_use"


def test_calls_that_share_an_index_are_told_apart_by_their_ids() -> None:
    contents, _ = chunks(called(0, '{"a":1}', "call_a", "one"), called(0, '{"b":2}', "call_b", "two"), finish="stop")
    assert [block["input"] for block in content(contents)] == [{"a": 1}, {"b": 2}]


def test_a_call_without_an_id_gets_one_of_its_own() -> None:
    contents, _ = chunks(called(0, "{}", None, "one"), called(1, "{}", None, "two"), finish="tool_calls")
    ids = [block["id"] for block in content(contents)]
    assert len(set(ids)) == 2
    assert all(ids)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_is_thinking_under_either_name_and_is_complete_when_text_comes(name: str) -> None:
    contents, _ = chunks({name: "Let me"}, {name: " see."}, {"content": "Yes."})
    assert content(contents) == [{"type": "thinking", "thinking": "Let me see."}, {"type": "text", "text": "Yes."}]
    types = [type_ for type_, _ in shown(contents)]
    assert types == ["message", "block_start", "k", "k", "block_stop", "block_start", "t", "block_stop", "usage"]


def test_both_names_at_once_are_said_once() -> None:
    contents, _ = chunks({"reasoning_content": "So.", "reasoning": "So."}, {"content": "x"})
    assert content(contents)[0] == {"type": "thinking", "thinking": "So."}


@pytest.mark.parametrize(
    ("finish", "expected"),
    [
        ("stop", "end_turn"), ("length", "max_tokens"), ("tool_calls", "tool_use"), ("function_call", "tool_use"),
        ("content_filter", "refusal"), ("something", "something"),
    ],
)  # fmt: skip
def test_why_it_stopped_is_said_in_the_words_of_messages(finish: str, expected: str) -> None:
    _, translator = chunks({"content": "x"}, finish=finish)
    assert (translator.stop_reason, translator.stopped) == (expected, True)


def test_stop_behind_a_call_means_the_call() -> None:
    _, translator = chunks(called(0, "{}", "call_a", "one"), finish="stop")
    assert translator.stop_reason == "tool_use"


def test_a_refusal_is_text_and_the_reason_why_it_stopped() -> None:
    contents, translator = chunks({"refusal": "I can"}, {"refusal": "not."})
    assert content(contents) == [{"type": "text", "text": "I cannot."}]
    assert translator.stop_reason == "refusal"


def test_usage_comes_in_the_last_chunk_or_in_a_chunk_of_its_own_or_never() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    expected = {
        "input_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4, "output_tokens": 2,
    }  # fmt: skip
    contents, translator = chunks({"content": "x"}, usage=usage)
    assert translator.usage == expected
    assert [type_ for type_, _ in shown(contents)].count("usage") == 1

    later = ChatTranslator()
    later.feed({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]})
    assert (later.finished, later.stopped) == (True, False)
    assert shown(later.feed({"choices": [], "usage": usage}))[0][0] == "usage"
    assert (later.usage, later.stopped, later.end()) == (expected, True, [])

    _, never = chunks({"content": "x"})
    assert (never.usage, never.stopped) == ({}, True)


def test_without_a_finish_reason_it_has_not_ended_whatever_usage_says() -> None:
    translator = ChatTranslator()
    translator.feed(
        {"id": "c", "choices": [{"index": 0, "delta": {"content": "x"}}], "usage": {"completion_tokens": 1}}
    )
    assert (translator.end(), translator.stopped, translator.stop_reason) == ([], False, None)


def test_nothing_is_told_before_there_is_something_to_show() -> None:
    translator = ChatTranslator()
    assert translator.feed({"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}) == []
    with pytest.raises(UpstreamFailure) as caught:
        translator.feed({"error": {"message": "no provider left", "code": 429}, "choices": []})
    assert (caught.value.code, caught.value.retryable, caught.value.begun) == ("upstream_rate_limited", True, False)


def test_what_has_no_name_here_is_passed_on_whole() -> None:
    contents, _ = chunks({"content": "x", "audio": {"id": "a"}}, {"content": "y", "logprobs": None})
    told = [fields for type_, fields in shown(contents) if type_ == "upstream"]
    assert told == [{"event": {"content": "x", "audio": {"id": "a"}}}]


def test_another_choice_is_none_of_the_answer() -> None:
    translator = ChatTranslator()
    second: Json = {"id": "c", "choices": [{"index": 1, "delta": {"content": "other"}}]}
    assert [type_ for type_, _ in shown(translator.feed(second))] == ["message", "upstream"]


def test_citations_belong_to_the_text() -> None:
    note = {"type": "url_citation", "url_citation": {"url": "https://example.com"}}
    contents, _ = chunks({"content": "x"}, {"annotations": [note]})
    assert content(contents) == [{"type": "text", "text": "x", "citations": [note]}]


@pytest.mark.parametrize(
    "delta", [{"content": 5}, {"tool_calls": [{"index": 0}]}, {"tool_calls": [7]}, {"content": ["x"]}]
)
def test_what_the_protocol_does_not_allow_is_malformed(delta: Json) -> None:
    with pytest.raises(MalformedEvent):
        chunks(delta)
