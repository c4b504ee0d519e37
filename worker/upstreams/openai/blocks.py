"""The blocks of one answer as entries: where each stands, and which of them is open. Pure.

OpenAI may send pieces of several calls by turns; in a log a piece belongs to the block that was opened last. So whoever writes
to another block opens it once more first, and a reader goes on with it."""

from dataclasses import dataclass

from broker.events import TEXT, Content, event
from worker.upstreams import Json


@dataclass(slots=True, eq=False)
class Block:
    """`kind` is that of its deltas; `written`: it has had some."""

    position: int
    kind: bytes
    head: Json
    written: bool = False
    stopped: bool = False


class Blocks:
    """`keep_blocks`, `unshown` and `new_turn` as in a Call."""

    __slots__ = ("_continues", "_next", "_overlap", "all", "open")

    def __init__(self, keep_blocks: int, unshown: str, new_turn: bool) -> None:
        self._next = keep_blocks
        self._continues = keep_blocks > 0 and not new_turn
        self._overlap = unshown
        self.open: Block | None = None
        self.all: list[Block] = []

    def start(self, kind: bytes, head: Json) -> list[Content]:
        """Opens a new block, or, if it is the first after an interruption and of text, goes on with the last one kept."""
        position = self._next
        if self._continues:
            self._continues = False
            if kind == TEXT:
                position -= 1
            else:
                self._overlap = ""
        self._next = position + 1
        self.open = Block(position, kind, head)
        self.all.append(self.open)
        return [event("block_start", index=position, block=head)]

    def add(self, block: Block, text: str) -> list[Content]:
        """More of a block that has not stopped. Raises ValueError if it has."""
        if block.stopped:
            raise ValueError("more of a block that is complete")
        if self._overlap and block.kind == TEXT:
            text = self._without_overlap(text)
        if not text:
            return []
        block.written = True
        delta = Content(block.kind, text.encode())
        return [delta] if self.open is block else [*self.reopened(block), delta]

    def reopened(self, block: Block) -> list[Content]:
        """So that what comes next belongs to it."""
        if self.open is block:
            return []
        self.open = block
        return [event("block_start", index=block.position, block=block.head)]

    def stop(self, block: Block) -> list[Content]:
        if block.stopped:
            return []
        block.stopped = True
        if self.open is block:
            self.open = None
        return [event("block_stop", index=block.position)]

    def stop_all(self) -> list[Content]:
        return [entry for block in self.all for entry in self.stop(block)]

    def has(self, type_: str) -> bool:
        return any(block.head["type"] == type_ for block in self.all)

    def _without_overlap(self, text: str) -> str:
        """The text without what it repeats of the end that the upstream was not shown."""
        same = 0
        for ours, theirs in zip(self._overlap, text, strict=False):
            if ours != theirs:
                break
            same += 1
        self._overlap = self._overlap[same:] if same == len(text) else ""
        return text[same:]
