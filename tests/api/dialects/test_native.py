"""Our own vocabulary, byte by byte."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.dialects import UNKNOWN
from api.dialects.native import NATIVE, local_frame, wire_json
from broker.events import EVENT, TEXT, THINKING, TOOL_INPUT, Content, Entry, event
from broker.ids import BEGINNING, EntryId
from broker.transcript import Transcript
from broker.waiting import Wait
from tests.harness.client import frames

# Speed is not what is tested: a busy machine must not fail it.
examples = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

awkward = st.sampled_from(
    ["\n", "\r", "\u2028", "\u2029", "\x85", "\ufeff", "\x00", "data: x\n\n", "1:t", "🧵", '"', "\\"]
)
texts = st.lists(st.text() | awkward).map("".join)


@examples
@given(texts)
def test_text_is_one_line_of_json_and_the_same_text_again(text: str) -> None:
    for kind, name, field in (
        (TEXT, "text", "text"),
        (THINKING, "thinking", "thinking"),
        (TOOL_INPUT, "tool_input", "partial_json"),
    ):
        line = wire_json(kind, text.encode())
        assert b"\n" not in line
        assert b"\r" not in line
        assert json.loads(line) == {"type": name, field: text}


@examples
@given(st.lists(st.tuples(st.sampled_from([TEXT, THINKING, TOOL_INPUT]), texts), min_size=1), st.data())
def test_frames_are_read_back_however_the_bytes_are_cut(contents: list[tuple[bytes, str]], data: st.DataObject) -> None:
    entries = [Entry(EntryId(7, place), kind, text.encode()) for place, (kind, text) in enumerate(contents)]
    state, made = NATIVE.fold(None, entries)
    raw = b"".join(made)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    got = list(frames(iter(pieces)))
    assert (state, len(made)) == (None, len(entries))
    assert [each.id for each in got] == [f"7-{place}" for place in range(len(contents))]
    assert [next(v for k, v in each.data.items() if k != "type") for each in got] == [text for _, text in contents]


def test_the_id_comes_behind_the_data_and_a_blank_line_ends_the_frame() -> None:
    entries = [Entry(EntryId(5, 3), TEXT, b"a\nb"), Entry(EntryId(5, 4), *event("block_stop", index=0))]
    assert NATIVE.fold(None, entries)[1] == [
        b'data: {"type":"text","text":"a\\nb"}\nid: 5-3\n\n',
        b'data: {"type":"block_stop","index":0}\nid: 5-4\n\n',
    ]


def test_what_is_about_the_connection_has_no_id() -> None:
    assert (
        NATIVE.gap("rewound") == local_frame("gap", reason="rewound") == b'data: {"type":"gap","reason":"rewound"}\n\n'
    )
    assert NATIVE.queued(Wait(3, 4000)) == b'data: {"type":"queued","position":3,"estimated_wait_ms":4000}\n\n'
    assert NATIVE.drain(927) == b'data: {"type":"drain"}\nretry: 927\n\n'
    assert (NATIVE.keep_alive, NATIVE.done) == (b": ka\n", b"data: [DONE]\n\n")


def test_a_snapshot_stands_for_what_is_up_to_its_id() -> None:
    contents = [event("block_start", index=0, block={"type": "text", "text": ""}), Content(TEXT, b"It is")]
    transcript = Transcript(Entry(EntryId(5, seq), *content) for seq, content in enumerate(contents))
    assert b"".join(NATIVE.snapshot(transcript)) == (
        b'data: {"type":"snapshot","text":"It is","content":[{"type":"text","text":"It is"}],"open":0}\nid: 5-1\n\n'
    )


def test_a_client_is_told_once_when_to_come_back_and_with_an_event() -> None:
    assert NATIVE.first(b": ka\ndata: {}\n\ndata: {}\n\n") == b": ka\nretry: 500\ndata: {}\n\ndata: {}\n\n"
    assert NATIVE.first(b": ka\n") is None
    assert NATIVE.first(b"") is None


def test_an_event_of_the_log_is_shown_as_it_is() -> None:
    content = event("usage", usage={"output_tokens": 3})
    assert wire_json(*content) == content.value
    assert content.kind == EVENT


def test_nothing_is_remembered_so_no_cursor_has_a_state_that_is_unknown() -> None:
    assert NATIVE.behind(BEGINNING) is NATIVE.behind(EntryId(5, 3)) is None
    assert NATIVE.behind(EntryId(5, 3)) is not UNKNOWN
