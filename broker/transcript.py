"""What a reader has who applied a log from its beginning: the content blocks, the text, what an interruption left. Pure.

This is the rule for readers as code: an attempt's `stream_start` tells how many blocks survive (`keep_blocks`), a
`block_start` opens the block of its index or goes on with it, a delta belongs to the block that was opened last.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson

from broker import events
from broker.events import Entry
from broker.ids import BEGINNING, EntryId

_PROSE = frozenset(("text", "thinking", "redacted_thinking"))


@dataclass(slots=True)
class _Block:
    head: dict[str, object]
    last: EntryId
    parts: list[str] = field(default_factory=list)
    signature: list[str] = field(default_factory=list)
    citations: list[object] = field(default_factory=list)
    deltas: list[object] = field(default_factory=list)
    chunks: int = 0

    @property
    def type(self) -> str:
        return str(self.head.get("type", ""))

    def text(self) -> str:
        return str(self.head.get("text", "")) + "".join(self.parts)

    def content(self) -> dict[str, object]:
        """The block in the shape of the Messages API. A tool's input that is not whole JSON yet stays as
        `partial_json`."""
        block, joined = dict(self.head), "".join(self.parts)
        if self.type == "text":
            block["text"] = self.text()
        elif self.type == "thinking":
            block["thinking"] = str(self.head.get("thinking", "")) + joined
        elif joined:
            try:
                block["input"] = orjson.loads(joined)
            except orjson.JSONDecodeError:
                block["partial_json"] = joined
        if self.signature:
            block["signature"] = "".join(self.signature)
        if self.citations:
            block["citations"] = self.citations
        if self.deltas:
            block["deltas"] = self.deltas
        return block


@dataclass(frozen=True, slots=True)
class Kept:
    """What the next attempt may go on from: all text up to the first block that is neither text nor thinking, never the
    inside of another block. `through` is the last entry that a reader keeps, `blocks` how many blocks that is."""

    text: str
    through: EntryId
    blocks: int
    chunks: int


class Transcript:
    """The fold of a log's entries; apply them in order, each once."""

    __slots__ = ("_blocks", "_open", "last", "stop_reason")

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._blocks: list[_Block] = []
        self._open = -1
        self.last = BEGINNING
        self.stop_reason: str | None = None
        for entry in entries:
            self.apply(entry)

    def apply(self, entry: Entry) -> None:
        self.last = entry.id
        if entry.kind in events.DELTAS:
            block = self._blocks[self._open]
            block.parts.append(entry.value.decode())
            block.chunks += 1
            block.last = entry.id
        elif entry.kind in (events.EVENT, events.START):
            self._apply_event(entry.id, orjson.loads(entry.value))

    def _apply_event(self, id_: EntryId, event: dict[str, object]) -> None:
        match event:
            case {"type": "stream_start", "keep_blocks": int(keep)}:
                del self._blocks[keep:]
                self._open = -1
                self.stop_reason = None
            case {"type": "block_start", "index": int(index), "block": dict(head)}:
                if index >= len(self._blocks):
                    self._blocks.append(_Block(head, id_))
                self._open = index
                self._blocks[index].last = id_
            case {"type": "block_stop", "index": int(index)}:
                self._blocks[index].last = id_
            case {"type": "signature", "signature": str(signature)}:
                self._blocks[self._open].signature.append(signature)
                self._blocks[self._open].last = id_
            case {"type": "citation", "citation": citation}:
                self._blocks[self._open].citations.append(citation)
                self._blocks[self._open].last = id_
            case {"type": "block_delta", "index": int(index), "delta": delta}:
                self._blocks[index].deltas.append(delta)
                self._blocks[index].last = id_
            case {"type": "usage", "stop_reason": str(reason)}:
                self.stop_reason = reason

    @property
    def text(self) -> str:
        """The concatenation of all text blocks."""
        return "".join(block.text() for block in self._blocks if block.type == "text")

    @property
    def open(self) -> int | None:
        """The index of the block that deltas belong to, if there is one."""
        return self._open if 0 <= self._open < len(self._blocks) else None

    @property
    def content(self) -> list[dict[str, object]]:
        return [block.content() for block in self._blocks]

    def kept(self) -> Kept | None:
        """What survives an interruption, or None if there is no text to go on from."""
        blocks: list[_Block] = []
        for block in self._blocks:
            if block.type not in _PROSE:
                break
            blocks.append(block)
        while blocks and not (blocks[-1].type == "text" and blocks[-1].text()):
            blocks.pop()
        if not blocks:
            return None
        text = "".join(block.text() for block in blocks if block.type == "text")
        return Kept(text, blocks[-1].last, len(blocks), sum(block.chunks for block in blocks))
