"""A log as OpenAI's own SDK reads it: numbers without holes wherever it resumes, values of its types, and one truth in the
stream and in the whole."""

import random
from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from api.dialects.responses.fold import Responses
from api.dialects.responses.head import Head, end_of, generation_id, response_id
from api.dialects.responses.output import Output
from api.dialects.responses.rope import EMPTY
from broker.events import END, START, TEXT, THINKING, TOOL_INPUT, WITHDRAW, Content, Entry, event
from broker.ids import EntryId
from broker.transcript import Transcript
from broker.vocabulary import Json

ID = "gen_" + "0" * 26
HEAD = Head.of(ID, "sim-1", 1_764_458_415_123, {"team": "a"})
RESPONSES = Responses(HEAD)
EVENTS: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
ENDS: list[Json] = [
    {
        "type": "stream_end",
        "status": "completed",
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 4},
    },
    {"type": "stream_end", "status": "completed", "stop_reason": "max_tokens", "usage": None},
    {"type": "stream_end", "status": "completed", "stop_reason": "refusal", "usage": None},
    {"type": "stream_end", "status": "cancelled", "stop_reason": None, "usage": None},
    {"type": "error", "code": "upstream_rate_limited", "message": "Slow down.", "status": 429, "usage": None},
]


def start(keep: int = 0) -> Content:
    return event("stream_start", keep_blocks=keep, server_tools=["clock"])._replace(kind=START)


def block_of(rng: random.Random, index: int) -> list[Content]:
    """A block of any kind, whole."""
    texts = [rng.choice(["a", " é", "\n\n", "🧵", '"', "b" * 900]) for _ in range(rng.randrange(5))]
    heads: list[tuple[bytes, Json, list[str]]] = [
        (TEXT, {"type": "text", "text": ""}, texts),
        (THINKING, {"type": "thinking", "thinking": "", "signature": ""}, texts),
        (TEXT, {"type": "redacted_thinking", "data": "sealed"}, []),
        (TOOL_INPUT, {"type": "tool_use", "id": f"call_{index}", "name": "mine", "input": {}}, ['{"a":', "1}"]),
        (TOOL_INPUT, {"type": "tool_use", "id": f"call_{index}", "name": "clock", "input": {}}, ['{"a":', "1}"]),
        (TEXT, {"type": "container_upload", "file_id": "file_1"}, []),
    ]
    kind, head, pieces = rng.choice(heads)
    contents = [event("block_start", index=index, block=head), *(Content(kind, piece.encode()) for piece in pieces)]
    if kind == THINKING:
        contents.append(event("signature", signature="sig"))
    if head["type"] == "text" and rng.random() < 0.5:
        cited = {"type": "char_location", "document_index": 1, "document_title": "t", "cited_text": "x"}
        contents += [event("citation", citation=cited), event("citation", citation={"url": "https://example.org/"})]
    contents.append(event("block_stop", index=index))
    return contents


def log_of(rng: random.Random, blocks: int, end: Json, cut: bool = False) -> list[Entry]:
    contents, index = [start(), event("message", message={})], 0
    for _ in range(blocks):
        block = block_of(rng, index)
        contents += block
        index += 1
        if b'"clock"' in block[0].value:
            result = {
                "type": "tool_result",
                "tool_use_id": f"call_{index - 1}",
                "content": "noon",
                "is_error": rng.random() < 0.3,
            }
            contents += [event("tool_start", index=index - 1), event("block_start", index=index, block=result)]
            contents.append(event("block_stop", index=index))
            index += 1
    if cut and blocks:
        contents.pop()
    entries = [Entry(EntryId(7, seq), kind, value) for seq, (kind, value) in enumerate(contents)]
    return [*entries, Entry(EntryId(8, 0), END, orjson.dumps(end))]


def events_of(frames: Sequence[bytes]) -> list[Json]:
    """As a reader of server-sent events splits them."""
    blocks = b"".join(frames).decode().split("\n\n")
    assert blocks.pop() == ""
    found = []
    for block in blocks:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        said: Json = orjson.loads(fields["data"])
        assert said["type"] == fields["event"]
        found.append(said)
    return found


def all_of(log: list[Entry]) -> list[Json]:
    return events_of([RESPONSES.created(None), *RESPONSES.fold(RESPONSES.begin, log)[1]])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 6), st.sampled_from(ENDS), st.booleans())
def test_events_are_of_the_sdks_types_and_numbered_without_holes(seed: int, blocks: int, end: Json, cut: bool) -> None:
    found = all_of(log_of(random.Random(seed), blocks, end, cut=cut))
    assert [each["sequence_number"] for each in found] == list(range(len(found)))
    for each in found:
        EVENTS.validate_python(each, strict=True)
    assert found[0]["type"] == "response.created"
    opened = [each["output_index"] for each in found if each["type"] == "response.output_item.added"]
    closed = [each["output_index"] for each in found if each["type"] == "response.output_item.done"]
    assert opened == list(range(len(opened)))
    assert sorted(closed) == opened  # type: ignore[type-var]  # numbers


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 6), st.sampled_from(ENDS), st.booleans())
def test_the_whole_says_what_the_stream_has_said(seed: int, blocks: int, end: Json, cut: bool) -> None:
    log = log_of(random.Random(seed), blocks, end, cut=cut)
    streamed = all_of(log)[-1]["response"]
    ended = end_of(end)
    output = b"".join(Output(ID)(Transcript(log)))
    whole = orjson.loads(HEAD.up_to_output(ended.status, **ended.more) + output + b"}")
    Response.model_validate(whole, strict=True)
    if not ended.complete:  # whether its last blocks were whole is not known any more
        for each in (*whole["output"], *streamed["output"]):  # type: ignore[index]
            del each["status"]
    assert whole == streamed


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_the_deltas_of_an_item_joined_are_its_text(seed: int) -> None:
    found = all_of(log_of(random.Random(seed), 5, ENDS[0]))
    joined: dict[object, str] = {}
    for each in found:
        if str(each["type"]).endswith(".delta"):
            joined[each["item_id"]] = joined.get(each["item_id"], "") + str(each["delta"])
        elif str(each["type"]).endswith(("text.done", "arguments.done")):
            assert joined.get(each["item_id"], "") == each.get("text", each.get("arguments"))


def test_a_call_that_the_server_makes_is_none_that_a_client_would_make() -> None:
    contents = [start()]
    for index, name in enumerate(("mine", "clock")):
        head = {"type": "tool_use", "id": f"call_{index}", "name": name, "input": {}}
        contents += [event("block_start", index=index, block=head), event("block_stop", index=index)]
    log = [Entry(EntryId(7, seq), *each) for seq, each in enumerate(contents)]
    found = all_of([*log, Entry(EntryId(8, 0), END, orjson.dumps(ENDS[0]))])
    added = [each["item"]["type"] for each in found if each["type"] == "response.output_item.added"]  # type: ignore[index]
    assert added == ["function_call", "mcp_call"]


def test_an_attempt_that_goes_on_with_the_text_opens_no_second_item() -> None:
    text = event("block_start", index=0, block={"type": "text", "text": ""})
    first = [start(), text, Content(TEXT, b"It "), event("block_stop", index=0)]
    second = [start(1), text, Content(TEXT, b"is."), event("block_stop", index=0)]
    log = [Entry(EntryId(7, seq), *each) for seq, each in enumerate(first)]
    log += [Entry(EntryId(8, seq), *each) for seq, each in enumerate(second)]
    found = all_of([*log, Entry(EntryId(9, 0), END, orjson.dumps(ENDS[0]))])
    assert [each["type"] for each in found].count("response.output_item.added") == 1
    assert found[-1]["response"]["output"][0]["content"][0]["text"] == "It is."  # type: ignore[index]


def test_an_attempt_that_takes_back_what_was_shown_is_an_error_and_nothing_else_is_said() -> None:
    text = event("block_start", index=0, block={"type": "text", "text": ""})
    first = [start(), text, Content(TEXT, b"Wrong")]
    log = [Entry(EntryId(7, seq), *each) for seq, each in enumerate(first)]
    log += [Entry(EntryId(8, seq), *each) for seq, each in enumerate([start(0), text, Content(TEXT, b"Right")])]
    found = all_of([*log, Entry(EntryId(9, 0), END, orjson.dumps(ENDS[0]))])
    assert [each["type"] for each in found][-3:] == ["response.output_text.delta", "error", "error"]
    assert found[-2]["error"]["code"] == "begun_anew"  # type: ignore[index]


def test_what_was_withdrawn_is_in_no_response() -> None:
    blocked = {"type": "error", "code": "blocked", "message": "no", "status": 422, "withdrawn": True, "usage": None}
    text = [start(), event("block_start", index=0, block={"type": "text", "text": ""}), Content(TEXT, b"Secret")]
    log = [Entry(EntryId(7, seq), *each) for seq, each in enumerate(text)]
    log += [Entry(EntryId(7, 3), WITHDRAW, b'{"type":"withdraw"}'), Entry(EntryId(8, 0), END, orjson.dumps(blocked))]
    for read in (log, log[3:]):
        response: Json = all_of(read)[-1]["response"]  # type: ignore[assignment]
        assert (response["status"], response["output"]) == ("incomplete", [])
        assert response["incomplete_details"] == {"reason": "content_filter"}


def test_what_was_cancelled_before_it_began_has_an_end() -> None:
    found = all_of([Entry(EntryId(1, 0), END, orjson.dumps(ENDS[3]))])
    assert [each["type"] for each in found] == ["response.created", "response.queued", "response.incomplete"]
    assert found[-1]["response"]["status"] == "cancelled"  # type: ignore[index]


@given(st.lists(st.binary(max_size=5000), max_size=8))
def test_a_rope_is_the_same_in_whatever_pieces_it_came(pieces: list[bytes]) -> None:
    rope = EMPTY
    for piece in pieces:
        rope = rope.with_more(piece)
    whole = b"".join(pieces)
    assert rope == EMPTY.with_more(whole)
    assert rope.size == len(whole)
    clean = EMPTY.with_more("é".encode() * 3000)
    assert clean.text() == "é" * 3000


@pytest.mark.parametrize("id_", ["gen_" + "0" * 26, "gen_C01" + "Z" * 23])
def test_an_id_of_a_response_is_that_of_its_generation(id_: str) -> None:
    assert generation_id(response_id(id_)) == id_
    assert generation_id(id_) == ""
