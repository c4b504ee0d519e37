"""What is alike in all dialects whose frames are messages of a WebSocket (RFC 6455, section 5.2). Pure.

A server's frame is not masked, so it is the same bytes for all who get it. Each message is one frame; nothing is compressed.
"""

from collections.abc import Iterator
from typing import Final

_TEXT: Final = 0x81
"""The last, and only, frame of a message of text."""
_SHORT: Final = 126
_MEDIUM: Final = 1 << 16


def head(size: int) -> bytes:
    """What stands before a message of text with so many bytes."""
    if size < _SHORT:
        return bytes((_TEXT, size))
    if size < _MEDIUM:
        return b"\x81\x7e%b" % size.to_bytes(2)
    return b"\x81\x7f%b" % size.to_bytes(8)


KNOWN: Final = 1024
HEADS: Final = tuple(map(head, range(KNOWN)))
"""Of those that are shorter, which nearly all are."""


def message(text: bytes) -> bytes:
    """The message that has this text, in UTF-8."""
    return head(len(text)) + text


def ended_with(lines: bytes, tail: bytes) -> bytes:
    """The messages whose texts are these lines, each with this behind it."""
    return b"".join([message(line + tail) for line in lines.splitlines()])


class Texts:
    """The other way: the texts of messages, as their bytes come, in whatever pieces."""

    def __init__(self) -> None:
        self._held = bytearray()

    def of(self, more: bytes) -> Iterator[bytes]:
        """Those that are whole now."""
        held, at = self._held, 0
        held += more
        while (place := _place(held, at)) and place[1] <= len(held):
            yield bytes(held[place[0] : place[1]])
            at = place[1]
        del held[:at]


def _place(data: bytearray, at: int) -> tuple[int, int] | None:
    """Where the text of the message begins that begins here, and where it ends; None if its head is not whole."""
    if len(data) < at + 2:
        return None
    size, first = data[at + 1], at + 2
    if size >= _SHORT:
        wide = 2 if size == _SHORT else 8
        if len(data) < first + wide:
            return None
        size, first = int.from_bytes(data[first : first + wide]), first + wide
    return first, first + size
