"""A log as LangGraph's clients read it, with LangChain's own messages: what chunks add up to is what the whole says."""

import random
from functools import reduce
from operator import add
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk, convert_to_messages

from api.dialects.langgraph import MODES, LangGraph
from broker.events import END, TEXT, Content, Entry
from broker.ids import EntryId
from tests.api.dialects.test_responses import ENDS, ID, log_of, start

DONE: dict[str, object] = {
    "type": "stream_end",
    "status": "completed",
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 4},
}
ALL = LangGraph("t", ID, frozenset(MODES), b'[{"type":"human","content":"Hi"}]')

Event = tuple[str, Any]


def events_of(frames: list[bytes]) -> list[Event]:
    """Their events; the id is the last one's of each frame."""
    found: list[Event] = []
    for frame in filter(None, frames):
        *rest, last = (each for each in frame.split(b"\n\n")[:-1])
        assert not any(b"\nid: " in each for each in rest)
        assert last.rpartition(b"\n")[2].startswith(b"id: ")
        for each in (*rest, last.rpartition(b"\n")[0]):
            name, data = each.split(b"\n", 1)
            found.append((name.removeprefix(b"event: ").decode(), orjson.loads(data.removeprefix(b"data: "))))
    return found


def told(log: list[Entry], dialect: LangGraph = ALL) -> list[Event]:
    return events_of(dialect.fold(dialect.begin, log)[1])


def of(log: list[Entry], name: str) -> list[Any]:
    return [data for kind, data in told(log) if kind == name]


def words(message: Any) -> str:
    own = message["content"]
    return own if isinstance(own, str) else "".join(str(each.get("text", "")) for each in own)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(0, 8))
def test_all_modes_come_to_the_same_messages(seed: int, blocks: int) -> None:
    log = log_of(random.Random(seed), blocks, DONE)
    (answer,) = of(log, "updates")
    messages = answer["model"]["messages"]
    assert [each for (each,) in of(log, "messages/complete")] == messages
    assert of(log, "values")[-1]["messages"] == [{"type": "human", "content": "Hi"}, *messages]
    assert told(log)[-1] == ("end", None)
    convert_to_messages(messages)
    partials = {each["id"]: each for (each,) in of(log, "messages/partial")}
    for message in messages:
        if message["type"] == "ai" and (shown := partials.get(message["id"])) is not None:
            assert words(shown) == words(message)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 8))
def test_chunks_add_up_to_the_message(seed: int, blocks: int) -> None:
    log = log_of(random.Random(seed), blocks, DONE)
    (answer,) = of(log, "updates")
    for message in answer["model"]["messages"]:
        chunks = [
            each for each, _ in of(log, "messages") if each["id"] == message["id"] and each["type"] == "AIMessageChunk"
        ]
        if message["type"] != "ai" or not chunks:
            continue
        whole = reduce(add, (AIMessageChunk(**each) for each in chunks))
        texts = [each if isinstance(each, str) else each.get("text", "") for each in whole.content]
        assert "".join(texts) == words(message)
        assert [(call["id"], call["args"]) for call in whole.tool_calls] == [
            (call["id"], call["args"]) for call in message["tool_calls"]
        ]


def test_a_message_is_told_anew_only_when_it_has_grown_by_a_thirty_second() -> None:
    contents = [start(), Content(b"j", b'{"type":"block_start","index":0,"block":{"type":"text","text":""}}')]
    contents += [Content(TEXT, b"word ")] * 4000
    log = [Entry(EntryId(7, seq), *each) for seq, each in enumerate(contents)]
    log.append(Entry(EntryId(8, 0), END, orjson.dumps(DONE)))
    partials = of(log, "messages/partial")
    assert len(partials) < 300
    assert sum(len(each["content"]) for (each,) in partials) < 40 * 20_000


def test_what_did_not_succeed_ends_with_an_error() -> None:
    for end in ENDS:
        log = log_of(random.Random(1), 2, end)
        name, data = told(log)[-1]
        failed = "code" in end or end.get("status") == "cancelled"
        assert name == ("error" if failed else "end")
        if failed:
            assert data["error"] == end.get("code", "UserInterrupt")


def test_an_attempt_that_takes_back_what_was_told_in_chunks_is_an_error_and_nothing_else_is_said() -> None:
    text = Content(b"j", b'{"type":"block_start","index":0,"block":{"type":"text","text":""}}')
    log = [Entry(EntryId(7, seq), *each) for seq, each in enumerate([start(), text, Content(TEXT, b"Wrong")])]
    log += [Entry(EntryId(8, seq), *each) for seq, each in enumerate([start(0), text, Content(TEXT, b"Right")])]
    log.append(Entry(EntryId(9, 0), END, orjson.dumps(DONE)))
    found = told(log)
    assert [data["error"] for name, data in found if name == "error"] == ["begun_anew", "begun_anew"]
    values = told(log, LangGraph("t", ID, frozenset(("values", "messages"))))
    assert values[-2][1]["messages"][-1]["content"] == "Right"
