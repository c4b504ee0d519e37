"""The AI SDK's UI message stream, version 1 (docs/protocol.md, "The AI SDK's chat"): what `useChat` reads. Pure.

A client counts the chunks that it has, and comes back for those behind them: so every chunk is made of the log, and none is of
the connection, but an error.

chunks.py    the words
said.py      what is said of an entry, and what is remembered of all before it
telling.py   what a log amounts to, as the shortest log that does
numbered.py  chunks with their numbers, for readers on a WebSocket
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import orjson

from api.dialects import UNKNOWN, Dialect, State, sse
from api.dialects.sse import EVENT_END
from api.dialects.ui.chunks import chunk, failed, finish_reason
from api.dialects.ui.said import Said, closed, handed_over, on_event, withdrawn
from api.dialects.ui.telling import entries_of
from broker.events import DELTAS, END, TOOL_INPUT, WITHDRAW, Entry
from broker.ids import EntryId
from broker.transcript import Transcript
from broker.vocabulary import ClosedReason, GapReason
from broker.waiting import Wait

_PIECE: Final = 4096
_new: Final = tuple.__new__
_dumps: Final = orjson.dumps


class At(NamedTuple):
    """`chunks` were sent so far. What deltas have made of a call's input is `pieces` and `tail`, so that states share it."""

    chunks: int
    said: Said
    pieces: tuple[bytes, ...]
    tail: bytes


class Ui(Dialect):
    begin = At(0, Said(), (), b"")
    keep_alive = sse.KEEP_ALIVE
    done = sse.DONE

    def fold(self, state: State, entries: Sequence[Entry]) -> tuple[State, list[bytes]]:
        at: At = state  # type: ignore[assignment]  # by whoever keeps it; to look takes time
        chunks, said, pieces, tail = at
        deltas, head = said.kind, said.head
        frames: list[bytes] = []
        for id_, kind, value in entries:
            if kind == deltas:
                chunks += 1
                attempt, seq = id_
                frames.append(b"%b%b}\nid: %d-%d\n\n" % (head, _dumps(value.decode()), attempt, seq))
                if kind == TOOL_INPUT:
                    tail += value
                    if len(tail) >= _PIECE:
                        pieces, tail = (*pieces, tail), b""
            elif kind in DELTAS:
                frames.append(b"")
            else:
                said, new = _step(said, kind, value, b"".join((*pieces, tail)))
                chunks += len(new)
                frames.append(_frame(new, id_))
                deltas, head = said.kind, said.head
                if deltas != TOOL_INPUT:
                    pieces, tail = (), b""
        return _new(At, (chunks, said, pieces, tail)), frames

    def skip(self, state: State, kind: bytes, values: Sequence[bytes]) -> State:
        assert isinstance(state, At)
        if kind != state.said.kind:
            return state
        return UNKNOWN if kind == TOOL_INPUT else state._replace(chunks=state.chunks + len(values))

    def count(self, state: State) -> int:
        assert isinstance(state, At)
        return state.chunks

    def weight(self, state: State) -> int:
        """What an open call's input has, and whole ones that wait."""
        assert isinstance(state, At)
        waiting = sum(len(part.input) for part in state.said.step)
        return sum(map(len, state.pieces)) + len(state.tail) + waiting

    def queued(self, wait: Wait) -> bytes:
        """Nothing: it would be counted."""
        return b""

    def gap(self, reason: GapReason) -> bytes:
        return failed("gap", reason)

    def drain(self, retry_ms: int) -> bytes:
        """Nothing: who is cut comes back."""
        return b""

    def closed(self, reason: ClosedReason) -> bytes:
        return failed("closed", reason)

    def snapshot(self, transcript: Transcript) -> Iterator[bytes]:
        """What the log amounts to, as the log would have said it that has nothing else: each part in one piece."""
        state: State = self.begin
        for entry in entries_of(transcript):
            state, frames = self.fold(state, [entry])
            yield from frames

    def first(self, body: bytes) -> bytes | None:
        return body


def _step(said: Said, kind: bytes, value: bytes, written: bytes) -> tuple[Said, list[bytes]]:
    """The state behind an entry that is no delta, and its chunks. `written` as in `on_event`."""
    if kind == END:
        return said, _end(said, orjson.loads(value), written)
    if kind == WITHDRAW:
        return withdrawn(said)
    return on_event(said, orjson.loads(value), written)


def _end(said: Said, end: dict[str, object], written: bytes) -> list[bytes]:
    """Of what has failed, and of what was cancelled, the client keeps what it has: no part of that is ended."""
    if end["type"] == "error":
        return [failed(end["code"], end["message"])]
    if end["status"] == "cancelled":
        return [chunk("abort", reason=end.get("reason", "requested"))]
    about = {name: end[name] for name in ("stop_reason", "usage", "cost") if end.get(name) is not None}
    metadata = {"respool": {"generation": said.generation, "model": said.model, **about}}
    said, chunks = closed(said, written)
    finish = chunk("finish", finishReason=finish_reason(end.get("stop_reason")), messageMetadata=metadata)
    return [*chunks, *handed_over(said), chunk("finish-step"), finish]


def _frame(chunks: Sequence[bytes], id_: EntryId) -> bytes:
    """The chunks of one entry. Its id is the last one's: who has an id has all of the entry."""
    return b"%bid: %d-%d\n\n" % (b"".join(chunks)[:-1], *id_) if chunks else b""


def chunks_of(frame: bytes) -> list[bytes]:
    """The chunks of a frame."""
    return [each + EVENT_END for each in frame.split(EVENT_END)[:-1]]


FINISH: Final = chunk("finish")
"""Says to who counts chunks that there are no more."""
UI: Final = Ui()
