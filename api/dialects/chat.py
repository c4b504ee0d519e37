"""The vocabulary of the chat form (docs/protocol.md, "The chat form"): our own events, framed for readers that know `data:` and
nothing else. Pure.

Such a reader splits at blank lines, or at line ends, and parses what is behind `data: `. So a frame is that one line and a
blank one: the cursor is a member of the JSON, `id`, its last one, and a keep-alive is a block of its own, which these readers
skip. An event that has an `id` of its own, a tool call's, shows it as `tool_use_id`.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import orjson

from api.dialects import Dialect, State, sse
from api.dialects.content import content_json, text_json
from api.dialects.native import HEADS, NATIVE
from broker.events import Entry
from broker.ids import EntryId
from broker.transcript import Transcript
from broker.vocabulary import ClosedReason, GapReason
from broker.waiting import Wait

KEEP_ALIVE: Final = sse.KEEP_ALIVE + b"\n"
_OF_A_TOOL: Final = b'{"type":"tool_'


def with_id(value: bytes, id_: EntryId) -> bytes:
    """The JSON object with the cursor behind it as its last member."""
    if value.startswith(_OF_A_TOOL):
        said = orjson.loads(value)
        if "id" in said:
            value = orjson.dumps({"tool_use_id" if name == "id" else name: said[name] for name in said})
    return b'%b,"id":"%d-%d"}' % (value[:-1], *id_)


def local(event: bytes, **more: object) -> bytes:
    """An event about the connection, framed for our own vocabulary, as this one frames it."""
    body = event[len(b"data: ") : event.index(b"\n")]
    return b"data: %b\n\n" % (orjson.dumps({**orjson.loads(body), **more}) if more else body)


class Chat(Dialect):
    keep_alive = KEEP_ALIVE
    done = sse.DONE

    def fold(self, state: State, entries: Sequence[Entry]) -> tuple[State, list[bytes]]:
        frames = []
        for id_, kind, value in entries:
            head = HEADS.get(kind)
            if head is None:
                frames.append(b"data: %b\n\n" % with_id(value, id_))
            else:
                attempt, seq = id_
                frames.append(b'data: %b%b,"id":"%d-%d"}\n\n' % (head, orjson.dumps(value.decode()), attempt, seq))
        return None, frames

    def queued(self, wait: Wait) -> bytes:
        return local(NATIVE.queued(wait))

    def gap(self, reason: GapReason) -> bytes:
        return local(NATIVE.gap(reason))

    def drain(self, retry_ms: int) -> bytes:
        return local(NATIVE.drain(retry_ms), retry_ms=retry_ms)

    def closed(self, reason: ClosedReason) -> bytes:
        return local(NATIVE.closed(reason))

    def snapshot(self, transcript: Transcript) -> Iterator[bytes]:
        yield b'data: {"type":"snapshot","text":'
        yield from text_json(transcript)
        yield b',"content":'
        yield from content_json(transcript)
        yield b',"open":%b,"id":"%d-%d"}\n\n' % (orjson.dumps(transcript.open), *transcript.cursor)

    def first(self, body: bytes) -> bytes | None:
        return body


CHAT_FORM: Final = Chat()
