"""From the upstream's events to entries: nothing is lost, nothing is doubled, and what is malformed is told."""

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.events import EVENT, TEXT, THINKING, TOOL_INPUT, Content, Run
from broker.ids import EntryId
from broker.transcript import Transcript
from worker.upstreams.anthropic.translate import Translator
from worker.upstreams.malformed import MalformedEvent

# Speed is not what is tested: a busy machine must not fail it.
examples = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

VOCABULARY = {"block_start", "block_stop", "signature", "citation", "block_delta", "usage", "message", "upstream"}


def start(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block or {"type": "text", "text": ""}}


def delta(index: int, type_: str = "text_delta", **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": type_, **fields}}


def said(translator: Translator, *events: dict[str, Any]) -> list[tuple[bytes, Any]]:
    """The entries for these events, the JSON of those that are JSON."""
    contents = [content for data in events for content in translator.feed(data)]
    return [(kind, json.loads(value) if kind == EVENT else value.decode()) for kind, value in contents]


def texts(entries: list[tuple[bytes, Any]]) -> str:
    return "".join(value for kind, value in entries if kind == TEXT)


def test_each_delta_is_an_entry_of_its_own_kind() -> None:
    assert said(
        Translator(),
        start(0, type="thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="hm"),
        delta(0, "signature_delta", signature="s"),
        {"type": "content_block_stop", "index": 0},
        start(1),
        delta(1, text="a"),
        delta(1, "citations_delta", citation={"cited_text": "c"}),
        start(2, type="tool_use", id="t", name="n", input={}),
        delta(2, "input_json_delta", partial_json="{"),
    ) == [
        (EVENT, {"type": "block_start", "index": 0, "block": {"type": "thinking", "thinking": "", "signature": ""}}),
        (THINKING, "hm"),
        (EVENT, {"type": "signature", "signature": "s"}),
        (EVENT, {"type": "block_stop", "index": 0}),
        (EVENT, {"type": "block_start", "index": 1, "block": {"type": "text", "text": ""}}),
        (TEXT, "a"),
        (EVENT, {"type": "citation", "citation": {"cited_text": "c"}}),
        (
            EVENT,
            {"type": "block_start", "index": 2, "block": {"type": "tool_use", "id": "t", "name": "n", "input": {}}},
        ),
        (TOOL_INPUT, "{"),
    ]


def test_what_has_no_name_of_its_own_is_passed_on_whole() -> None:
    unknown = {"type": "of_tomorrow", "detail": [1, None]}
    strange = {"type": "compaction_delta", "content": "c"}
    assert said(Translator(), start(0), {"type": "content_block_delta", "index": 0, "delta": strange}, unknown)[1:] == [
        (EVENT, {"type": "block_delta", "index": 0, "delta": strange}),
        (EVENT, {"type": "upstream", "event": unknown}),
    ]


def test_a_delta_for_a_block_that_is_not_the_open_one_names_its_block() -> None:
    translator = Translator(keep_blocks=3)
    entries = said(translator, start(0, type="tool_use"), start(1), delta(0, "input_json_delta", partial_json="{"))
    assert entries[-1] == (
        EVENT,
        {"type": "block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": "{"}},
    )


def test_pings_and_empty_deltas_leave_no_entry() -> None:
    entries = said(Translator(), start(0), {"type": "ping"}, delta(0, text=""), delta(0, "thinking_delta", thinking=""))
    assert len(entries) == 1


def test_text_that_comes_with_the_blocks_start_is_text() -> None:
    assert said(Translator(), start(0, type="text", text="early", citations=None)) == [
        (EVENT, {"type": "block_start", "index": 0, "block": {"type": "text", "text": "", "citations": None}}),
        (TEXT, "early"),
    ]


def test_the_message_comes_without_its_content_and_its_usage_is_kept() -> None:
    translator = Translator()
    message = {"id": "m", "content": [{"type": "text"}], "usage": {"input_tokens": 3, "output_tokens": 1}}
    assert said(translator, {"type": "message_start", "message": message}) == [
        (EVENT, {"type": "message", "message": {"id": "m", "usage": {"input_tokens": 3, "output_tokens": 1}}})
    ]
    assert translator.usage == {"input_tokens": 3, "output_tokens": 1}


def test_the_end_needs_message_stop_and_has_its_reason_and_usage() -> None:
    translator = Translator()
    end = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 9, "input_tokens": None},
        "of_tomorrow": 1,
    }
    assert said(translator, end) == [
        (
            EVENT,
            {
                "type": "usage",
                "stop_reason": "end_turn",
                "stop_sequence": None,
                "usage": {"output_tokens": 9, "input_tokens": None},
                "of_tomorrow": 1,
            },
        )
    ]
    assert (translator.stop_reason, translator.usage, translator.stopped) == ("end_turn", {"output_tokens": 9}, False)
    assert said(translator, {"type": "message_stop"}) == []
    assert translator.stopped


def test_a_field_of_upstreams_cannot_rename_our_event() -> None:
    end = {"type": "message_delta", "delta": {"type": "stream_end", "stop_reason": "end_turn"}, "usage": {}}
    ((_, usage),) = said(Translator(), end)
    assert usage["type"] == "usage"


# ── going on ──


def test_the_first_text_goes_on_with_the_last_kept_block_and_what_follows_is_new() -> None:
    entries = said(Translator(keep_blocks=2), start(0), delta(0, text="on"), start(1))
    assert [value["index"] for kind, value in entries if kind == EVENT] == [1, 2]


def test_a_continuation_that_thinks_first_begins_new_blocks() -> None:
    entries = said(Translator(2, " "), start(0, type="thinking", thinking=""), start(1), delta(1, text=" on"))
    assert [value["index"] for kind, value in entries if kind == EVENT] == [2, 3]
    assert texts(entries) == " on", "a new block is not the place of the white space that was not shown"


white = st.text(" \n\t\u2028", min_size=1, max_size=4)


@examples
@given(white, st.text("ab \n", max_size=8), st.integers(0, 4), st.data())
def test_white_space_that_upstream_was_not_shown_is_not_doubled(
    stripped: str, rest: str, repeated: int, data: st.DataObject
) -> None:
    """However much of it the model repeats, and however its answer is cut into deltas."""
    repeated = min(repeated, len(stripped))
    rest = "x" + rest
    answer = stripped[:repeated] + rest
    cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=4)))
    pieces = [answer[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    early = data.draw(st.booleans())
    translator = Translator(1, stripped)
    first = start(0, type="text", text=pieces.pop(0) if early else "")
    assert texts(said(translator, first, *(delta(0, text=piece) for piece in pieces))) == rest


@examples
@given(white, st.lists(st.text(max_size=4), max_size=6))
def test_at_most_what_was_stripped_is_taken_away(stripped: str, pieces: list[str]) -> None:
    answer = "".join(pieces)
    got = texts(said(Translator(1, stripped), start(0), *(delta(0, text=piece) for piece in pieces)))
    assert answer.endswith(got)
    assert stripped.startswith(answer.removesuffix(got) if got else answer[: len(stripped)]) or got == answer


# ── what upstream should not send ──


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"type": "content_block_delta"},
        delta(0, text="no such block"),
        {"type": "content_block_delta", "index": [], "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_start", "index": 0},
        {"type": "content_block_start", "index": 0, "content_block": None},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
        {"type": "content_block_stop", "index": 7},
        {"type": "message_start"},
        {"type": "message_start", "message": {"usage": "ab"}},
        {"type": "message_start", "message": []},
        {"type": "message_delta", "delta": None},
        {"type": "message_delta", "usage": []},
    ],
)
def test_a_malformed_event_is_told_as_such(data: dict[str, Any]) -> None:
    with pytest.raises(MalformedEvent) as caught:
        Translator().feed(data)
    failure = caught.value
    assert (failure.code, failure.retryable, failure.begun) == ("upstream_malformed", True, True)
    assert re.fullmatch(r"the upstream sent a malformed event \((Key|Type|Value|Attribute)Error\)", failure.message)


@pytest.mark.parametrize("fields", [{"text": 5}, {"text": ["x"]}, {"text": "\ud800"}, {}])
def test_a_malformed_delta_is_told_as_such(fields: dict[str, Any]) -> None:
    translator = Translator()
    translator.feed(start(0))
    with pytest.raises(MalformedEvent):
        translator.feed(delta(0, **fields))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "usage", "a"]), inner),
    max_leaves=5,
)
loose_events = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "x"]
        )
    },
    optional={
        "index": st.integers(0, 1) | json_values,
        "message": json_values,
        "content_block": st.fixed_dictionaries({"type": st.sampled_from(["text", "tool_use"])}, optional={"text": json_values})
        | json_values,
        "delta": st.fixed_dictionaries(
            {"type": st.sampled_from(["text_delta", "thinking_delta", "signature_delta", "citations_delta", "y"])},
            optional={"text": json_values, "thinking": json_values, "signature": json_values, "stop_reason": json_values},
        )
        | json_values,
        "usage": json_values,
    },
)  # fmt: skip


@examples
@given(st.lists(loose_events, max_size=8), st.sampled_from(["", " \n"]))
def test_whatever_comes_is_entries_of_our_vocabulary_or_malformed(events: list[dict[str, Any]], stripped: str) -> None:
    translator, transcript = Translator(0, stripped), Transcript()
    for data in events:
        try:
            contents = translator.feed(data)
        except MalformedEvent:
            return
        for kind, value in contents:
            transcript.apply(Run(EntryId(1, 1), [(kind, value)]))
            if kind == EVENT:
                assert json.loads(value)["type"] in VOCABULARY
            else:
                assert kind in (TEXT, THINKING, TOOL_INPUT)
                assert value.decode()


def test_an_event_with_type_none_is_passed_on() -> None:
    assert Translator().feed({"type": None}) == [Content(EVENT, b'{"type":"upstream","event":{"type":null}}')]


@pytest.mark.parametrize("kept", [1, 2, 5])
def test_the_last_kept_block_goes_on_and_the_next_is_behind_it(kept: int) -> None:
    translator = Translator(kept)
    (opened,) = translator.feed(start(0))
    assert json.loads(opened.value)["index"] == kept - 1
    (opened,) = translator.feed(start(1))
    assert json.loads(opened.value)["index"] == kept


def test_what_comes_for_a_block_that_was_never_opened_or_is_closed_is_no_text() -> None:
    for index in (0, 1):
        with pytest.raises(MalformedEvent):
            Translator().feed(delta(index, text="a"))
    for index in (0, 1):
        translator = Translator()
        for each in range(index + 1):
            translator.feed(start(each))
        translator.feed({"type": "content_block_stop", "index": index})
        (late,) = translator.feed(delta(index, text="a"))
        assert json.loads(late.value)["type"] == "block_delta"


def test_usage_that_is_null_is_none_and_what_was_told_before_stays() -> None:
    translator = Translator()
    translator.feed({"type": "message_start", "message": {"id": "m", "usage": None}})
    assert translator.usage == {}
    translator.feed({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 3}}})
    translator.feed({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 2, "input_tokens": None}})
    assert translator.usage == {"input_tokens": 3, "output_tokens": 2}
