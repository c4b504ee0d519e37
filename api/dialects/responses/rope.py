"""A text that grows by pieces, as a value: what two states have in common is there once. Pure."""

from typing import Final, NamedTuple, TypeAlias

PART_BYTES: Final = 2048
Parts: TypeAlias = "tuple[Parts, bytes] | None"


class Rope(NamedTuple):
    """Full parts, the latest of them in front, and what is behind them. The same text is the same value, in whatever pieces it
    came."""

    parts: Parts
    tail: bytes

    @property
    def size(self) -> int:
        """In bytes."""
        size, parts = len(self.tail), self.parts
        while parts is not None:
            size, parts = size + PART_BYTES, parts[0]
        return size

    def with_more(self, more: bytes) -> "Rope":
        return cut(self.parts, self.tail + more)

    def text(self) -> str:
        found, parts = [self.tail], self.parts
        while parts is not None:
            parts, part = parts
            found.append(part)
        return b"".join(reversed(found)).decode()


def cut(parts: Parts, tail: bytes) -> Rope:
    """The rope that is these full parts, and behind them this, which may be too long for a tail."""
    while len(tail) >= PART_BYTES:
        parts, tail = (parts, tail[:PART_BYTES]), tail[PART_BYTES:]
    return Rope(parts, tail)


EMPTY: Final = Rope(None, b"")
