"""Bare text, for readers that append whatever comes and parse nothing (docs/protocol.md, "The text view"). Pure.

Only text is an unnamed event; what else a reader must know is a named one, whose data is JSON. A line end is LF here, whichever
it was: server-sent events know no other within their data.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import orjson

from api.dialects import UNKNOWN, Dialect, State, sse
from api.dialects.native import NATIVE
from broker.events import END, EVENT, START, TEXT, WITHDRAW, Entry
from broker.ids import EntryId
from broker.transcript import Transcript
from broker.vocabulary import ClosedReason, GapReason
from broker.waiting import Wait

CR: Final = 13
LF: Final = 10
_new: Final = tuple.__new__


class Mark(NamedTuple):
    """A place in the text: so many characters are before it; `cr`: the last of them was sent for a CR, so that an LF right
    behind it is still the same line end."""

    characters: int
    cr: bool


class Said(NamedTuple):
    """How far the text is, as a Mark has it, and how far it was when each block was opened."""

    characters: int
    cr: bool
    blocks: tuple[Mark, ...]


class Text(Dialect):
    begin = Said(0, False, ())
    keep_alive = sse.KEEP_ALIVE
    done = sse.DONE

    def fold(self, state: State, entries: Sequence[Entry]) -> tuple[State, list[bytes]]:
        said: Said = state  # type: ignore[assignment]  # by whoever keeps it; to look takes time
        frames: list[bytes] = []
        characters, cr, blocks = said
        for entry in entries:
            (attempt, seq), kind, value = entry
            if kind == TEXT and value and not cr and CR not in value:  # nearly always; as `_step` has it
                characters += len(value) if value.isascii() else len(value.decode())
                data = value if LF not in value else in_data(value)
                frames.append(b"data: %b\nid: %d-%d\n\n" % (data, attempt, seq))
            else:
                (characters, cr, blocks), frame = _step(Said(characters, cr, blocks), entry)
                frames.append(frame)
        return _new(Said, (characters, cr, blocks)), frames

    def skip(self, state: State, kind: bytes, values: Sequence[bytes]) -> State:
        assert isinstance(state, Said)
        text = b"".join(values)
        if kind != TEXT or not text:
            return state
        if state.cr or CR in text:
            return UNKNOWN
        return state._replace(characters=state.characters + len(text.decode()))

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
        text, cr = _lines(value, cr=said.cr)
        return Said(said.characters + len(text.decode()), cr, said.blocks), text
    if kind == WITHDRAW:
        return Text.begin, 0
    if kind not in (START, EVENT):
        return said, b""
    match orjson.loads(value):
        case {"type": "block_start", "index": int(index)} if index >= len(said.blocks):
            return said._replace(blocks=(*said.blocks, Mark(said.characters, said.cr))), b""
        case {"type": "stream_start", "keep_blocks": int(keep)} if keep < len(said.blocks):
            return _taken_back(said, keep)
    return said, b""


def _taken_back(said: Said, keep: int) -> tuple[Said, bytes | int]:
    """Blocks from number `keep` on are no more; a reader is told if it was shown any text of them."""
    end = said.blocks[keep]
    kept = Said(*end, said.blocks[:keep])
    return kept, b"" if end.characters == said.characters else end.characters


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
