"""Entries, as they are published."""

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
    Content,
    Entry,
    event,
    parse_append,
)
from broker.ids import EntryId

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
    assert parse_append(published(prev, first, contents)) == (prev if first.seq == 0 else None, entries)


@examples
@given(st.dictionaries(st.from_regex(re.compile(r"[a-z]{1,8}"), fullmatch=True), texts | st.integers(-9, 9)))
def test_an_event_is_one_object_with_its_type_first(fields: dict[str, str | int]) -> None:
    fields.pop("type", None)
    content = event("usage", **fields)
    assert content == Content(EVENT, content.value)
    assert b"\n" not in content.value
    assert list(json.loads(content.value).items()) == [("type", "usage"), *fields.items()]
