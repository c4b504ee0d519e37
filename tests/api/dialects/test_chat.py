"""The chat form, as the two usual readers of pages see it: one splits at blank lines, one at line ends; as plain Python."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from api.dialects.chat import CHAT_FORM
from api.dialects.chat_text import CHAT_TEXT, frames_of
from api.dialects.native import NATIVE
from broker.events import END, TEXT, THINKING, TOOL_INPUT, Entry, event
from broker.ids import EntryId
from broker.transcript import Transcript
from broker.waiting import Wait
from tests.api.dialects.test_dialects import log_of
from tests.api.dialects.test_text import lines

# Speed is not what is tested: a busy machine must not fail it.
examples = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
END_VALUE = b'{"type":"stream_end","status":"completed","usage":{"output_tokens":3}}'


def by_blocks(stream: str) -> list[str]:
    """`buffer.split('\\n\\n')`, and what is behind `data: ` of each part that begins so, as it stands there."""
    return [part[6:] for part in stream.split("\n\n")[:-1] if part.startswith("data: ")]


def by_lines(stream: str) -> list[str]:
    """`buffer.split('\\n')`, and what is behind `data: ` of each line that begins so."""
    return [line[6:] for line in stream.split("\n")[:-1] if line.startswith("data: ")]


def by_the_standard(stream: str) -> list[str]:
    """As a parser of server-sent events has it: the lines of a frame are one text."""
    parts = [[line[6:] for line in part.split("\n") if line.startswith("data: ")] for part in stream.split("\n\n")[:-1]]
    return ["\n".join(part) for part in parts if part]


READERS = [by_blocks, by_lines]


def entry(seq: int, kind: bytes, value: bytes) -> Entry:
    return Entry(EntryId(5, seq), kind, value)


def told(*contents: tuple[bytes, bytes]) -> list[bytes]:
    return CHAT_FORM.fold(None, [entry(seq, *content) for seq, content in enumerate(contents)])[1]


def stream_of(log: Sequence[Entry]) -> str:
    """What a reader gets, with a keep-alive here and there."""
    frames = CHAT_FORM.fold(None, log)[1]
    return (CHAT_FORM.keep_alive + CHAT_FORM.keep_alive.join(frames) + CHAT_FORM.done).decode()


@pytest.mark.parametrize("reader", READERS)
@examples
@given(seed=st.integers(0, 2**32))
def test_both_readers_get_every_event_and_its_cursor(reader: Callable[[str], list[str]], seed: int) -> None:
    log = log_of(random.Random(seed), 60)
    *events, done = reader(stream_of(log))
    assert done == "[DONE]"
    native = b"".join(NATIVE.fold(None, log)[1]).decode().split("\n\n")[:-1]
    expected = [(json.loads(frame.split("\n")[0][6:]), frame.split("\nid: ")[1]) for frame in native]
    found = [json.loads(said) for said in events]
    assert [(said, said.pop("id")) for said in found] == expected


def test_a_frame_is_one_line_and_a_blank_one() -> None:
    assert told((TEXT, b'a\n"b'), (THINKING, b"hm"), (TOOL_INPUT, b"{"), event("block_stop", index=0)) == [
        b'data: {"type":"text","text":"a\\n\\"b","id":"5-0"}\n\n',
        b'data: {"type":"thinking","thinking":"hm","id":"5-1"}\n\n',
        b'data: {"type":"tool_input","partial_json":"{","id":"5-2"}\n\n',
        b'data: {"type":"block_stop","index":0,"id":"5-3"}\n\n',
    ]


def test_a_tool_call_s_own_id_has_another_name() -> None:
    (start, without), end = (
        told(event("tool_start", index=0, id="toolu_1", name="clock"), event("tool_of", x=1)),
        told((END, END_VALUE)),
    )
    assert json.loads(start[6:]) == {
        "type": "tool_start",
        "index": 0,
        "tool_use_id": "toolu_1",
        "name": "clock",
        "id": "5-0",
    }
    assert json.loads(without[6:]) == {"type": "tool_of", "x": 1, "id": "5-1"}
    assert json.loads(end[0][6:])["id"] == "5-0"


@pytest.mark.parametrize("dialect", [CHAT_FORM, CHAT_TEXT])
def test_what_is_about_the_connection_has_no_id_and_no_line_of_its_own(dialect: Any) -> None:
    assert dialect.gap("rewound") == b'data: {"type":"gap","reason":"rewound"}\n\n'
    assert dialect.drain(927) == b'data: {"type":"drain","retry_ms":927}\n\n'
    assert (dialect.keep_alive, dialect.done) == (b": ka\n\n", b"data: [DONE]\n\n")
    assert dialect.first(b"data: x\n\n") == b"data: x\n\n"
    assert CHAT_FORM.queued(Wait(3, 4000)) == b'data: {"type":"queued","position":3,"estimated_wait_ms":4000}\n\n'
    assert CHAT_TEXT.queued(Wait(3, 4000)) == b""


def test_a_snapshot_s_cursor_is_in_it() -> None:
    log = [entry(0, *event("block_start", index=0, block={"type": "text", "text": ""})), entry(1, TEXT, b"It is")]
    said = json.loads(b"".join(CHAT_FORM.snapshot(Transcript(log)))[6:])
    assert said == {
        "type": "snapshot",
        "text": "It is",
        "content": [{"type": "text", "text": "It is"}],
        "open": 0,
        "id": "5-1",
    }
    assert b"".join(CHAT_TEXT.snapshot(Transcript(log))) == b"data: It is\n\n"
    assert b"".join(CHAT_TEXT.snapshot(Transcript(log[:1]))) == b""


# ── bare text ──


def parsed(said: str) -> Any:
    """As `JSON.parse`; None where it throws."""
    try:
        return json.loads(said, parse_int=str, parse_float=str)
    except ValueError:
        return None


def appended(shown: list[str]) -> tuple[str, dict[str, Any]]:
    """What a page shows that appends what is not JSON, up to `[DONE]`, and the JSON with `done`."""
    text, end = "", dict[str, Any]()
    for said in shown:
        if said == "[DONE]":
            return text, end
        value = parsed(said)
        if isinstance(value, dict) and value.get("done"):
            end = json.loads(said)
        elif value is None:
            text += said
    raise AssertionError("no [DONE]")


def answer(*texts: str) -> list[Entry]:
    block = event("block_start", index=0, block={"type": "text", "text": ""})
    contents = [block, *((TEXT, text.encode()) for text in texts), (END, END_VALUE)]
    return [entry(seq, *content) for seq, content in enumerate(contents)]


def text_stream(log: Sequence[Entry]) -> str:
    return (b"".join(CHAT_TEXT.fold(CHAT_TEXT.begin, log)[1]) + CHAT_TEXT.done).decode()


words = st.sampled_from(
    ["The", " answer", " is", " 42", "3", ".5", "e7", "-", " true", "null", '"', '""', "[", "]", "{", "}", "[DONE]", "\n",
     "\r\n", "\n\n", "data: ", "🧵", '{"done":true}', '"a"', "[[1]", '""x"', '"" "', " ", "1"]
)  # fmt: skip


@examples
@given(st.lists(words, max_size=12))
@example(["[DONE]"])
@example(["a", "\n", "[DONE]", "\n", "b"])
def test_what_a_page_appends_that_reads_frames_is_the_text(texts: list[str]) -> None:
    """But for a number that is the whole of a frame: no more text has come, or it stands on a line of its own."""
    log = answer(*texts)
    whole = lines("".join(texts))
    shown = by_the_standard(text_stream(log))
    assert "".join(said for said in shown[:-2]) == whole
    assert shown[-1] == "[DONE]"
    assert "[DONE]" not in {said.strip() for frame in shown[:-1] for said in frame.split("\n")}
    values = [said for said in shown[:-2] if parsed(said) is not None]
    assert all(said.strip()[:1] in "-0123456789" for said in values)
    text, end = appended(shown)
    if not values:
        assert text == whole
    assert end == {"done": True, **json.loads(END_VALUE), "id": f"5-{len(log) - 1}"}


@examples
@given(st.lists(words.filter(lambda word: "\n" not in word), max_size=12))
def test_what_a_page_appends_that_reads_lines_is_the_text_of_one_line(texts: list[str]) -> None:
    for reader in READERS:
        text, end = appended(reader(text_stream(answer(*texts, " and so on"))))
        assert text == "".join(texts) + " and so on"
        assert end["done"] is True


@examples
@given(st.lists(words, max_size=12), st.data())
def test_a_page_that_was_away_gets_the_same_frames(texts: list[str], data: st.DataObject) -> None:
    log = answer(*texts)
    cut = data.draw(st.integers(0, len(log) - 1))
    state, before = CHAT_TEXT.fold(CHAT_TEXT.begin, log[:cut])
    _, behind = CHAT_TEXT.fold(state, log[cut:])
    assert b"".join(before + behind) + CHAT_TEXT.done == text_stream(log).encode()


def test_a_number_waits_for_the_text_behind_it_and_no_longer_than_to_the_end() -> None:
    frames = CHAT_TEXT.fold(CHAT_TEXT.begin, answer("is", " 42", ",", "7", "\n"))[1]
    assert frames[1:6] == [b"data: is\n\n", b"data:  \n\n", b"data: 42,\n\n", b"", b""]
    assert frames[6].startswith(b'data: 7\ndata: \n\ndata: {"done":true')


def test_a_row_of_numbers_waits_for_no_more_than_so_many() -> None:
    frames = CHAT_TEXT.fold(CHAT_TEXT.begin, answer("1 " * 32, "2", " 3", "a4", "b"))[1]
    assert frames[1] == b""
    assert frames[2] == b"data: " + b"1 " * 32 + b"2\n\n"
    assert frames[3:6] == [b"data:  3\n\n", b"data: a\n\n", b"data: 4b\n\n"]


@examples
@given(st.lists(words, max_size=12), st.data())
def test_what_is_held_follows_from_the_text_alone(texts: list[str], data: st.DataObject) -> None:
    """So it may come in larger pieces (`chunk`), and in others when somebody comes back."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(texts)), max_size=4)))
    pieces = ["".join(texts[start:stop]) for start, stop in zip([0, *cuts], [*cuts, len(texts)], strict=True)]
    one, other = (CHAT_TEXT.fold(CHAT_TEXT.begin, answer(*filter(None, each))[:-1])[0] for each in (texts, pieces))
    assert one == other


def test_what_is_taken_back_is_told_behind_what_was_held() -> None:
    log = [
        entry(0, *event("stream_start", keep_blocks=0)),
        entry(1, *event("block_start", index=0, block={})),
        entry(2, TEXT, b"7"),
        entry(3, *event("stream_start", keep_blocks=0)),
    ]
    assert CHAT_TEXT.fold(CHAT_TEXT.begin, log)[1][3] == b'data: 7\n\ndata: {"type":"discard","keep":0}\n\n'


@pytest.mark.parametrize(
    "text", [b"[" * 5000 + b"]", b'"' * 5000, b"{[" * 2000 + b"1" + b"]}" * 2000, b" \n" * 3000 + b"{}"]
)
def test_however_a_text_looks_it_is_a_few_frames(text: bytes) -> None:
    made = frames_of(text)
    assert made.count(b"\n\n") <= 4
    assert "".join(by_the_standard(made.decode())).encode() == text
