"""The vocabulary of Anthropic's Messages API, as its own SDKs read it (docs/protocol.md, "Anthropic's Messages"). Pure.

Its readers know one call that writes blocks one behind the other. So the beginning of a second attempt is not shown, a block
that goes on is not opened again, and stop reason and usage are told once, with the end. What was shown cannot be taken back:
where a later attempt discards some of it, readers are told by an error, after which there is nothing but the end.

    log     7-0 stream_start  7-1 message    7-2 block_start       7-3 "It"              7-4 block_stop      7-5 usage  8-0 end
    frames                    message_start  content_block_start   content_block_delta   content_block_stop             *

* `message_delta` and `message_stop`. Behind each frame is its cursor as `id:`, which these readers do not look at.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import orjson

from api.dialects import Dialect, State, sse
from api.dialects.messages_words import Failed, error_body, split_end
from broker.events import END, EVENT, START, TEXT, THINKING, TOOL_INPUT, WITHDRAW, Entry
from broker.ids import EntryId
from broker.transcript import Transcript, said_at_end
from broker.vocabulary import ClosedReason, GapReason, Json
from broker.waiting import Wait

_HEADS: Final = {
    TEXT: b'"delta":{"type":"text_delta","text":',
    THINKING: b'"delta":{"type":"thinking_delta","thinking":',
    TOOL_INPUT: b'"delta":{"type":"input_json_delta","partial_json":',
}
PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'
_BEGUN_ANEW: Final = (
    "The answer was begun anew after an interruption, and what was shown of it is not part of it. It is at"
    " /v1/generations/{}."
)
_WITHDRAWN: Final = "A guardrail withdrew the answer: nothing of it may be kept."
_CLOSED: Final = "What let you in has ended."


class Told(NamedTuple):
    """What was shown. `begun`: the message; `blocks`: so many, of which `open` is written to, -1 for none. `said`: JSON of what
    the upstream said at its end, empty before. `broken`: an error was shown, and nothing may follow but the end."""

    generation: str = ""
    begun: bool = False
    blocks: int = 0
    open: int = -1
    said: bytes = b""
    broken: bool = False


class AnthropicMessages(Dialect):
    begin = Told()
    keep_alive = sse.KEEP_ALIVE
    done = b""

    def fold(self, state: State, entries: Sequence[Entry]) -> tuple[State, list[bytes]]:
        assert isinstance(state, Told)
        frames, index, broken = [], state.open, state.broken
        for entry in entries:
            (attempt, seq), kind, value = entry
            if (head := _HEADS.get(kind)) is not None and not broken:
                frames.append(
                    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,%b%b}}\nid: %d-%d\n\n'
                    % (index, head, orjson.dumps(value.decode()), attempt, seq)
                )
            else:
                state, frame = _step(state, entry)
                index, broken = state.open, state.broken
                frames.append(frame)
        return state, frames

    def skip(self, state: State, kind: bytes, values: Sequence[bytes]) -> State:
        return state

    def queued(self, wait: Wait) -> bytes:
        return PING

    def gap(self, reason: GapReason) -> bytes:
        """These readers cannot begin anew."""
        said = f"What was shown is not what the log has: {reason}."
        return _frame("error", error_body("api_error", said, f"gap_{reason}", ""))

    def drain(self, retry_ms: int) -> bytes:
        """Nothing: the connection is cut, which they understand."""
        return b""

    def closed(self, reason: ClosedReason) -> bytes:
        return _frame("error", error_body("authentication_error", _CLOSED, f"closed_{reason}", ""))

    def snapshot(self, transcript: Transcript) -> Iterator[bytes]:
        """There is none in this vocabulary."""
        return iter(())

    def first(self, body: bytes) -> bytes | None:
        return body


def _step(told: Told, entry: Entry) -> tuple[Told, bytes]:
    """The state behind an entry that is no delta, or comes too late, and its frames."""
    id_, kind, value = entry
    if kind == END:
        return told, _end(told, id_, orjson.loads(value))
    if told.broken:
        return told, b""
    if kind == WITHDRAW:
        if told.blocks:
            return _broken(told, id_, "invalid_request_error", _WITHDRAWN, "blocked")
        return told, b""
    if kind not in (START, EVENT):
        return told, b""
    return _event(told, id_, orjson.loads(value))


def _event(told: Told, id_: EntryId, event: Json) -> tuple[Told, bytes]:
    match event:
        case {"type": "stream_start", "keep_blocks": int(keep)}:
            begun = told._replace(generation=str(event.get("generation", told.generation)), open=-1, said=b"")
            if keep < told.blocks:
                return _broken(begun, id_, "api_error", _BEGUN_ANEW.format(begun.generation), "begun_anew")
            return begun, b""
        case {"type": "message", "message": dict(message)} if not told.begun:
            start: Json = {"type": "message_start", "message": {**message, "content": []}}
            return told._replace(begun=True), _frame("message_start", start, id_)
        case {"type": "block_start", "index": int(index), "block": dict(block)}:
            opened = told._replace(open=index, blocks=max(told.blocks, index + 1))
            if index < told.blocks:
                return opened, b""
            start = {"type": "content_block_start", "index": index, "content_block": block}
            return opened, _frame("content_block_start", start, id_)
        case {"type": "block_stop", "index": int(index)}:
            stop: Json = {"type": "content_block_stop", "index": index}
            return told, _frame("content_block_stop", stop, id_)
        case {"type": "signature", "signature": signature}:
            return told, _delta(told.open, {"type": "signature_delta", "signature": signature}, id_)
        case {"type": "citation", "citation": citation}:
            return told, _delta(told.open, {"type": "citations_delta", "citation": citation}, id_)
        case {"type": "block_delta", "index": int(index), "delta": delta}:
            return told, _delta(index, delta, id_)
        case {"type": "usage", **more}:
            before = orjson.loads(told.said) if told.said else {}
            return told._replace(said=orjson.dumps(said_at_end(before, more))), b""
        case {"type": "upstream", "event": dict(other)}:
            return told, _frame(str(other.get("type")), other, id_)
    return told, b""


def _end(told: Told, id_: EntryId, end: Json) -> bytes:
    if told.broken:
        return PING
    failed = Failed.of(end)
    if failed is not None:
        return _frame("error", failed.body(told.generation), id_)
    delta, beside = split_end(orjson.loads(told.said) if told.said else {}, end.get("stop_reason"))
    last = _frame("message_delta", {"type": "message_delta", "delta": delta, **beside})
    return last + _frame("message_stop", {"type": "message_stop"}, id_)


def _broken(told: Told, id_: EntryId, type_: str, why: str, code: str) -> tuple[Told, bytes]:
    return told._replace(broken=True), _frame("error", error_body(type_, why, code, told.generation), id_)


def _delta(index: int, delta: object, id_: EntryId) -> bytes:
    return _frame("content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta}, id_)


def _frame(name: str, said: Mapping[str, object], id_: EntryId | None = None) -> bytes:
    """Readers drop a frame without its name. One without an id is followed by others of its entry, or is about the
    connection."""
    body = b"event: %b\ndata: %b\n" % (name.encode(), orjson.dumps(said))
    return body + (b"\n" if id_ is None else b"id: %d-%d\n\n" % id_)


MESSAGES: Final = AnthropicMessages()
