"""What a reader has, and what survives an interruption: over any answer, cut anywhere, continued, cut again."""

import json
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.events import EVENT, START, TEXT, THINKING, Content, Entry
from broker.ids import BEGINNING, EntryId
from broker.transcript import Kept, Transcript
from worker.upstreams.anthropic.translate import Translator

# Speed is not what is tested: a busy machine must not fail it.
examples = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

Block = tuple[str, list[str]]

pieces = st.lists(st.text("ab \n\u2028日🧵", min_size=1, max_size=4), max_size=5)
inputs = st.dictionaries(st.text("ab", max_size=2), st.integers(-9, 9) | st.text(max_size=3), min_size=1, max_size=3)
blocks = st.one_of(
    st.tuples(st.just("text"), pieces),
    st.tuples(st.just("thinking"), pieces),
    st.tuples(st.just("tool_use"), inputs.map(lambda value: ["", *json.dumps(value)])),
)
answers = st.lists(blocks, min_size=1, max_size=5)


def upstream(answer: list[Block]) -> list[dict[str, Any]]:
    """The events in which an upstream says this answer."""
    said: list[dict[str, Any]] = [{"type": "message_start", "message": {"id": "m", "content": [], "usage": {}}}]
    heads: dict[str, dict[str, Any]] = {
        "text": {"text": ""},
        "thinking": {"thinking": "", "signature": ""},
        "tool_use": {"id": "t", "name": "look", "input": {}},
    }
    names = {
        "text": ("text_delta", "text"),
        "thinking": ("thinking_delta", "thinking"),
        "tool_use": ("input_json_delta", "partial_json"),
    }
    for index, (kind, parts) in enumerate(answer):
        said.append({"type": "content_block_start", "index": index, "content_block": {"type": kind, **heads[kind]}})
        name, field = names[kind]
        said += [
            {"type": "content_block_delta", "index": index, "delta": {"type": name, field: part}} for part in parts
        ]
        if kind == "thinking":
            delta = {"type": "signature_delta", "signature": "sig"}
            said.append({"type": "content_block_delta", "index": index, "delta": delta})
        said.append({"type": "content_block_stop", "index": index})
    said.append({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}})
    return [*said, {"type": "message_stop"}]


def attempt(name: int, answer: list[Block], kept: Kept | None = None) -> list[Entry]:
    """The entries of one attempt which goes on from what is kept."""
    start = {"type": "stream_start", "keep_blocks": kept.blocks if kept else 0}
    translator = Translator(kept.blocks if kept else 0)
    contents = [Content(START, json.dumps(start).encode())]
    contents += [content for data in upstream(answer) for content in translator.feed(data)]
    return [Entry(EntryId(name, seq), *content) for seq, content in enumerate(contents)]


def text(answer: list[Block]) -> str:
    return "".join(part for kind, parts in answer if kind == "text" for part in parts)


def behind(answer: list[Block], kept: Kept | None) -> list[Block]:
    """What an upstream still has to say which is shown the kept text."""
    if kept is None:
        return answer
    left, at = len(kept.text), 0
    for at, (kind, parts) in enumerate(answer):
        if kind == "text":
            if left < len("".join(parts)) or at == len(answer) - 1:
                return [("text", ["".join(parts)[left:]]), *answer[at + 1 :]]
            left -= len("".join(parts))
        elif kind == "tool_use":
            break
    return answer[at:]


@examples
@given(answers)
def test_an_answer_is_folded_into_the_blocks_that_upstream_meant(answer: list[Block]) -> None:
    transcript = Transcript(attempt(5, answer))
    assert [block["type"] for block in transcript.content] == [kind for kind, _ in answer]
    for (kind, parts), block in zip(answer, transcript.content, strict=True):
        if kind == "tool_use":
            assert block["input"] == json.loads("".join(parts))
            assert "partial_json" not in block
        else:
            assert block[kind] == "".join(parts)
            assert block.get("signature", "sig") == "sig"
    assert transcript.text == text(answer)
    assert transcript.stop_reason == "end_turn"


@examples
@given(answers, st.data())
def test_what_is_kept_of_a_cut_answer_is_a_beginning_of_its_text(answer: list[Block], data: st.DataObject) -> None:
    entries = attempt(5, answer)
    entries = entries[: data.draw(st.integers(0, len(entries)))]
    transcript = Transcript(entries)
    assert text(answer).startswith(transcript.text)
    kept = transcript.kept()
    if kept is None:
        return
    assert kept.text
    assert transcript.text.startswith(kept.text)
    through = [entry for entry in entries if entry.id <= kept.through]
    assert through[-1].id == kept.through, "it is an entry of the log"
    assert Transcript(through).text == kept.text
    assert len(Transcript(through).content) == kept.blocks
    assert "tool_use" not in [kind for kind, _ in answer[: kept.blocks]]
    assert transcript.content[kept.blocks - 1]["type"] == "text"
    assert kept.chunks == sum(entry.kind in (TEXT, THINKING) for entry in through)


@examples
@given(answers, st.data())
def test_all_text_before_the_first_tool_is_kept_and_none_behind_it(answer: list[Block], data: st.DataObject) -> None:
    entries = attempt(5, answer)
    entries = entries[: data.draw(st.integers(0, len(entries)))]
    transcript = Transcript(entries)
    kinds = [str(block["type"]) for block in transcript.content]
    prose = transcript.content[: kinds.index("tool_use")] if "tool_use" in kinds else transcript.content
    kept = transcript.kept()
    assert (kept.text if kept else "") == "".join(str(block["text"]) for block in prose if block["type"] == "text")


@examples
@given(answers, st.data())
def test_an_answer_cut_again_and_again_and_continued_is_the_whole_answer(
    answer: list[Block], data: st.DataObject
) -> None:
    entries: list[Entry] = []
    kept: Kept | None = None
    for name in range(data.draw(st.integers(0, 4))):
        said = attempt(name + 1, behind(answer, kept), kept)
        entries += said[: data.draw(st.integers(1, len(said)))]
        kept = Transcript(entries).kept()
        assert kept is None or text(answer).startswith(kept.text)
    entries += attempt(9, behind(answer, kept), kept)
    whole = Transcript(entries)
    assert whole.text == text(answer)
    tools = [block["input"] for block in whole.content if block["type"] == "tool_use"]
    assert tools == [json.loads("".join(parts)) for kind, parts in answer if kind == "tool_use"]


def entries_of(*events: dict[str, Any] | str) -> list[Entry]:
    numbers = count()
    return [
        Entry(EntryId(1, next(numbers)), TEXT, each.encode())
        if isinstance(each, str)
        else Entry(EntryId(1, next(numbers)), EVENT, json.dumps(each).encode())
        for each in events
    ]


def start(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "block_start", "index": index, "block": block}


def test_a_block_that_is_neither_prose_nor_a_tool_ends_what_is_kept() -> None:
    log = entries_of(
        start(0, type="text", text=""), "before", start(1, type="web_search_tool_result", content=[{"url": "u"}]),
        start(2, type="text", text=""), "after",
    )  # fmt: skip
    transcript = Transcript(log)
    kept = transcript.kept()
    assert transcript.text == "beforeafter"
    assert kept is not None
    assert (kept.text, kept.blocks, kept.through) == ("before", 1, EntryId(1, 1))
    assert transcript.content[1] == {"type": "web_search_tool_result", "content": [{"url": "u"}]}


def test_a_tool_input_that_is_not_whole_stays_as_it_came() -> None:
    log = entries_of(start(0, type="tool_use", id="t", name="look", input={}))
    log.append(Entry(EntryId(1, 5), b"i", b'{"a":'))
    assert Transcript(log).content == [
        {"type": "tool_use", "id": "t", "name": "look", "input": {}, "partial_json": '{"a":'}
    ]


def test_citations_signatures_and_unknown_deltas_stay_with_their_block() -> None:
    log = entries_of(
        start(0, type="thinking", thinking="", signature=""),
        {"type": "signature", "signature": "ab"},
        {"type": "signature", "signature": "c"},
        {"type": "block_stop", "index": 0},
        start(1, type="text", text="early "),
        "late",
        {"type": "citation", "citation": {"cited_text": "x"}},
        {"type": "block_delta", "index": 0, "delta": {"type": "of_tomorrow"}},
        {"type": "upstream", "event": {"type": "of_tomorrow"}},
        {"type": "retrying", "code": "c", "tries": 1, "delay_ms": 1},
        {"type": "recovering", "attempt": 1},
    )
    transcript = Transcript(log)
    assert transcript.content == [
        {"type": "thinking", "thinking": "", "signature": "abc", "deltas": [{"type": "of_tomorrow"}]},
        {"type": "text", "text": "early late", "citations": [{"cited_text": "x"}]},
    ]
    assert transcript.open == 1
    assert transcript.last == EntryId(1, 10)


def test_an_empty_log_is_nothing_and_keeps_nothing() -> None:
    transcript = Transcript()
    assert (transcript.text, transcript.content, transcript.open, transcript.kept()) == ("", [], None, None)
    assert (transcript.last, transcript.stop_reason) == (BEGINNING, None)


def test_text_that_comes_with_a_block_is_before_what_follows() -> None:
    thinking = Entry(EntryId(1, 9), THINKING, b"late")
    log = [
        *entries_of(start(0, type="text", text="early "), "late", start(1, type="thinking", thinking="early ")),
        thinking,
    ]
    assert Transcript(log).content == [
        {"type": "text", "text": "early late"},
        {"type": "thinking", "thinking": "early late"},
    ]


def test_thinking_between_texts_is_kept_with_them_also_where_it_is_redacted() -> None:
    log = entries_of(
        start(0, type="text", text="a"), start(1, type="thinking", thinking=""), start(2, type="redacted_thinking", data="x"),
        start(3, type="text", text="b"), start(4, type="redacted_thinking", data="y"),
    )  # fmt: skip
    assert Transcript(log).kept() == Kept("ab", EntryId(1, 3), 4, 0)


@pytest.mark.parametrize(
    "behind",
    [
        {"type": "block_stop", "index": 0},
        {"type": "citation", "citation": {"cited_text": "x"}},
        {"type": "block_delta", "index": 0, "delta": {"type": "of_tomorrow"}},
        {"type": "block_start", "index": 0, "block": {"type": "text", "text": ""}},
        "",
    ],
)
def test_what_belongs_to_a_kept_block_is_kept_with_it(behind: dict[str, Any] | str) -> None:
    transcript = Transcript(entries_of(start(0, type="text", text=""), "a", behind))
    kept = transcript.kept()
    assert kept is not None
    assert (kept.text, kept.through, len(transcript.content)) == ("a", EntryId(1, 2), 1)


def test_the_next_attempt_has_no_open_block_and_no_reason_to_stop_until_it_says_so() -> None:
    first = entries_of(start(0, type="text", text=""), "a")
    ended = [*first, *entries_of(start(1, type="text", text=""), {"type": "usage", "stop_reason": "end_turn"})]
    following = [*ended, Entry(EntryId(2, 0), START, b'{"type":"stream_start","keep_blocks":2}')]
    told = [(each.open, each.stop_reason, len(each.content)) for each in map(Transcript, (first, ended, following))]
    assert told == [(0, None, 1), (1, "end_turn", 2), (None, None, 2)]


def test_an_entry_of_a_kind_of_tomorrow_is_passed_by() -> None:
    transcript = Transcript([*entries_of(start(0, type="text", text="a")), Entry(EntryId(1, 1), b"q", b"no JSON")])
    assert (transcript.text, transcript.last) == ("a", EntryId(1, 1))
