"""An answer that is not streamed: its log amounts to it, and has one entry for a block's text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.events import TEXT, Content, Entry
from broker.ids import EntryId
from broker.transcript import Transcript
from worker.upstreams.anthropic.translate import Translator
from worker.upstreams.anthropic.whole import events_of
from worker.upstreams.malformed import MalformedEvent

WORDS = st.text(max_size=20)
JSON = st.dictionaries(WORDS, st.integers(0, 9) | WORDS | st.lists(st.booleans(), max_size=2), max_size=3)
BLOCKS = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, WORDS),
    st.builds(
        lambda text: {"type": "text", "text": text, "citations": [{"type": "char_location", "cited_text": text}]}, WORDS
    ),
    st.builds(lambda text, sign: {"type": "thinking", "thinking": text, "signature": sign}, WORDS, WORDS.filter(bool)),
    st.builds(lambda given: {"type": "tool_use", "id": "toolu_1", "name": "look", "input": given}, JSON),
    st.builds(lambda given: {"type": "web_search_tool_result", "tool_use_id": "t", "content": [given]}, JSON),
    st.just({"type": "redacted_thinking", "data": "x"}),
)


def message(*blocks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": list(blocks),
        "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 7}, **fields,
    }  # fmt: skip


def told(answer: object) -> tuple[Translator, list[Content]]:
    translator = Translator()
    contents = [each for events in events_of(answer) for event in events for each in translator.feed(event)]
    return translator, contents


def log_of(contents: list[Content]) -> Transcript:
    return Transcript(Entry(EntryId(7, seq), kind, value) for seq, (kind, value) in enumerate(contents))


@given(st.lists(BLOCKS, max_size=5))
def test_the_log_amounts_to_the_answer_with_one_entry_for_each_text(blocks: list[dict[str, Any]]) -> None:
    translator, contents = told(message(*blocks))
    transcript = log_of(contents)
    assert transcript.content == blocks
    assert transcript.stop_reason == translator.stop_reason == "end_turn"
    assert translator.stopped
    assert translator.usage == {"input_tokens": 3, "output_tokens": 7}
    texts = [block["text"].encode() for block in blocks if block["type"] == "text" and block["text"]]
    assert [value for kind, value in contents if kind == TEXT] == texts


def test_an_answer_that_does_not_say_why_it_stopped_has_no_end() -> None:
    translator, contents = told(message({"type": "text", "text": "a"}, stop_reason=None))
    assert not translator.stopped
    assert log_of(contents).text == "a"


def test_it_goes_on_with_the_text_that_was_kept() -> None:
    translator = Translator(keep_blocks=1, unshown="\n")
    answer = message({"type": "text", "text": "\nmore"})
    contents = [each for events in events_of(answer) for event in events for each in translator.feed(event)]
    assert [value for kind, value in contents if kind == TEXT] == [b"more"]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"content": None},
        {"content": "text"},
        message("text"),  # type: ignore[arg-type]
        message({"type": "text"}),
        message({"text": "no type"}),
        message({"type": "text", "text": 7}),
        message({"type": "tool_use", "id": "x"}),
        message({"type": "thinking", "thinking": 7}),
        message(usage=7),
    ],
)
def test_what_is_no_message_is_malformed(answer: Any) -> None:
    with pytest.raises(MalformedEvent):
        told(answer)
