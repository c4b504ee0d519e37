"""Our own vocabulary, that of docs/protocol.md: each entry is one line of JSON with its `type`. Nothing is remembered. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

import orjson

from api.dialects import Dialect, State, sse
from api.dialects.content import content_json, text_json
from broker.events import TEXT, THINKING, TOOL_INPUT, Entry
from broker.transcript import Transcript
from broker.vocabulary import ClosedReason, GapReason
from broker.waiting import Wait

HEADS: Final = {
    TEXT: b'{"type":"text","text":',
    THINKING: b'{"type":"thinking","thinking":',
    TOOL_INPUT: b'{"type":"tool_input","partial_json":',
}
"""How the JSON of a delta begins."""


def wire_json(kind: bytes, value: bytes) -> bytes:
    """The entry as one line of JSON."""
    head = HEADS.get(kind)
    return value if head is None else head + orjson.dumps(value.decode()) + b"}"


def local_frame(type_: str, **fields: object) -> bytes:
    """An event about the connection itself. It has no id: it is no part of the log, and no cursor may point at it."""
    return b"data: " + orjson.dumps({"type": type_, **fields}) + b"\n\n"


class Native(Dialect):
    keep_alive = sse.KEEP_ALIVE
    done = sse.DONE

    def fold(self, state: State, entries: Sequence[Entry]) -> tuple[State, list[bytes]]:
        """`id:` comes after `data:`: a client that loses the second half of a frame then does not count an event as seen
        that it never got."""
        frames = []
        for (attempt, seq), kind, value in entries:  # as wire_json, without a call for each
            head = HEADS.get(kind)
            line = value if head is None else head + orjson.dumps(value.decode()) + b"}"
            frames.append(b"data: %b\nid: %d-%d\n\n" % (line, attempt, seq))
        return None, frames

    def queued(self, wait: Wait) -> bytes:
        reason = {"reason": "upstream"} if wait.upstream else {}
        return local_frame("queued", position=wait.position, estimated_wait_ms=wait.estimated_ms, **reason)

    def gap(self, reason: GapReason) -> bytes:
        return local_frame("gap", reason=reason)

    def drain(self, retry_ms: int) -> bytes:
        return sse.coming_back(local_frame("drain"), retry_ms)

    def closed(self, reason: ClosedReason) -> bytes:
        return local_frame("closed", reason=reason)

    def snapshot(self, transcript: Transcript) -> Iterator[bytes]:
        yield b'data: {"type":"snapshot","text":'
        yield from text_json(transcript)
        yield b',"content":'
        yield from content_json(transcript)
        yield b',"open":%b}\nid: %d-%d\n\n' % (orjson.dumps(transcript.open), *transcript.cursor)

    def first(self, body: bytes) -> bytes | None:
        return sse.with_retry(body)


NATIVE: Final = Native()
