"""From the bytes of an event stream to its frames, wherever the bytes are cut. Pure, one splitter per stream.

What a frame is, the HTML standard says: lines end with LF, CRLF or CR, a blank line ends a frame, the values of several `data`
lines are one text with LF between them, one byte order mark at the beginning counts for nothing. Bytes stay bytes: whether
they are text is for whoever reads the frame.
"""

from typing import Final

Frame = tuple[bytes, bytes]
"""What stands behind `event:`, empty without one, and behind `data:`. A frame without data is none."""

LARGEST: Final = 16 * 1024 * 1024
"""Bytes of one frame, twice what a log may hold by default: a bound on what an upstream that ends no frame can take."""

_BOM: Final = b"\xef\xbb\xbf"


class FrameTooLarge(Exception):
    """A frame has more bytes than LARGEST, and no end yet."""


class Splitter:
    """`feed` it what is read. What is behind the last blank line when the stream ends was cut off, and is no frame."""

    __slots__ = ("_after_cr", "_begun", "_largest", "_pieces", "_size")

    def __init__(self, largest: int = LARGEST) -> None:
        self._largest = largest
        self._pieces: list[bytes] = []
        """The frame that has no end yet, as it came; lines end with LF."""
        self._size = 0
        self._begun = False
        self._after_cr = False

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that end in `data`. Raises FrameTooLarge, never before it has given the frames that were whole."""
        if self._size > self._largest:
            raise FrameTooLarge
        if self._after_cr or b"\r" in data:
            data = self._with_lf(data)
        if not data:
            return []
        if self._pieces:
            self._pieces.append(data)
            if self._begun and not self._ends_a_frame(data):
                self._size += len(data)
                return []
            data = b"".join(self._pieces)
        if not self._begun:
            data = self._without_bom(data)
        blocks = data.split(b"\n\n")
        rest = blocks.pop()
        self._pieces = [rest] if rest else []
        self._size = len(rest)
        frames = []
        for block in blocks:
            head, found, text = block.partition(b"\ndata: ")
            # Nearly all have two lines, `event` and `data`.
            if found and head.startswith(b"event: ") and b"\n" not in text and b"\n" not in head:
                frames.append((head[7:], text))
            elif block.startswith(b"data: ") and b"\n" not in block:
                frames.append((b"", block[6:]))
            elif (frame := _frame(block)) is not None:
                frames.append(frame)
        return frames

    def _with_lf(self, data: bytes) -> bytes:
        """A CR ends its line at once; an LF right behind it is the same end."""
        if not data:
            return data
        if self._after_cr:
            data = data.removeprefix(b"\n")
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _ends_a_frame(self, data: bytes) -> bool:
        """Whether the last piece, `data`, has a blank line, or begins with the end of one."""
        return b"\n\n" in data or (data.startswith(b"\n") and self._pieces[-2].endswith(b"\n"))

    def _without_bom(self, data: bytes) -> bytes:
        if len(data) < len(_BOM) and _BOM.startswith(data):
            return data  # it may become one
        self._begun = True
        return data.removeprefix(_BOM)


def _frame(block: bytes) -> Frame | None:
    """The frame of these lines, if they have data."""
    event, lines = b"", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            lines.append(value.removeprefix(b" "))
        elif field == b"event":
            event = value.removeprefix(b" ")
    return (event, b"\n".join(lines)) if lines else None
