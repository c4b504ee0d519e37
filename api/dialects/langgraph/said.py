"""What was said so far of an answer, as a value: its blocks, and how much of them a reader was shown. Pure."""

from typing import Final, NamedTuple

import orjson

from api.dialects.langgraph.words import Json, groups, grows, is_result
from api.dialects.responses.rope import EMPTY, Parts, Rope

_GROWTH: Final = 5
"""A message is told anew when it has grown by a part in 2 to the power of this: each time costs all of it."""


class Part(NamedTuple):
    """A block: `head` as it began, and what was written to it."""

    head: Json
    text: Rope = EMPTY
    signature: str = ""
    citations: tuple[object, ...] = ()

    def block(self) -> Json:
        """In the shape of the Messages API; the input of a call that is not whole JSON is `partial_json`."""
        kind, text = self.head.get("type"), self.text.text()
        more: Json = {}
        if kind in ("text", "thinking"):
            more[str(kind)] = f"{self.head.get(str(kind), '')}{text}"
        elif text:
            try:
                more["input"] = orjson.loads(text)
            except orjson.JSONDecodeError:
                more["partial_json"] = text
        if self.signature:
            more["signature"] = self.signature
        if self.citations:
            more["citations"] = list(self.citations)
        return {**self.head, **more}


class Said(NamedTuple):
    """`open`: the block that is written to, -1 if there is none; `text`: of that one, whatever it says itself. `size` is in
    bytes, of all text; `shown` is how many of them the message had that was told last. `told`: the number of messages that
    were said to be complete. `broken`: what was shown does not hold any more, and nothing else is said."""

    parts: tuple[Part, ...] = ()
    open: int = -1
    text: Rope = EMPTY
    size: int = 0
    shown: int = 0
    told: int = 0
    begun: bool = False
    broken: bool = False

    def settled(self) -> "Said":
        """With no block open."""
        if self.open < 0:
            return self
        part = self.parts[self.open]._replace(text=self.text)
        return self._with(self.open, part)._replace(open=-1, text=EMPTY)

    def opened(self, index: int, head: Json) -> "Said":
        """With this block open: a new one, or one that goes on."""
        said = self.settled()
        if index >= len(said.parts):
            index = len(said.parts)
            said = said._replace(parts=(*said.parts, Part(head)))
        part = said.parts[index]
        return said._replace(open=index, text=part.text) if grows(part.head) else said

    def kept(self, blocks: int) -> "Said":
        """Blocks behind so many are no more."""
        said = self.settled()
        parts = said.parts[:blocks]
        return said._replace(parts=parts, size=sum(part.text.size for part in parts), shown=0)

    def signed(self, signature: str) -> "Said":
        if self.open < 0:
            return self
        part = self.parts[self.open]
        return self._with(self.open, part._replace(signature=part.signature + signature))

    def cited(self, citation: object) -> "Said":
        if self.open < 0:
            return self
        part = self.parts[self.open]
        return self._with(self.open, part._replace(citations=(*part.citations, citation)))

    @property
    def messages(self) -> int:
        """How many there are, the last one being written perhaps."""
        return sum(1 for _ in groups([part.head for part in self.parts]))

    def blocks(self) -> list[Json]:
        return [part.block() for part in self.settled().parts]

    def last(self) -> list[Json]:
        """The blocks of the last message."""
        parts = self.settled().parts
        first = len(parts)
        while first and not is_result(parts[first - 1].head):
            first -= 1
        return [part.block() for part in parts[first:] or parts[-1:]]

    def _with(self, index: int, part: Part) -> "Said":
        return self._replace(parts=(*self.parts[:index], part, *self.parts[index + 1 :]))


class At(NamedTuple):
    """`said` as it was behind the last entry that was no piece of a text, or at which a message was told anew. What pieces
    change is apart: the size, and the text of the open block, as a rope has it. At the size `due` the message is told anew; it
    is negative where pieces belong to nothing. `before` and `behind` are what is around a piece where it is told."""

    size: int
    parts: Parts
    tail: bytes
    said: Said
    due: int
    before: bytes
    behind: bytes


def due_at(shown: int) -> int:
    """At so many bytes a message is told anew, of which so many were shown: the least size that has grown by more than that
    part of itself."""
    return shown + shown // ((1 << _GROWTH) - 1) + 1
