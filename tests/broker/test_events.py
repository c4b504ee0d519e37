"""Entries: as they are published, and as they look on the wire."""

import json
import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.events import (  # fmt: skip
    DELTAS,
    END,
    EVENT,
    START,
    TEXT,
    THINKING,
    TOOL_INPUT,
    Append,
    Content,
    Entry,
    event,
    frame,
    local_frame,
    parse_append,
    wire_json,
)
from broker.ids import EntryId
from tests.client import frames

# Speed is not what is tested: a busy machine must not fail it.
examples = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

kinds = st.sampled_from([TEXT, THINKING, TOOL_INPUT, EVENT, START, END])
ids = st.builds(EntryId, st.integers(0, 10**15 - 1), st.integers(0, 10**9))
awkward = st.sampled_from(
    ["\n", "\r", "\u2028", "\u2029", "\x85", "\ufeff", "\x00", "data: x\n\n", "1:t", "🧵", '"', "\\"]
)
texts = st.lists(st.text() | awkward).map("".join)


def test_the_names_of_kinds_never_change() -> None:
    """Logs outlive the version that wrote them, and common.lua writes the same."""
    assert [TEXT, THINKING, TOOL_INPUT, EVENT, START, END] == [b"t", b"k", b"i", b"j", b"s", b"z"]
    assert frozenset((TEXT, THINKING, TOOL_INPUT)) == DELTAS


def published(prev: EntryId, first: EntryId, contents: list[tuple[bytes, bytes]]) -> bytes:
    """What the scripts publish, after their description in common.lua."""
    body = b"".join(kind + str(len(value)).encode() + b":" + value for kind, value in contents)
    told = f"{prev} " if first.seq == 0 else ""
    return f"{told}{first}\n".encode() + body


@examples
@given(ids, ids, st.lists(st.tuples(kinds, st.binary()), min_size=1))
def test_what_is_published_is_read_back_whatever_its_bytes(
    prev: EntryId, first: EntryId, contents: list[tuple[bytes, bytes]]
) -> None:
    entries = [
        Entry(EntryId(first.attempt, first.seq + place), kind, value) for place, (kind, value) in enumerate(contents)
    ]
    before = prev if first.seq == 0 else EntryId(first.attempt, first.seq - 1)
    assert parse_append(published(prev, first, contents)) == Append(before, entries)


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
    raw = b"".join(frame(b"7-%d" % place, kind, text.encode()) for place, (kind, text) in enumerate(contents))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    got = list(frames(iter(pieces)))
    assert [each.id for each in got] == [f"7-{place}" for place in range(len(contents))]
    assert [next(v for k, v in each.data.items() if k != "type") for each in got] == [text for _, text in contents]


def test_the_id_comes_behind_the_data_and_a_blank_line_ends_the_frame() -> None:
    assert frame(b"5-3", TEXT, b"a\nb") == b'data: {"type":"text","text":"a\\nb"}\nid: 5-3\n\n'


def test_what_is_about_the_connection_has_no_id() -> None:
    assert local_frame("gap", reason="rewound") == b'data: {"type":"gap","reason":"rewound"}\n\n'


@examples
@given(st.dictionaries(st.from_regex(re.compile(r"[a-z]{1,8}"), fullmatch=True), texts | st.integers(-9, 9)))
def test_an_event_is_one_object_with_its_type_first(fields: dict[str, str | int]) -> None:
    fields.pop("type", None)
    content = event("usage", **fields)
    assert content == Content(EVENT, content.value)
    assert wire_json(*content) == content.value
    assert b"\n" not in content.value
    assert list(json.loads(content.value).items()) == [("type", "usage"), *fields.items()]
