"""The streams of LangGraph's server, as far as a graph has one node that asks a model (docs/protocol.md, "LangGraph"). Pure.

words.py    LangChain's messages
pieces.py   messages in chunks
said.py     what is remembered
objects.py  runs and threads

    log               7-0 stream_start     7-1 block_start   7-2 "It"                          8-0 stream_end
    messages-tuple    metadata                               messages ["It", about it]         end
    messages          metadata             messages/metadata messages/partial ["It"]           messages/complete, end
    values            metadata, values                                                         values, end
    updates           metadata                                                                 updates, end

Of the events of an entry the last one has its id: what is said once is the last one, and any other may be said again.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from api.dialects import UNKNOWN, Dialect, State, sse
from api.dialects.langgraph.pieces import PIECE, cited, piece, signed, started
from api.dialects.langgraph.said import At, Said, due_at
from api.dialects.langgraph.words import Json, answer_id, answer_of, error, event, failure, is_result, message
from api.dialects.responses.rope import PART_BYTES, Parts, Rope, cut
from broker.events import DELTAS, END, EVENT, START, WITHDRAW, Entry
from broker.ids import EntryId
from broker.transcript import Transcript
from broker.vocabulary import ClosedReason, GapReason
from broker.waiting import Wait

MODES: Final = ("values", "updates", "messages", "messages-tuple")
NODE: Final = "model"
"""The one node that there is."""
_new: Final = tuple.__new__
_dumps: Final = orjson.dumps
_BEGUN_ANEW: Final = (
    "The answer was begun anew after a crash: what was shown does not hold. Join the run for what does."
)
_GAP: Final = "What was shown is not what there is (any more). Join the run for what there is."
_CLOSED: Final = "What let this reader in has ended."


@dataclass(frozen=True)
class LangGraph(Dialect):
    """Of one run, in these modes. `before`: the messages in front of its answer, as JSON, for the mode `values` alone."""

    thread: str
    run: str
    modes: frozenset[str]
    before: bytes = b"[]"

    begin = At(0, None, b"", Said(), -1, b"", b"")
    keep_alive = sse.KEEP_ALIVE
    done = b""

    def weight(self, state: State) -> int:
        return state.size if isinstance(state, At) else 0

    def fold(self, state: State, entries: Sequence[Entry]) -> tuple[State, list[bytes]]:
        at: At = state  # type: ignore[assignment]  # by whoever keeps it; to look takes time
        size, parts, tail, said, due, before, behind = at
        frames: list[bytes] = []
        for entry in entries:
            (attempt, seq), kind, value = entry
            if kind not in DELTAS:
                said, events = self._other(_rested(size, parts, tail, said), entry)
                frames.append(_frame(events, entry.id))
                size, parts, tail, said, due, before, behind = self._at(said)
                continue
            partial = b""
            if due >= 0:
                size += len(value)
                tail += value
                if len(tail) >= PART_BYTES:
                    parts, tail = cut(parts, tail)
                if size >= due:
                    said, (partial,) = self._partial(_rested(size, parts, tail, said))
                    due = due_at(said.shown)
            if before:
                if partial:
                    partial += b"\n"
                frames.append(
                    b"%b%b%b%b\nid: %d-%d\n\n" % (partial, before, _dumps(value.decode()), behind, attempt, seq)
                )
            else:
                frames.append(b"%bid: %d-%d\n\n" % (partial, attempt, seq) if partial else b"")
        return _new(At, (size, parts, tail, said, due, before, behind)), frames

    def _at(self, said: Said) -> At:
        """Behind an entry that is no piece of a text."""
        due = -1 if said.open < 0 or said.broken else due_at(said.shown) if "messages" in self.modes else sys.maxsize
        return At(said.size, *said.text, said, due, *self._piece(said))

    def skip(self, state: State, kind: bytes, values: Sequence[bytes]) -> State:
        """Which sizes were shown is of the entries, one by one."""
        assert isinstance(state, At)
        if state.due < 0:
            return state
        if "messages" in self.modes:
            return UNKNOWN
        text = b"".join(values)
        parts, tail = cut(state.parts, state.tail + text)
        return state._replace(size=state.size + len(text), parts=parts, tail=tail)

    # -- what is said of an entry

    def _other(self, said: Said, entry: Entry) -> tuple[Said, list[bytes]]:
        """The state behind an entry that is no piece of a text, and its events."""
        if entry.kind == END:
            return said, self._end(said, orjson.loads(entry.value))
        if said.broken:
            return said, []
        if entry.kind == WITHDRAW:
            return self._kept(said, 0)
        if entry.kind not in (START, EVENT):
            return said, []
        match orjson.loads(entry.value):
            case {"type": "stream_start", "keep_blocks": int(blocks)}:
                return self._kept(said, blocks) if said.begun else (said._replace(begun=True), self._beginning())
            case {"type": "block_start", "index": int(index), "block": dict(block)}:
                return self._block(said, index, block)
            case {"type": "block_stop"}:
                said = said.settled()
                return self._partial(said, anyway=True) if said.size > said.shown else (said, [])
            case {"type": "signature", "signature": str(signature)} if said.open >= 0:
                return said.signed(signature), self._tuple(said, signed(said.open, signature))
            case {"type": "citation", "citation": citation} if said.open >= 0:
                return said.cited(citation), self._tuple(said, cited(said.open, citation))
        return said, []

    def _beginning(self) -> list[bytes]:
        events = [event("metadata", {"run_id": self.run, "thread_id": self.thread, "attempt": 1})]
        return (
            [*events, event("values", {"messages": orjson.Fragment(self.before)})] if "values" in self.modes else events
        )

    def _block(self, said: Said, index: int, head: Json) -> tuple[Said, list[bytes]]:
        """A block begins, or goes on. What is before it in other messages is complete."""
        if index < len(said.parts):
            return said.opened(index, head), []
        after, events = said.opened(index, head), list[bytes]()
        number = after.messages - 1
        if "messages" in self.modes and number >= said.messages:
            whole = answer_of(self.run, said.blocks())
            events = [event("messages/complete", [each]) for each in whole[said.told :]]
            about = {answer_id(self.run, number): {"metadata": self._about}}
            events.append(event("messages/metadata", about))
            after = after._replace(told=number, shown=0)
        if "messages-tuple" in self.modes and is_result(head):
            events.append(event("messages", [message([head], answer_id(self.run, number)), self._about]))
        elif (told := started(len(after.parts) - 1, head)) is not None:
            events += self._tuple(after, told)
        return after, events

    def _kept(self, said: Said, blocks: int) -> tuple[Said, list[bytes]]:
        """Blocks behind so many are no more. What was told piece by piece, or as complete, cannot be taken back."""
        after = said.kept(blocks)
        if len(after.parts) == len(said.parts):
            return after, []
        taken_back = "messages" in self.modes and said.told > max(0, after.messages - 1)
        if taken_back or "messages-tuple" in self.modes:
            return after._replace(broken=True), [error("begun_anew", _BEGUN_ANEW)]
        return self._partial(after, anyway=True) if "messages" in self.modes and after.parts else (after, [])

    def _partial(self, said: Said, *, anyway: bool = False) -> tuple[Said, list[bytes]]:
        """The message that is being written, if it is to be told by now."""
        if "messages" not in self.modes or not (anyway or said.size >= due_at(said.shown)):
            return said, []
        shown = message(said.last(), answer_id(self.run, said.messages - 1))
        return said._replace(shown=said.size), [event("messages/partial", [shown])]

    def _end(self, said: Said, end: Json) -> list[bytes]:
        if said.broken:
            return [error("begun_anew", _BEGUN_ANEW)]
        if (failed := failure(end)) is not None:
            rest = self._partial(said, anyway=True)[1] if said.size > said.shown else []
            return [*rest, error(*failed)]
        answer = answer_of(self.run, said.blocks(), end)
        events = list[bytes]()
        if "messages" in self.modes:
            events += [event("messages/complete", [each]) for each in answer[said.told :]]
        if "updates" in self.modes:
            events.append(event("updates", {NODE: {"messages": answer}}))
        if "values" in self.modes:
            events.append(event("values", {"messages": orjson.Fragment(joined(self.before, answer))}))
        return [*events, event("end", None)]

    # -- messages in pieces

    @property
    def _about(self) -> Json:
        return {"langgraph_node": NODE, "thread_id": self.thread, "run_id": self.run}

    def _chunk(self, number: int, said: Json) -> Json:
        return {
            "type": "AIMessageChunk", "id": answer_id(self.run, number), "name": None, "content": "",
            "tool_call_chunks": [], **said,
        }  # fmt: skip

    def _tuple(self, said: Said, told: Json) -> list[bytes]:
        """A chunk of the last message, where it is told in chunks."""
        if "messages-tuple" not in self.modes:
            return []
        return [event("messages", [self._chunk(said.messages - 1, told), self._about])]

    def _piece(self, said: Said) -> tuple[bytes, bytes]:
        """How a piece of the open block is told: what is before it, and what is behind it; empty if none is."""
        if "messages-tuple" not in self.modes or said.open < 0 or said.broken:
            return b"", b""
        said_so = piece(said.open, said.parts[said.open].head)
        before, after = event("messages", [self._chunk(said.messages - 1, said_so), self._about]).split(PIECE)
        return before, after[:-1]

    # -- events of the connection

    def queued(self, wait: Wait) -> bytes:
        return b""

    def gap(self, reason: GapReason) -> bytes:
        return error(reason, _GAP) + b"\n"

    def drain(self, retry_ms: int) -> bytes:
        return b""

    def closed(self, reason: ClosedReason) -> bytes:
        return error(reason, _CLOSED) + b"\n"

    def snapshot(self, transcript: Transcript) -> Iterator[bytes]:
        return iter(())

    def first(self, body: bytes) -> bytes | None:
        return body


def joined(before: bytes, messages: Sequence[Json]) -> bytes:
    """These messages behind those, as JSON."""
    more = orjson.dumps(messages)
    return more if before == b"[]" else before if more == b"[]" else before[:-1] + b"," + more[1:]


def _rested(size: int, parts: Parts, tail: bytes, said: Said) -> Said:
    """What was said, with all that has changed since the last entry that was no piece of a text."""
    return said._replace(size=size, text=Rope(parts, tail))


def _frame(events: Sequence[bytes], id_: EntryId) -> bytes:
    return b"%bid: %d-%d\n\n" % (b"\n".join(events), *id_) if events else b""
