"""The vocabulary of a log. Pure.

An entry stores one field: its name is the kind, its value the content. The three kinds that a model sends thousands of
are their bare text, so that a token costs Redis its own bytes and little more; all others are one JSON object whose
`type` is the event's name.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import orjson

from broker.ids import EntryId

TEXT: Final = b"t"
THINKING: Final = b"k"
TOOL_INPUT: Final = b"i"
EVENT: Final = b"j"
START: Final = b"s"
"""`stream_start`, the first entry of an attempt."""
WITHDRAW: Final = b"w"
"""`withdraw`, in place of everything that was there before it."""
END: Final = b"z"
"""`stream_end` or `error`, the one terminal entry."""
ERASED: Final = b"x"
"""In no log: what is published when one is erased."""

WITHDRAWN: Final = b'"withdrawn":true'
"""What is in an end whose log was withdrawn."""

DELTAS: Final = frozenset((TEXT, THINKING, TOOL_INPUT))

SEALED: Final = {TEXT: b"T", THINKING: b"K", TOOL_INPUT: b"I", EVENT: b"J"}
"""The kinds of entries whose values are sealed (sealing.py), of each that a worker writes. Whatever shows a log opens them
first."""
OPENED: Final = {sealed: kind for kind, sealed in SEALED.items()}


class Content(NamedTuple):
    """What a producer appends: an entry that has no id yet."""

    kind: bytes
    value: bytes


class Entry(NamedTuple):
    """One entry of a log."""

    id: EntryId
    kind: bytes
    value: bytes


class Run(NamedTuple):
    """Entries whose ids count on: that of the first, and kind and value of each."""

    first: EntryId
    contents: Sequence[tuple[bytes, bytes]]

    @property
    def last(self) -> EntryId:
        attempt, seq = self.first
        return EntryId(attempt, seq + len(self.contents) - 1)


def event(type_: str, **fields: object) -> Content:
    """An entry that is one JSON object."""
    return Content(EVENT, orjson.dumps({"type": type_, **fields}))


class Append(NamedTuple):
    """Entries that one script call appended, and the id that was the log's last before."""

    prev: EntryId
    entries: list[Entry]


_new = tuple.__new__
"""A NamedTuple by its own constructor takes twice as long; on the token path there are two for each token."""


def parse_append(payload: bytes) -> tuple[EntryId | None, list[Entry]]:
    """Reads a message of a live channel, as the scripts publish it: `[<prev> ]<first>` LF, then `<kind><length>:<value>` for
    each entry. Returns the entries, and which id was the log's last before, where that is not the one in front of the first."""
    head, _, body = payload.partition(b"\n")
    before = None
    if b" " in head:
        prev, _, head = head.partition(b" ")
        before = EntryId.of_redis(prev)
    first, _, second = head.partition(b"-")
    attempt, seq = int(first), int(second)
    entries, at, size = [], 0, len(body)
    while at < size:
        colon = body.index(b":", at)
        end = colon + 1 + int(body[at + 1 : colon])
        entries.append(_new(Entry, (_new(EntryId, (attempt, seq)), body[at : at + 1], body[colon + 1 : end])))
        seq, at = seq + 1, end
    return before, entries
