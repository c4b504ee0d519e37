"""The fold: each entry is no event, one, or several of consecutive numbers. Behind each entry's last event is the log's cursor
as its `id:`, which OpenAI's clients do not look at, and others may resume with. Pure.

Events 0 and 1, `response.created` and `response.queued`, are said when the generation was accepted: before there is a log.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import orjson

from api.dialects import Dialect, State, sse
from api.dialects.openai_words import error_body
from api.dialects.responses.head import Head, end_of
from api.dialects.responses.items import Event
from api.dialects.responses.rope import PART_BYTES, Parts, Rope, cut
from api.dialects.responses.said import Said, Step, block_started, block_stopped, ended, kept
from broker.events import DELTAS, END, EVENT, START, WITHDRAW, Entry
from broker.ids import EntryId
from broker.transcript import Transcript
from broker.vocabulary import ClosedReason, GapReason, Json
from broker.waiting import Wait

_dumps: Final = orjson.dumps
_new: Final = tuple.__new__
_BEGUN_ANEW: Final = (
    "The answer was begun anew after a crash: what was shown does not hold. Retrieve it when it has ended."
)
_GAP: Final = "What was shown is not what there is (any more). Retrieve the response for what there is."
_CLOSED: Final = "What let this reader in has ended."


def event(type_: bytes, fields: Json, number: int, id_: EntryId | None = None) -> bytes:
    """One event, with the cursor behind it, if it is an entry's last."""
    said = _dumps({"type": type_.decode(), **fields, "sequence_number": number})
    return b"event: %b\ndata: %b\n%b\n" % (type_, said, b"" if id_ is None else b"id: %d-%d\n" % id_)


def error_event(code: str, message: str, number: int | None = None, id_: EntryId | None = None) -> bytes:
    """An error that makes OpenAI's SDK raise it."""
    counted = {} if number is None else {"sequence_number": number}
    said = _dumps({"type": "error", "code": code, "message": message, "param": None, **counted,
                   **error_body(message, "server_error", code)})  # fmt: skip
    return b"event: error\ndata: %b\n%b\n" % (said, b"" if id_ is None else b"id: %d-%d\n" % id_)


class At(NamedTuple):
    """`said` as it was behind the last entry that was no piece of a text. What pieces change is apart, so that a step makes
    nothing larger than this: the number of the next event, and the text of the open block, as a rope has it."""

    number: int
    parts: Parts
    tail: bytes
    said: Said


@dataclass(frozen=True)
class Responses(Dialect):
    """Of one generation: what its events repeat of it is not in the log."""

    head: Head

    begin = At(Said().number, None, b"", Said())
    keep_alive = sse.KEEP_ALIVE
    done = b""

    def created(self, after: int | None) -> bytes:
        """The events before the log's, as far as they are behind the one of number `after`."""
        response: Json = {"response": self.head.response("queued", [])}
        first = enumerate((b"response.created", b"response.queued"))
        return b"".join(event(type_, response, number) for number, type_ in first if after is None or number > after)

    def count(self, state: State) -> int:
        """How many events were said: the number of the next one."""
        assert isinstance(state, At)
        return state.number

    def weight(self, state: State) -> int:
        return _rested(state).weight if isinstance(state, At) else 0

    def fold(self, state: State, entries: Sequence[Entry]) -> tuple[State, list[bytes]]:
        at: At = state  # type: ignore[assignment]  # by whoever keeps it; to look takes time
        number, parts, tail, said = at
        delta = said.delta
        frames: list[bytes] = []
        for entry in entries:
            (attempt, seq), kind, value = entry
            if kind in DELTAS:
                if not delta:
                    frames.append(b"")
                    continue
                frames.append(
                    b'%b%b,"sequence_number":%d}\nid: %d-%d\n\n' % (delta, _dumps(value.decode()), number, attempt, seq)
                )
                number += 1
                tail += value
                if len(tail) >= PART_BYTES:
                    parts, tail = cut(parts, tail)
            else:
                said, frame = self._other(_rested(At(number, parts, tail, said)), entry)
                number, delta, (parts, tail) = said.number, said.delta, said.text
                frames.append(frame)
        return _new(At, (number, parts, tail, said)), frames

    def skip(self, state: State, kind: bytes, values: Sequence[bytes]) -> State:
        assert isinstance(state, At)
        number, parts, tail, said = state
        return At(number + len(values), *cut(parts, tail + b"".join(values)), said) if said.delta else state

    def _other(self, said: Said, entry: Entry) -> tuple[Said, bytes]:
        """The state behind an entry that is no piece of a text, and its frame."""
        if said.broken:
            return said, _broken(said, entry.id) if entry.kind == END else b""
        if entry.kind == END:
            return self._end(said, entry)
        if entry.kind == WITHDRAW:
            return Said(said.number, begun=said.begun), b""
        if entry.kind not in (START, EVENT):
            return said, b""
        after, events = self._step(said, orjson.loads(entry.value))
        if after.broken:
            after = after._replace(delta=b"", number=said.number + 1)
            return after, _broken(said, entry.id)
        return _numbered(after, events, entry.id)

    def _step(self, said: Said, told: Json) -> Step:
        match told:
            case {"type": "stream_start", "keep_blocks": int(blocks)}:
                names = told.get("server_tools")
                server = frozenset(names if isinstance(names, list) else ())
                after = kept(said, blocks)._replace(server=server, begun=True)
                if said.begun:
                    return after, []
                return after, [(b"response.in_progress", {"response": self.head.response("in_progress", [])})]
            case {"type": "block_start", "index": int(index), "block": dict(head)}:
                return block_started(said, self.head.generation, index, head)
            case {"type": "block_stop", "index": int(index)}:
                return block_stopped(said, index)
            case {"type": "signature", "signature": str(signature)} if said.open >= 0:
                item = said.items[said.open]
                return said.with_item(said.open, item._replace(signature=item.signature + signature)), []
            case {"type": "citation", "citation": citation} if said.open >= 0:
                item = said.items[said.open]
                return said.with_item(said.open, item._replace(citations=(*item.citations, citation))), []
        return said, []

    def _end(self, said: Said, entry: Entry) -> tuple[Said, bytes]:
        end = end_of(orjson.loads(entry.value))
        output, events = ended(said, complete=end.complete)
        response: Json = {"response": self.head.response(end.status, output, **end.more)}
        return _numbered(said, [*events, (b"response." + end.event, response)], entry.id)

    # -- events of the connection

    def queued(self, wait: Wait) -> bytes:
        return b""

    def gap(self, reason: GapReason) -> bytes:
        return error_event(reason, _GAP)

    def drain(self, retry_ms: int) -> bytes:
        return b""

    def closed(self, reason: ClosedReason) -> bytes:
        return error_event(reason, _CLOSED)

    def snapshot(self, transcript: Transcript) -> Iterator[bytes]:
        return iter(())

    def first(self, body: bytes) -> bytes | None:
        return body


def _rested(at: At) -> Said:
    """What was said, with all that has changed since the last entry that was no piece of a text."""
    number, parts, tail, said = at
    return said._replace(number=number, text=Rope(parts, tail))


def _broken(said: Said, id_: EntryId) -> bytes:
    return error_event("begun_anew", _BEGUN_ANEW, said.number, id_)


def _numbered(said: Said, events: Sequence[Event], id_: EntryId) -> tuple[Said, bytes]:
    """The events as one frame, counted on from the last one."""
    last = len(events) - 1
    frame = b"".join(
        event(type_, fields, said.number + at, id_ if at == last else None) for at, (type_, fields) in enumerate(events)
    )
    return said._replace(number=said.number + len(events)), frame
