"""The chunks of OpenAI's Chat Completions (docs/protocol.md, "OpenAI Chat Completions"). Pure.

There are no blocks here: text is `content`, calls are counted by themselves, thinking is `reasoning_content`, as everything
that speaks this vocabulary for models that think calls it. An id, a time and a model are in every chunk, and are the same in
all of them: those of the first attempt.

    log     7-0 stream_start   7-1 block_start   7-2 "It"           7-3 usage   8-0 stream_end
    chunks  role: assistant                      content: "It"                  finish_reason: stop, and the usage

What was shown cannot be taken back in this vocabulary. Where a later attempt begins anew, or a guardrail withdraws, readers are
told by an error, and nothing but the end follows.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import orjson

from api.dialects import UNKNOWN, Dialect, State, openai_words, sse
from broker.events import END, TEXT, THINKING, TOOL_INPUT, Entry
from broker.ids import EntryId
from broker.transcript import Transcript
from broker.vocabulary import ClosedReason, GapReason, Json
from broker.waiting import Wait

_FINISHED: Final[Mapping[str, str]] = {
    "max_tokens": "length", "model_context_window_exceeded": "length", "tool_use": "tool_calls",
    "refusal": "content_filter",
}  # fmt: skip
_HEADS: Final = {TEXT: b'{"content":', THINKING: b'{"reasoning_content":'}
_GOES_ON: Final = b',"finish_reason":null}]}\n'
_WAITS: Final = b": queued\n"
_OVER: Final = b": end\n\n"
_ANEW: Final = "The answer was begun anew after a crash: what was shown is no part of it."
_WITHDRAWN: Final = "A guardrail has withdrawn the answer."
_GAP: Final = "What was shown is not what there is: the generation may be read anew by its id."
_CLOSED: Final = "What let you in has ended."


def completion_id(generation: str) -> str:
    """What a completion is called here: by its generation's id, so that no index is needed."""
    return "chatcmpl-" + generation.removeprefix("gen_")


def finish_reason(stop_reason: object) -> str:
    return _FINISHED.get(str(stop_reason), "stop")


def usage_of(usage: Mapping[str, object]) -> Json:
    """Usage in the words of Messages, as Chat Completions tells it."""
    asked, answered, read, written, reasoned = openai_words.counts(usage)
    return {
        "prompt_tokens": asked,
        "completion_tokens": answered,
        "total_tokens": asked + answered,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": reasoned},
    }


class Said(NamedTuple):
    """`head` begins a chunk, up to its delta, and names id, time and model. `open` is the block that is written to, `shown` how
    many blocks there are up to the last of which something was shown. `calls` are the blocks that are calls, `bare` those of
    them whose arguments have not begun, `call` the number of the open one, -1 if it is none. `text`: some was shown; `cited`:
    so many annotations were. `broken`: an error was told."""

    head: bytes = b""
    open: int = -1
    shown: int = 0
    calls: tuple[int, ...] = ()
    bare: tuple[int, ...] = ()
    call: int = -1
    text: bool = False
    cited: int = 0
    broken: bool = False


class Completions(Dialect):
    begin = Said()
    keep_alive = sse.KEEP_ALIVE
    done = sse.DONE

    def __init__(self, *, usage: bool) -> None:
        self._usage = usage

    def fold(self, state: State, entries: Sequence[Entry]) -> tuple[State, list[bytes]]:
        assert isinstance(state, Said)
        frames = []
        for entry in entries:
            id_, kind, value = entry
            head = _HEADS.get(kind)
            if head is not None and state.open < state.shown and not state.broken:  # nearly always
                said = head + orjson.dumps(value.decode())
                attempt, seq = id_
                frames.append(b"%b%b}%bid: %d-%d\n\n" % (state.head, said, _GOES_ON, attempt, seq))
            elif kind == TOOL_INPUT and state.call >= 0 and not state.bare and not state.broken:
                said = b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}' % (
                    state.call,
                    orjson.dumps(value.decode()),
                )
                frames.append(b"%b%b%bid: %d-%d\n\n" % (state.head, said, _GOES_ON, *id_))
            else:
                state, said = self._step(state, entry)
                frames.append(said and b"%bid: %d-%d\n\n" % (said, *id_))
        return state, frames

    def skip(self, state: State, kind: bytes, values: Sequence[bytes]) -> State:
        """The first of a block or of a call's arguments is something of its own."""
        assert isinstance(state, Said)
        if kind == TOOL_INPUT:
            return UNKNOWN if state.bare else state
        return state if state.open < state.shown or state.broken else UNKNOWN

    def _step(self, said: Said, entry: Entry) -> tuple[Said, bytes]:
        """The state behind the entry, and its frame, but for its end; empty if it shows nothing."""
        if said.broken:
            return said, _OVER[:-1] if entry.kind == END else b""
        match entry.kind:
            case b"t" | b"k":  # the first of its block
                text = said.text or entry.kind == TEXT
                said = said._replace(shown=max(said.shown, said.open + 1), text=text)
                return said, _chunk(said, _HEADS[entry.kind] + orjson.dumps(entry.value.decode()) + b"}")
            case b"i":
                return _arguments(said, entry.value)
            case b"z":
                return said, self._end(said, orjson.loads(entry.value))
            case b"w":
                return (said, b"") if not said.shown else _broken(said, _WITHDRAWN, "blocked")
            case b"s" | b"j":
                return _told(said, entry.id, orjson.loads(entry.value))
        return said, b""

    def _end(self, said: Said, end: Json) -> bytes:
        if end["type"] == "error":
            return _error(openai_words.failed(end))
        if end["status"] == "cancelled":
            return _error(openai_words.cancelled())
        empty = b"{}" if said.text or said.calls else b'{"content":""}'
        reason = orjson.dumps(finish_reason(end.get("stop_reason")))
        last = b'%b%b,"finish_reason":%b}]}\n' % (said.head, empty, reason)
        usage = end.get("usage")
        told = self._usage_chunk(said, usage) if self._usage and isinstance(usage, dict) else b""
        return last + b"\n" + told if told else last

    @staticmethod
    def _usage_chunk(said: Said, usage: Json) -> bytes:
        before, _, _ = said.head.partition(b"[{")
        return b'%b[],"usage":%b}\n' % (before, orjson.dumps(usage_of(usage)))

    def queued(self, wait: Wait) -> bytes:
        return _WAITS

    def gap(self, reason: GapReason) -> bytes:
        return _error(openai_words.error_body(_GAP, "server_error", reason)) + b"\n"

    def drain(self, retry_ms: int) -> bytes:
        """Nothing: the connection is cut, which these readers understand."""
        return b""

    def closed(self, reason: ClosedReason) -> bytes:
        return _error(openai_words.error_body(_CLOSED, "authentication_error", reason)) + b"\n"

    def snapshot(self, transcript: Transcript) -> Iterator[bytes]:
        """There is none in this vocabulary."""
        return iter(())

    def first(self, body: bytes) -> bytes | None:
        return body


COMPLETIONS: Final = Completions(usage=False)
COMPLETIONS_WITH_USAGE: Final = Completions(usage=True)


def _told(said: Said, id_: EntryId, event: Json) -> tuple[Said, bytes]:
    match event:
        case {"type": "stream_start", "keep_blocks": int(keep)}:
            return _begun(said, id_, event, keep)
        case {"type": "block_start", "index": int(index), "block": dict(block)}:
            return _opened(said, index, block)
        case {"type": "block_stop", "index": int(index)} if index in said.bare:
            whole = _chunk(said, _delta(said, {"arguments": "{}"}, index))
            return said._replace(bare=_without(said.bare, index)), whole
        case {"type": "signature", "signature": signature}:
            said = said._replace(shown=max(said.shown, said.open + 1))
            return said, _chunk(said, b'{"reasoning_signature":%b}' % orjson.dumps(signature))
        case {"type": "citation", "citation": citation} if openai_words.is_url_citation(citation):
            annotation = {"index": said.cited, **annotation_of(citation)}
            said = said._replace(shown=max(said.shown, said.open + 1), cited=said.cited + 1)
            return said, _chunk(said, b'{"annotations":%b}' % orjson.dumps([annotation]))
    return said, b""


def _begun(said: Said, id_: EntryId, event: Json, keep: int) -> tuple[Said, bytes]:
    """Only the first attempt is a beginning."""
    if keep < said.shown:
        return _broken(said, _ANEW, "begun_anew")
    if said.head:
        return said._replace(open=-1, call=-1), b""
    said = Said(_head(str(event.get("generation", "")), id_.attempt // 1000, str(event.get("model", ""))))
    return said, _chunk(said, b'{"role":"assistant"}')


def _opened(said: Said, index: int, block: Mapping[str, object]) -> tuple[Said, bytes]:
    """A call is shown when it begins; of anything else what is written to it."""
    if block.get("type") != "tool_use":
        return said._replace(open=index, call=-1), b""
    if index in said.calls:
        return said._replace(open=index, call=said.calls.index(index)), b""
    given = block.get("input")
    arguments = orjson.dumps(given).decode() if given else ""
    said = said._replace(
        open=index, shown=max(said.shown, index + 1), calls=(*said.calls, index), call=len(said.calls),
        bare=said.bare if given else (*said.bare, index),
    )  # fmt: skip
    call = {"name": block.get("name"), "arguments": arguments}
    return said, _chunk(said, _delta(said, call, index, id=block.get("id"), type="function"))


def _arguments(said: Said, value: bytes) -> tuple[Said, bytes]:
    """The beginning of a call's arguments; a tool of the upstream's own is no call."""
    if said.call < 0:
        return said, b""
    begun = _delta(said, {"arguments": value.decode()}, said.open)
    return said._replace(bare=_without(said.bare, said.open)), _chunk(said, begun)


def annotation_of(citation: Json) -> Json:
    """A citation of a page: of the Responses API's form the one of this vocabulary."""
    if "url_citation" in citation:
        return dict(citation)
    inside = {name: value for name, value in citation.items() if name != "type"}
    return {"type": "url_citation", "url_citation": inside}


def _head(generation: str, created: int, model: str) -> bytes:
    said = {"id": completion_id(generation), "object": "chat.completion.chunk", "created": created, "model": model}
    return b'data: %b,"choices":[{"index":0,"delta":' % orjson.dumps(said)[:-1]


def _delta(said: Said, function: Json, block: int, **more: object) -> bytes:
    call = {"index": said.calls.index(block), **more, "function": function}
    return b'{"tool_calls":[%b]}' % orjson.dumps(call)


def _chunk(said: Said, delta: bytes) -> bytes:
    return said.head + delta + _GOES_ON


def _broken(said: Said, message: str, code: str) -> tuple[Said, bytes]:
    return said._replace(broken=True), _error(openai_words.error_body(message, "server_error", code))


def _error(said: Json) -> bytes:
    return b"data: %b\n" % orjson.dumps(said)


def _without(blocks: tuple[int, ...], gone: int) -> tuple[int, ...]:
    return tuple(block for block in blocks if block != gone)
