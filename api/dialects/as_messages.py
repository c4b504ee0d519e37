"""A dialect of server-sent events as messages of a WebSocket, around any of them. Pure.

    an event     data: {"type":"text","text":"Hello"}     and behind it     id: 7-2
    its message  {"generation":"gen_…","id":"7-2","event":{"type":"text","text":"Hello"}}

Several generations share a connection, so each message says whose it is. It says the same to everybody: it is made once, and
with its head is what a socket may get as it is.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from api.dialects import Dialect, State
from api.dialects.websocket import HEADS, KNOWN, head, message
from broker.events import Entry
from broker.transcript import Transcript
from broker.vocabulary import ClosedReason, GapReason
from broker.waiting import Wait

_DATA: Final = b"data: "
_ID: Final = b"\nid: "
_MOST_KEPT: Final = 4096


class Messages(Dialect):
    """`generation` is its id; without one a message is the event's JSON and nothing else. Two of the same are equal, so that
    all who follow a generation share its frames."""

    keep_alive = b""
    """A connection has one for all that it carries: a ping."""
    done = b""

    def __init__(self, inner: Dialect, generation: str = "") -> None:
        self._inner = inner
        self._generation = generation
        self._begins = b'{"generation":"%b"' % generation.encode() if generation else b""
        self.begin: State = inner.begin
        self.slice, self.holds = inner.slice, inner.holds

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Messages) and (self._inner, self._generation) == (other._inner, other._generation)

    def __hash__(self) -> int:
        return hash((self._inner, self._generation))

    def fold(self, state: State, entries: Sequence[Entry]) -> tuple[State, list[bytes]]:
        state, frames = self._inner.fold(state, entries)
        return state, self._all(frames)

    def flush(self, state: State, most: int | None = None) -> tuple[State, list[bytes]]:
        state, frames = self._inner.flush(state, most)
        return state, self._all(frames)

    def skip(self, state: State, kind: bytes, values: Sequence[bytes]) -> State:
        return self._inner.skip(state, kind, values)

    def passed(self, state: State) -> bool:
        return self._inner.passed(state)

    def count(self, state: State) -> int:
        return self._inner.count(state)

    def weight(self, state: State) -> int:
        return self._inner.weight(state)

    def queued(self, wait: Wait) -> bytes:
        return self._of(self._inner.queued(wait))

    def gap(self, reason: GapReason) -> bytes:
        return self._of(self._inner.gap(reason))

    def drain(self, retry_ms: int) -> bytes:
        return self._of(self._inner.drain(retry_ms))

    def closed(self, reason: ClosedReason) -> bytes:
        return self._of(self._inner.closed(reason))

    def snapshot(self, transcript: Transcript) -> Iterator[bytes]:
        """One message, of one event, which may be long: its parts are not joined."""
        parts = list(self._inner.snapshot(transcript))
        if not parts:
            return
        parts[0] = parts[0].removeprefix(_DATA)
        parts[-1], _, said = parts[-1].partition(b"\n")
        before, behind = self._around(said)
        yield head(len(before) + sum(map(len, parts)) + len(behind))
        yield before
        yield from parts
        yield behind

    def first(self, body: bytes) -> bytes | None:
        """Nothing need be said once a stream."""
        return body

    def _all(self, frames: list[bytes]) -> list[bytes]:
        """Nearly every frame is one event with an id: of that, what `_of` makes, in a fifth of its time."""
        if not (begins := self._begins):
            return [self._of(frame) for frame in frames]
        found = list[bytes]()
        for frame in frames:
            event, _, id_ = frame.partition(_ID)
            if id_[-2:] == b"\n\n" and id_.find(b"\n") == len(id_) - 2 and event[:6] == _DATA:
                text = b'%b,"id":"%b","event":%b}' % (begins, id_[:-2], event[6:])
                size = len(text)
                found.append((HEADS[size] if size < KNOWN else head(size)) + text)
            else:
                found.append(self._of(frame))
        return found

    def _of(self, frame: bytes) -> bytes:
        """A message for each event of a frame, which may be empty."""
        at, found = frame.find(_DATA), b""
        while at >= 0:
            end = frame.index(b"\n", at)
            last = frame.index(b"\n\n", end)
            before, behind = self._around(frame[end + 1 : last])
            found += message(before + frame[at + len(_DATA) : end] + behind)
            at = frame.find(_DATA, last)
        return found

    def _around(self, said: bytes) -> tuple[bytes, bytes]:
        """What stands before an event's JSON and behind it, if the event says this besides."""
        if not self._begins:
            return b"", b""
        name, _, value = said.rstrip(b"\n").partition(b": ")
        if name == b"id":
            return b'%b,"id":"%b","event":' % (self._begins, value), b"}"
        retry = b',"retry_ms":%b' % value if name == b"retry" else b""
        return b'%b%b,"event":' % (self._begins, retry), b"}"


@lru_cache(_MOST_KEPT)
def in_messages(dialect: Dialect, generation: str = "") -> Dialect:
    """The dialect in messages of this generation."""
    return Messages(dialect, generation)
