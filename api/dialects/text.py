"""Bare text, for readers that append whatever comes and parse nothing (docs/protocol.md, "The text view"). Pure.

Only text is an unnamed event; what else a reader must know is a named one, whose data is JSON. A line end is LF here, whichever
it was: server-sent events know no other within their data.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import orjson

from api.dialects import Dialect, State, sse
from api.dialects.native import NATIVE
from broker.events import END, EVENT, START, TEXT, WITHDRAW, Entry
from broker.ids import EntryId
from broker.transcript import Transcript
from broker.vocabulary import ClosedReason, GapReason
from broker.waiting import Wait

_new: Final = tuple.__new__


class Mark(NamedTuple):
    """A place in the text: so many characters are before it; `cr`: the last of them was sent for a CR, so that an LF right
    behind it is still the same line end."""

    characters: int
    cr: bool


class Said(NamedTuple):
    """How far the text is, and how far it was when each block was opened."""

    end: Mark
    blocks: tuple[Mark, ...]

    def at(self, characters: int) -> "Said":
        """With text of these many characters, whose end is no CR if that is more than it was."""
        end, blocks = self
        return self if characters == end.characters else _new(Said, (_new(Mark, (characters, False)), blocks))


class Text(Dialect):
    begin = Said(Mark(0, False), ())
    keep_alive = sse.KEEP_ALIVE
    done = sse.DONE

    def fold(self, state: State, entries: Sequence[Entry]) -> tuple[State, list[bytes]]:
        assert isinstance(state, Said)
        frames, said = [], state
        characters, cr = said.end
        for entry in entries:
            (attempt, seq), kind, value = entry
            if kind == TEXT and value and not cr and b"\r" not in value:  # nearly always; as `_step` has it
                characters += len(value) if value.isascii() else len(value.decode())
                data = value if b"\n" not in value else in_data(value)
                frames.append(b"data: %b\nid: %d-%d\n\n" % (data, attempt, seq))
            else:
                said, frame = _step(said.at(characters), entry)
                characters, cr = said.end
                frames.append(frame)
        return _new(Said, (_new(Mark, (characters, cr)), said.blocks)), frames

    def queued(self, wait: Wait) -> bytes:
        return b"event: queued\n" + NATIVE.queued(wait)

    def gap(self, reason: GapReason) -> bytes:
        return b"event: gap\n" + NATIVE.gap(reason)

    def drain(self, retry_ms: int) -> bytes:
        return b"event: drain\n" + NATIVE.drain(retry_ms)

    def closed(self, reason: ClosedReason) -> bytes:
        return b"event: closed\n" + NATIVE.closed(reason)

    def snapshot(self, transcript: Transcript) -> Iterator[bytes]:
        """All text so far in one event; nothing if there is none."""
        before, cr = b"data: ", False
        for piece in transcript.written:
            text, cr = _lines(piece, cr=cr) if piece else (piece, cr)
            if text:
                yield before + in_data(text)
                before = b""
        if not before:
            yield b"\nid: %d-%d\n\n" % transcript.cursor

    def first(self, body: bytes) -> bytes | None:
        return sse.with_retry(body)


def _step(said: Said, entry: Entry) -> tuple[Said, bytes]:
    """The state behind the entry, and its frame."""
    if entry.kind == END:
        return said, b"event: end\n" + _frame(b'{"done":true,' + entry.value[1:], entry.id)
    said, shown = step(said, entry)
    if isinstance(shown, int):
        return said, b"event: discard\n" + _frame(orjson.dumps({"type": "discard", "keep": shown}), entry.id)
    return said, _frame(shown, entry.id) if shown else b""


def step(said: Said, entry: Entry) -> tuple[Said, bytes | int]:
    """The state behind an entry that is not the end, and what it says: text to append, empty if it says nothing; or how many
    characters of what was said are kept."""
    _, kind, value = entry
    if kind == TEXT:
        text, cr = _lines(value, cr=said.end.cr)
        end = Mark(said.end.characters + len(text.decode()), cr)
        return Said(end, said.blocks), text
    if kind == WITHDRAW:
        return Text.begin, 0
    if kind not in (START, EVENT):
        return said, b""
    match orjson.loads(value):
        case {"type": "block_start", "index": int(index)} if index >= len(said.blocks):
            return Said(said.end, (*said.blocks, said.end)), b""
        case {"type": "stream_start", "keep_blocks": int(keep)} if keep < len(said.blocks):
            return _taken_back(said, keep)
    return said, b""


def _taken_back(said: Said, keep: int) -> tuple[Said, bytes | int]:
    """Blocks from number `keep` on are no more; a reader is told if it was shown any text of them."""
    end = said.blocks[keep]
    kept = Said(end, said.blocks[:keep])
    return kept, b"" if end.characters == said.end.characters else end.characters


def _lines(text: bytes, *, cr: bool) -> tuple[bytes, bool]:
    """The text with LF for each line end, and whether its last one may go on; `cr`: the one before it may."""
    if cr and text.startswith(b"\n"):
        text = text[1:]
    if b"\r" not in text:
        return text, False
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n"), text.endswith(b"\r")


def _frame(data: bytes, id_: EntryId) -> bytes:
    """One event; each line of its data is a field of its own."""
    return b"data: %b\nid: %d-%d\n\n" % (in_data(data), *id_)


def in_data(text: bytes) -> bytes:
    """The text as data of a frame: each of its lines behind `data: `."""
    return text.replace(b"\n", b"\ndata: ")


TEXT_VIEW: Final = Text()
