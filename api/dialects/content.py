"""What a transcript holds, as JSON, in parts: nobody need make a long one at once, nor hold it whole. Pure."""

from collections.abc import Iterable, Iterator

import orjson

from broker.transcript import Transcript, Written


def text_json(transcript: Transcript) -> Iterator[bytes]:
    """All text, as one string."""
    return string_json(transcript.written)


def content_json(transcript: Transcript) -> Iterator[bytes]:
    """The blocks, in the shape of the Messages API."""
    before = b"["
    for block in transcript.blocks:
        yield before
        yield from _object(block.fields())
        before = b","
    yield b"]" if transcript.blocks else b"[]"


def _object(fields: dict[str, object]) -> Iterator[bytes]:
    before = b"{"
    for name, value in fields.items():
        yield before + orjson.dumps(name) + b":"
        if isinstance(value, Written):
            yield from string_json(value.pieces)
        else:
            yield orjson.dumps(value)
        before = b","
    yield b"}" if fields else b"{}"


def string_json(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """A JSON string, of its pieces: what is escaped is one character each, so they are escaped one by one."""
    yield b'"'
    for piece in pieces:
        yield orjson.dumps(piece.decode())[1:-1]
    yield b'"'
