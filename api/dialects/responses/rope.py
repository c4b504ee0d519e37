"""A text that grows by pieces, as a value: what two states have in common is there once. Pure."""

from typing import Final, NamedTuple, TypeAlias

PART_BYTES: Final = 2048
_Parts: TypeAlias = "tuple[_Parts, bytes] | None"


class Rope(NamedTuple):
    """Full parts, the latest of them in front, and what is behind them. `size` is in bytes. The same text is the same value,
    in whatever pieces it came."""

    parts: _Parts
    tail: bytes
    size: int

    def with_more(self, more: bytes) -> "Rope":
        parts, tail = self.parts, self.tail + more
        while len(tail) >= PART_BYTES:
            parts, tail = (parts, tail[:PART_BYTES]), tail[PART_BYTES:]
        return Rope(parts, tail, self.size + len(more))

    def text(self) -> str:
        found, parts = [self.tail], self.parts
        while parts is not None:
            parts, part = parts
            found.append(part)
        return b"".join(reversed(found)).decode()


EMPTY: Final = Rope(None, b"", 0)
