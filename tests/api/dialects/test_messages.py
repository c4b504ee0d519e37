"""A log in the words of Anthropic's Messages: as its official SDK adds up the events, and as the whole that they come to."""

import json
from typing import Any

from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from api.dialects.messages import MESSAGES, PING
from api.dialects.messages_whole import message
from broker.events import END, START, TEXT, THINKING, TOOL_INPUT, WITHDRAW, Entry, event
from broker.ids import EntryId
from broker.transcript import Transcript

EVENTS: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)
BEGUN = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "usage": {"input_tokens": 7, "output_tokens": 1},
}
DONE: tuple[bytes, bytes] = (END, b'{"type":"stream_end","status":"completed","stop_reason":"end_turn"}')
USAGE = event("usage", stop_reason="end_turn", stop_sequence=None, usage={"output_tokens": 9})


def start(keep: int = 0) -> tuple[bytes, bytes]:
    return START, event("stream_start", keep_blocks=keep, generation="gen_1").value


def block(index: int, type_: str = "text", **more: Any) -> tuple[bytes, bytes]:
    return tuple(event("block_start", index=index, block={"type": type_, **more}))  # type: ignore[return-value]


def log(*attempts: list[Any]) -> list[Entry]:
    return [
        Entry(EntryId(number, seq), *entry)
        for number, entries in enumerate(attempts, 1)
        for seq, entry in enumerate(entries)
    ]


def told(entries: list[Entry]) -> list[tuple[str, dict[str, Any]]]:
    """The events by their names."""
    _, frames = MESSAGES.fold(MESSAGES.begin, entries)
    found = []
    for frame in b"".join(frames).decode().split("\n\n")[:-1]:
        name, data = frame.split("\n")[:2]
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def whole(entries: list[Entry]) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(b"".join(message(Transcript(entries))))
    return shown


CITED = {
    "type": "char_location", "cited_text": "It", "document_index": 0, "document_title": None, "file_id": None,
    "start_char_index": 0, "end_char_index": 2,
}  # fmt: skip
ONE = [
    start(),
    event("message", message=BEGUN),
    block(0, "thinking", thinking="", signature=""),
    (THINKING, b"Hm"),
    event("signature", signature="s"),
    event("block_stop", index=0),
    block(1, text=""),
    (TEXT, b"It"),
    (TEXT, b" is"),
    event("citation", citation=CITED),
    event("block_stop", index=1),
    block(2, "tool_use", id="t", name="look", input={}),
    (TOOL_INPUT, b'{"a":'),
    (TOOL_INPUT, b"1}"),
    event("block_stop", index=2),
    USAGE,
    DONE,
]


def test_the_events_are_those_that_the_sdk_reads_and_come_to_the_whole() -> None:
    events = told(log(ONE))
    assert all(name == data["type"] for name, data in events)
    for _, data in events:
        EVENTS.validate_python(data)
    assert [name for name, _ in events][-2:] == ["message_delta", "message_stop"]
    shown = Message.model_validate(whole(log(ONE)))
    assert shown.usage.model_dump(exclude_none=True) == {"input_tokens": 7, "output_tokens": 9}
    thinking, text, tool = whole(log(ONE))["content"]
    assert (thinking["thinking"], thinking["signature"]) == ("Hm", "s")
    assert (text["text"], text["citations"]) == ("It is", [CITED])
    assert tool["input"] == {"a": 1}
    assert shown.stop_reason == "end_turn"


def test_an_answer_that_goes_on_is_one_message_and_one_block() -> None:
    first = [start(), event("message", message=BEGUN), block(0, text=""), (TEXT, b"It")]
    second = [start(1), event("message", message={**BEGUN, "id": "msg_2"}), block(0, text=""), (TEXT, b" is"),
              event("block_stop", index=0), USAGE, DONE]  # fmt: skip
    assert [name for name, _ in told(log(first, second))] == [
        "message_start", "content_block_start", "content_block_delta", "content_block_delta", "content_block_stop",
        "message_delta", "message_stop",
    ]  # fmt: skip
    shown = whole(log(first, second))
    assert (shown["id"], shown["content"][0]["text"]) == ("msg_1", "It is")


def test_what_was_shown_and_is_taken_back_ends_in_an_error_and_nothing_is_spliced() -> None:
    first = [start(), event("message", message=BEGUN), block(0, text=""), (TEXT, b"No")]
    anew = [start(), event("message", message=BEGUN), block(0, text=""), (TEXT, b"Yes"), USAGE, DONE]
    *_, (name, error), (last, _) = events = told(log(first, anew))
    assert len(events) == 5
    assert (name, error["error"]["details"]) == ("error", {"error_code": "begun_anew", "generation": "gen_1"})
    assert last == "ping"
    assert MESSAGES.fold(MESSAGES.begin, log(first, anew))[1][-1] == PING
    assert whole(log(first, anew))["content"] == [{"type": "text", "text": "Yes"}]
    withdrawn = log(first, [(WITHDRAW, b'{"type":"withdraw"}'), DONE])
    assert [name for name, _ in told(withdrawn)][-2:] == ["error", "ping"]


def test_what_was_not_shown_may_begin_anew() -> None:
    first, anew = [start(), event("message", message=BEGUN)], [*ONE]
    assert [name for name, _ in told(log(first, anew))] == [name for name, _ in told(log(ONE))]


def test_an_end_that_is_no_answer_is_an_error_of_its_status() -> None:
    ends: tuple[tuple[dict[str, Any], str, str], ...] = (
        ({"type": "stream_end", "status": "cancelled"}, "invalid_request_error", "cancelled"),
        ({"type": "error", "code": "blocked", "status": 529, "message": "m"}, "overloaded_error", "blocked"),
        ({"type": "error", "code": "idle_timeout"}, "timeout_error", "idle_timeout"),
    )
    for end, type_, code in ends:
        ((name, said),) = told(log([start(), (END, json.dumps(end).encode())]))
        assert (name, said["error"]["type"], said["error"]["details"]["error_code"]) == ("error", type_, code)


def test_what_an_upstream_says_at_its_end_in_parts_is_one() -> None:
    parts = [start(), event("message", message=BEGUN), event("usage", usage={"output_tokens": 3, "input_tokens": 8}),
             event("usage", stop_reason="refusal", usage={"output_tokens": 4, "input_tokens": None}), DONE]  # fmt: skip
    _, (_, delta), _ = told(log(parts))
    assert delta["delta"]["stop_reason"] == "refusal"
    assert delta["usage"] == {"output_tokens": 4, "input_tokens": 8}
    assert whole(log(parts))["usage"] == delta["usage"]
