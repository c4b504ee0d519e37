"""OpenAI's Chat Completions: the chunks as OpenAI's SDK puts them together, and the whole that they come to."""

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from api.dialects.completion import completion, message
from api.dialects.completions import COMPLETIONS, COMPLETIONS_WITH_USAGE, Completions
from broker.events import END, START, TEXT, THINKING, TOOL_INPUT, WITHDRAW, Content, Entry, event
from broker.ids import EntryId
from broker.record import Record
from broker.transcript import Transcript
from tests.api.dialects.test_chat import by_blocks

GENERATION = "gen_" + "0" * 26
STARTED = 1_700_000_000_123
USAGE = {"input_tokens": 7, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 1, "output_tokens": 5}


def start(keep: int = 0) -> Content:
    said = event("stream_start", generation=GENERATION, model="m", reason="start", keep_blocks=keep)
    return Content(START, said.value)


def opened(index: int, type_: str, **more: object) -> Content:
    return event("block_start", index=index, block={"type": type_, **more})


def ended(**fields: object) -> Content:
    said = {"status": "completed", "stop_reason": "end_turn", "usage": USAGE, **fields}
    return Content(END, event("stream_end", **said).value)


def log(*attempts: Sequence[Content]) -> list[Entry]:
    """Attempt after attempt, a second apart."""
    return [
        Entry(EntryId(STARTED + 1000 * number, seq), *content)
        for number, contents in enumerate(attempts)
        for seq, content in enumerate(contents)
    ]


def said(entries: list[Entry], dialect: Completions = COMPLETIONS) -> list[dict[str, Any]]:
    _, frames = dialect.fold(dialect.begin, entries)
    stream = b"".join(frames).decode()
    return [json.loads(line[6:]) for line in stream.split("\n") if line.startswith("data: ")]


def put_together(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """As the SDK does it."""
    state = ChatCompletionStreamState()
    for chunk in chunks:
        assert not chunk.get("error")
        list(state.handle_chunk(ChatCompletionChunk.model_validate(chunk)))
    return state.get_final_completion().to_dict()


def whole(entries: list[Entry], model: str = "m") -> dict[str, Any]:
    record = Record.new(GENERATION, model, STARTED - 5, "")
    end = json.loads(entries[-1].value)
    object.__setattr__(record, "started_ms", STARTED)
    object.__setattr__(record, "end", end)
    told: dict[str, Any] = json.loads(b"".join(completion(record, message(Transcript(entries)))))
    return told


def alike(made: dict[str, Any], told: dict[str, Any]) -> None:
    """What the SDK has put together is the whole, but for what it adds itself."""
    assert {made[name] for name in ("id", "model", "created")} == {told[name] for name in ("id", "model", "created")}
    (mine,), (theirs,) = told["choices"], made["choices"]
    assert theirs["finish_reason"] == mine["finish_reason"]
    expected = {name: value for name, value in mine["message"].items() if value is not None}
    found = {name: value for name, value in theirs["message"].items() if value is not None and name != "parsed"}
    for each in (*found.get("tool_calls", ()), *found.get("annotations", ())):
        each.pop("index", None)
        each.get("function", {}).pop("parsed_arguments", None)
    assert found == expected


TALK = (
    start(),
    event("message", message={"id": "msg_1"}),
    opened(0, "thinking", thinking="", signature=""), Content(THINKING, b"hm"), event("signature", signature="sig"),
    event("block_stop", index=0),
    opened(1, "text", text=""), Content(TEXT, b"It\n"), Content(TEXT, " \u00e9\u2028".encode()), event("block_stop", index=1),
    opened(2, "tool_use", id="t1", name="look", input={}), Content(TOOL_INPUT, b'{"a":'), Content(TOOL_INPUT, b"1}"),
    event("block_stop", index=2),
    opened(3, "tool_use", id="t2", name="go", input={}), event("block_stop", index=3),
    event("usage", stop_reason="tool_use"),
)  # fmt: skip


def test_the_chunks_come_to_the_whole() -> None:
    entries = log(TALK, [ended(stop_reason="tool_use")])
    made, told = put_together(said(entries)), whole(entries)
    alike(made, told)
    assert told["object"] == "chat.completion"
    assert told["created"] == STARTED // 1000
    assert told["choices"][0]["finish_reason"] == "tool_calls"
    assert [each["function"] for each in told["choices"][0]["message"]["tool_calls"]] == [
        {"name": "look", "arguments": '{"a":1}'}, {"name": "go", "arguments": "{}"},
    ]  # fmt: skip
    assert told["choices"][0]["message"]["reasoning_content"] == "hm"


def test_every_chunk_has_one_id_one_time_and_one_model_and_the_first_has_the_role() -> None:
    chunks = said(log(TALK, [start(4), opened(4, "text", text=""), Content(TEXT, b"!")], [ended()]))
    assert {(each["id"], each["created"], each["model"]) for each in chunks} == {
        ("chatcmpl-" + "0" * 26, STARTED // 1000, "m")
    }
    assert [each["choices"][0]["delta"].get("role") for each in chunks] == ["assistant", *[None] * (len(chunks) - 1)]


def test_usage_is_a_chunk_without_choices_for_who_asked_for_it_and_the_last_one() -> None:
    entries = log([start(), opened(0, "text", text=""), Content(TEXT, b"x")], [ended()])
    assert said(entries, COMPLETIONS_WITH_USAGE)[:-1] == said(entries)
    last = said(entries, COMPLETIONS_WITH_USAGE)[-1]
    assert last["choices"] == []
    assert last["usage"] == whole(entries)["usage"]
    assert last["usage"] == {
        "prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16,
        "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"), ("stop_sequence", "stop"), ("pause_turn", "stop"), ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"), ("tool_use", "tool_calls"), ("refusal", "content_filter"),
    ],
)  # fmt: skip
def test_each_stop_reason_has_its_finish_reason(stop: str, finish: str) -> None:
    entries = log([start(), opened(0, "text", text=""), Content(TEXT, b"x")], [ended(stop_reason=stop)])
    assert said(entries)[-1]["choices"][0]["finish_reason"] == finish
    assert whole(entries)["choices"][0]["finish_reason"] == finish


def test_an_answer_that_says_nothing_is_an_empty_text() -> None:
    for entries in (log([start()], [ended()]), log([start(), opened(0, "text", text="")], [ended()])):
        alike(put_together(said(entries)), whole(entries))
        assert whole(entries)["choices"][0]["message"]["content"] == ""


def test_what_goes_on_after_a_crash_goes_on_here() -> None:
    entries = log(
        [start(), opened(0, "text", text=""), Content(TEXT, b"It "), opened(1, "thinking", thinking="")],
        [start(1), opened(0, "text", text=""), Content(TEXT, b"is"), event("block_stop", index=0)],
        [ended()],
    )
    alike(put_together(said(entries)), whole(entries))
    assert whole(entries)["choices"][0]["message"]["content"] == "It is"


@pytest.mark.parametrize(
    "shown",
    [
        [opened(0, "text", text=""), Content(TEXT, b"It")],
        [opened(0, "thinking", thinking=""), Content(THINKING, b"It")],
        [opened(0, "tool_use", id="t", name="n", input={})],
    ],
)
def test_what_was_shown_is_never_taken_back_in_silence(shown: list[Content]) -> None:
    again = [start(), opened(0, "text", text=""), Content(TEXT, b"other")]
    chunks = said(log([start(), *shown], again, [ended()]))
    assert chunks[-1]["error"]["code"] == "begun_anew"
    assert len(chunks) == 3
    chunks = said(log([start(), *shown], [Content(WITHDRAW, b'{"type":"withdraw"}')], [ended()]))
    assert chunks[-1]["error"]["code"] == "blocked"


def test_an_answer_of_which_nothing_was_shown_begins_anew_unseen() -> None:
    entries = log([start(), opened(0, "text", text="")], [start(), *TALK[1:]], [ended(stop_reason="tool_use")])
    alike(put_together(said(entries)), whole(entries))


def test_calls_that_are_written_by_turns_stay_apart() -> None:
    entries = log(
        [
            start(),
            opened(0, "tool_use", id="t1", name="a", input={}), opened(1, "tool_use", id="t2", name="b", input={}),
            opened(0, "tool_use", id="t1", name="a", input={}), Content(TOOL_INPUT, b'{"x":'),
            opened(1, "tool_use", id="t2", name="b", input={}), Content(TOOL_INPUT, b"{}"),
            opened(0, "tool_use", id="t1", name="a", input={}), Content(TOOL_INPUT, b"2}"),
            event("block_stop", index=0), event("block_stop", index=1),
        ],
        [ended(stop_reason="tool_use")],
    )  # fmt: skip
    alike(put_together(said(entries)), whole(entries))


def test_a_tool_of_the_upstreams_own_is_no_call_of_the_readers() -> None:
    entries = log([
        start(), opened(0, "server_tool_use", id="s", name="web_search", input={}), Content(TOOL_INPUT, b"{}"),
        opened(1, "text", text=""), Content(TEXT, b"x"),
    ], [ended()])  # fmt: skip
    alike(put_together(said(entries)), whole(entries))
    assert "tool_calls" not in whole(entries)["choices"][0]["message"]


def test_citations_of_pages_are_annotations() -> None:
    page = {"url": "https://x.test", "title": "X", "start_index": 0, "end_index": 1}
    entries = log([
        start(), opened(0, "text", text=""), Content(TEXT, b"x"),
        event("citation", citation={"type": "url_citation", **page}),
        event("citation", citation={"type": "url_citation", "url_citation": page}),
        event("citation", citation={"type": "char_location", "cited_text": "no words for it"}),
    ], [ended()])  # fmt: skip
    alike(put_together(said(entries)), whole(entries))
    assert (
        whole(entries)["choices"][0]["message"]["annotations"] == [{"type": "url_citation", "url_citation": page}] * 2
    )


@pytest.mark.parametrize(
    ("end", "code", "type_"),
    [
        (event("error", code="upstream_overloaded", message="Much to do.", status=529), "upstream_overloaded", "server_error"),
        (event("error", code="upstream_rate_limited", message="!", status=429), "upstream_rate_limited", "rate_limit_error"),
        (event("error", code="upstream_invalid_request", message="!"), "upstream_invalid_request", "invalid_request_error"),
        (event("stream_end", status="cancelled", reason="requested"), "cancelled", "server_error"),
    ],
)  # fmt: skip
def test_any_other_end_is_an_error(end: Content, code: str, type_: str) -> None:
    chunks = said(log([start(), opened(0, "text", text=""), Content(TEXT, b"x")], [Content(END, end.value)]))
    assert "finish_reason" in chunks[-2]["choices"][0]
    assert (chunks[-1]["error"]["code"], chunks[-1]["error"]["type"]) == (code, type_)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32))
def test_every_frame_is_as_the_usual_readers_of_pages_take_it(seed: int) -> None:
    """Lines of `data: `, and one of `id: ` behind the last of an entry: they are the cursor, and chat readers skip them."""
    rng = random.Random(seed)
    texts = [rng.choice(("a", "\n\n", "data: x", "\u2028", '"')) for _ in range(9)]
    entries = log([start(), opened(0, "text", text=""), *(Content(TEXT, text.encode()) for text in texts)], [ended()])
    _, frames = COMPLETIONS.fold(COMPLETIONS.begin, entries)
    stream = b"".join(frames).decode()
    chunks = [json.loads(each.split("\nid: ")[0]) for each in by_blocks(stream)]
    assert "".join(each["choices"][0]["delta"].get("content", "") for each in chunks) == "".join(texts)
