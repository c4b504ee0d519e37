"""What a reader has who applied a log from its beginning: the content blocks, the text, what an interruption left. Pure.

This is the rule for readers as code: an attempt's `stream_start` tells how many blocks survive (`keep_blocks`), a
`block_start` opens the block of its index or goes on with it, a delta belongs to the block that was opened last.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import orjson

from broker import events
from broker.events import Entry, Run
from broker.ids import BEGINNING, EntryId

_PROSE = frozenset(("text", "thinking", "redacted_thinking"))
_PIECE_BYTES: Final = 64 * 1024
_EVENT_BYTES: Final = 1000
"""What an entry that is one JSON object takes besides its own bytes, at most: it is objects here."""


class Written(NamedTuple):
    """Text in pieces, UTF-8, none of which ends inside a character."""

    pieces: Sequence[bytes]

    def __str__(self) -> str:
        return b"".join(self.pieces).decode()


@dataclass(slots=True)
class Block:
    """`head` is as `block_start` told it, `last` the last entry that belongs to it. `told`: of a tool's call, that it was begun
    (`tool_start`); of its result, that its end was told (`tool_end`). `stopped`: that it is complete."""

    head: dict[str, object]
    last: EntryId
    pieces: list[bytes] = field(default_factory=list)
    signature: list[str] = field(default_factory=list)
    citations: list[object] = field(default_factory=list)
    deltas: list[object] = field(default_factory=list)
    chunks: int = 0
    told: bool = False
    stopped: bool = False

    @property
    def type(self) -> str:
        return str(self.head.get("type", ""))

    @property
    def size(self) -> int:
        """Bytes of what was written to it, and of what it began with."""
        return len(orjson.dumps(self.head)) + sum(map(len, self.pieces))

    def add(self, deltas: Sequence[bytes], last: EntryId) -> int:
        """What was written to it, up to this entry; how many bytes."""
        joined = b"".join(deltas)
        if self.pieces and len(self.pieces[-1]) < _PIECE_BYTES:
            self.pieces[-1] += joined
        else:
            self.pieces.append(joined)
        self.chunks += len(deltas)
        self.last = last
        return len(joined)

    def written(self) -> Written:
        """Of text or thinking: all of it."""
        return Written((str(self.head.get(self.type, "")).encode(), *self.pieces))

    def fields(self) -> dict[str, object]:
        """The block in the shape of the Messages API, its text or thinking as `Written`. A tool's input that is not whole JSON
        yet stays as `partial_json`."""
        block = dict(self.head)
        if self.type in ("text", "thinking"):
            block[self.type] = self.written()
        elif joined := b"".join(self.pieces):
            try:
                block["input"] = orjson.loads(joined)
            except orjson.JSONDecodeError:
                block["partial_json"] = joined.decode()
        if self.signature:
            block["signature"] = "".join(self.signature)
        if self.citations:
            block["citations"] = self.citations
        if self.deltas:
            block["deltas"] = self.deltas
        return block

    def content(self) -> dict[str, object]:
        """The block in the shape of the Messages API."""
        return {name: str(value) if isinstance(value, Written) else value for name, value in self.fields().items()}


@dataclass(frozen=True, slots=True)
class Kept:
    """What the next attempt may go on from: all text of an answer up to the first block that is neither text nor thinking,
    never the inside of another block. `through` is the last entry that a reader keeps, `blocks` how many blocks that is,
    those of earlier answers included, `chunks` likewise."""

    text: str
    through: EntryId
    blocks: int
    chunks: int


def said_at_end(before: Mapping[str, object], now: Mapping[str, object]) -> dict[str, object]:
    """What an upstream has said at its end, where it says it in parts: what is null says nothing new."""
    merged = dict(before)
    for name, value in now.items():
        earlier = merged.get(name)
        if isinstance(value, dict) and isinstance(earlier, dict):
            merged[name] = said_at_end(earlier, value)
        elif value is not None or name not in merged:
            merged[name] = value
    return merged


class Transcript:
    """The fold of a log's entries; apply them in order, each once. `last` is the last one, `cursor` the last but for the end,
    `end` the terminal one, `start` what the last attempt began with, `model` the one that was asked last. `message`: how the
    upstream began the answer of which the first block is, without its content; `told`: what it said at the end of the latest
    answer, `stop_reason` and `usage` among it. `answers`: before which blocks an answer began, all before it being complete.
    `size` is in bytes, and no less than what it holds."""

    __slots__ = (
        "_open", "answers", "blocks", "cursor", "end", "last", "message", "model", "size", "start", "stop_reason", "told",
    )  # fmt: skip

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.blocks: list[Block] = []
        self._open = -1
        self.last = self.cursor = BEGINNING
        self.end: Entry | None = None
        self.answers: list[int] = []
        self.start: dict[str, object] = {}
        self.model = ""
        self.stop_reason: str | None = None
        self.message: dict[str, object] = {}
        self.told: dict[str, object] = {}
        self.size = 0
        for id_, kind, value in entries:
            self.apply(Run(id_, [(kind, value)]))

    def apply(self, run: Run) -> None:
        (attempt, seq), contents = run
        kinds, values = zip(*contents, strict=True)
        if events.DELTAS.issuperset(kinds):  # nearly always
            self.last = run.last
            self._add(values, self.last)
            return
        deltas: list[bytes] = []
        for kind, value in contents:
            if kind in events.DELTAS:
                deltas.append(value)
            else:
                self._add(deltas, EntryId(attempt, seq - 1))
                deltas = []
                self._apply_other(Entry(EntryId(attempt, seq), kind, value))
            seq += 1
        self.last = EntryId(attempt, seq - 1)
        self._add(deltas, self.last)

    def _add(self, deltas: Sequence[bytes], last: EntryId) -> None:
        if deltas:
            self.cursor = last
            self.size += self.blocks[self._open].add(deltas, last)

    def _apply_other(self, entry: Entry) -> None:
        self.size += len(entry.value) + _EVENT_BYTES
        if entry.kind == events.END:
            self.end = entry
            return
        self.cursor = entry.id
        if entry.kind == events.WITHDRAW:
            self.keep(0)
        elif entry.kind in (events.EVENT, events.START):
            self._apply_event(entry.id, orjson.loads(entry.value))

    def _apply_event(self, id_: EntryId, event: dict[str, object]) -> None:
        match event:
            case {"type": "retrying", "model": str(model)}:
                self.model = model
            case {"type": "stream_start", "keep_blocks": int(keep)}:
                self.start, self.model = event, str(event.get("model", ""))
                self.keep(keep)
            case {"type": "block_start", "index": int(index), "block": dict(head)}:
                if index >= len(self.blocks):
                    if self.blocks:
                        self.blocks[-1].stopped = True
                    self.blocks.append(Block(head, id_))
                self._open = index
                self.blocks[index].last = id_
                self.blocks[index].stopped = False
            case {"type": "block_stop", "index": int(index)}:
                self.blocks[index].last = id_
                self.blocks[index].stopped = True
            case {"type": "signature", "signature": str(signature)}:
                self.blocks[self._open].signature.append(signature)
                self.blocks[self._open].last = id_
            case {"type": "citation", "citation": citation}:
                self.blocks[self._open].citations.append(citation)
                self.blocks[self._open].last = id_
            case {"type": "block_delta", "index": int(index), "delta": delta}:
                self.blocks[index].deltas.append(delta)
                self.blocks[index].last = id_
            case {"type": "message", "message": dict(message)}:
                self.message = self.message or message
                if self.blocks and self.blocks[-1].stopped:
                    self.answers.append(len(self.blocks))
            case {"type": "usage", **told}:
                self.told = said_at_end(self.told, told)
                if isinstance(reason := told.get("stop_reason"), str):
                    self.stop_reason = reason
            case {"type": "tool_start" | "tool_end", "index": int(index)}:
                self.blocks[index].told = True
                self.blocks[index].last = id_

    def keep(self, blocks: int) -> None:
        """Drops all blocks behind so many, as an attempt does that begins."""
        del self.blocks[blocks:]
        self.answers = [each for each in self.answers if each <= blocks]
        self._open = -1
        self.stop_reason = None
        self.told = {}
        if not blocks:
            self.message = {}

    def shown_as(self, shown: Callable[[Block], Block]) -> "Transcript":
        """The same with each block as it is `shown`. Nothing more is to be applied to it."""
        copy = Transcript()
        copy.blocks = [shown(block) for block in self.blocks]
        copy._open, copy.last, copy.cursor, copy.end = self._open, self.last, self.cursor, self.end
        copy.message, copy.told, copy.stop_reason = self.message, self.told, self.stop_reason
        copy.start, copy.model, copy.answers = self.start, self.model, self.answers
        return copy

    @property
    def written(self) -> Iterator[bytes]:
        """All text blocks' text, in pieces."""
        return (piece for block in self.blocks if block.type == "text" for piece in block.written().pieces)

    @property
    def text(self) -> str:
        """The concatenation of all text blocks."""
        return b"".join(self.written).decode()

    @property
    def open(self) -> int | None:
        """The index of the block that deltas belong to, if there is one."""
        return self._open if 0 <= self._open < len(self.blocks) else None

    @property
    def content(self) -> list[dict[str, object]]:
        return [block.content() for block in self.blocks]

    def goes_on(self) -> Kept | None:
        """What another generation may go on from: as `kept`, but None where there is anything else than text and thinking."""
        return self.kept() if all(block.type in _PROSE for block in self.blocks) else None

    def kept(self, first: int = 0) -> Kept | None:
        """What survives an interruption, or None if there is no text to go on from. Of an answer that begins with block
        `first`: its own text; those before it are kept, whatever they are."""
        blocks: list[Block] = []
        for block in self.blocks[first:]:
            if block.type not in _PROSE:
                break
            blocks.append(block)
        while blocks and not (blocks[-1].type == "text" and any(blocks[-1].written().pieces)):
            blocks.pop()
        if not blocks:
            return None
        text = "".join(str(block.written()) for block in blocks if block.type == "text")
        through = first + len(blocks)
        return Kept(text, blocks[-1].last, through, sum(block.chunks for block in self.blocks[:through]))
