"""A log as a durable stream (docs/protocol.md, "Durable Streams"): each entry is a JSON message, that of the chat form with its
cursor in it. Pure.

An offset names the place behind an entry. It is the log's own cursor, but of a fixed width, as offsets must sort as text does.

    7-2 "It"    event: data                                      the message
                data: [{"type":"text","text":"It","id":"7-2"}]
                event: control                                   the offset behind it
                data: {"streamNextOffset":"000000000000007-0000000002","streamCursor":"70000000002"}
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import orjson

from api.dialects import Dialect, State, sse
from api.dialects.chat import with_id
from api.dialects.native import HEADS, NATIVE
from broker.events import END, Entry
from broker.ids import EntryId
from broker.transcript import Transcript
from broker.vocabulary import ClosedReason, GapReason
from broker.waiting import Wait

OFFSET: Final = r"[0-9]{15}-[0-9]{10}"
_OFFSET: Final = re.compile(OFFSET, re.ASCII)


def offset_behind(id_: EntryId) -> str:
    """The offset behind this entry; of BEGINNING, that of the stream's beginning."""
    return f"{id_.attempt:015d}-{id_.seq:010d}"


def parse_offset(text: str) -> EntryId | None:
    """The entry that the offset is behind; None if it is no offset."""
    if _OFFSET.fullmatch(text) is None:
        return None
    attempt, _, seq = text.partition("-")
    return EntryId(int(attempt), int(seq))


def message(entry: Entry) -> bytes:
    """The entry as one line of JSON."""
    id_, kind, value = entry
    head = HEADS.get(kind)
    return with_id(value if head is None else head + orjson.dumps(value.decode()) + b"}", id_)


def caught_up(id_: EntryId) -> bytes:
    """Tells that the stream has nothing behind this entry yet."""
    return b'event: control\ndata: {"streamNextOffset":"%015d-%010d","streamCursor":"%d%010d","upToDate":true}\n\n' % (
        *id_, *id_,
    )  # fmt: skip


def closed_behind(id_: EntryId) -> bytes:
    """Tells that the stream has nothing behind this entry, and never will."""
    return b'event: control\ndata: {"streamNextOffset":"%015d-%010d","streamClosed":true,"upToDate":true}\n\n' % id_


class Durable(Dialect):
    """Events of `live=sse`. What is not of the stream has a name that its clients skip, but for a gap: that is a message,
    without an offset, as nothing that came before it holds."""

    keep_alive = sse.KEEP_ALIVE
    done = sse.DONE

    def fold(self, state: State, entries: Sequence[Entry]) -> tuple[State, list[bytes]]:
        frames = []
        for id_, kind, value in entries:
            head = HEADS.get(kind)
            if head is not None:
                attempt, seq = id_
                frames.append(
                    b'event: data\ndata: [%b%b,"id":"%d-%d"}]\n\n'
                    b'event: control\ndata: {"streamNextOffset":"%015d-%010d","streamCursor":"%d%010d"}\n\n'
                    % (head, orjson.dumps(value.decode()), attempt, seq, attempt, seq, attempt, seq)
                )
                continue
            data = b"event: data\ndata: [%b]\n\n" % with_id(value, id_)
            if kind == END:
                frames.append(data + closed_behind(id_))
            else:
                frames.append(
                    b'%bevent: control\ndata: {"streamNextOffset":"%015d-%010d","streamCursor":"%d%010d"}\n\n'
                    % (data, *id_, *id_)
                )
        return None, frames

    def queued(self, wait: Wait) -> bytes:
        return b"event: queued\n" + NATIVE.queued(wait)

    def gap(self, reason: GapReason) -> bytes:
        return b"event: data\n" + NATIVE.gap(reason)

    def drain(self, retry_ms: int) -> bytes:
        return b"event: drain\n" + NATIVE.drain(retry_ms)

    def closed(self, reason: ClosedReason) -> bytes:
        return b"event: closed\n" + NATIVE.closed(reason)

    def snapshot(self, transcript: Transcript) -> Iterator[bytes]:
        return iter(())

    def first(self, body: bytes) -> bytes | None:
        return sse.with_retry(body)


class Array(Dialect):
    """The members of the JSON array that a read is answered with, each with a comma behind it. Nothing is said of the
    connection."""

    keep_alive = b""
    done = b""

    def fold(self, state: State, entries: Sequence[Entry]) -> tuple[State, list[bytes]]:
        return None, [message(entry) + b"," for entry in entries]

    def queued(self, wait: Wait) -> bytes:
        return b""

    def gap(self, reason: GapReason) -> bytes:
        return b""

    def drain(self, retry_ms: int) -> bytes:
        return b""

    def closed(self, reason: ClosedReason) -> bytes:
        return b""

    def snapshot(self, transcript: Transcript) -> Iterator[bytes]:
        return iter(())

    def first(self, body: bytes) -> bytes | None:
        return body


DURABLE: Final = Durable()
ARRAY: Final = Array()
