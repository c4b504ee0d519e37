"""What a UI message stream has said so far, and what it says next. Pure.

    log       7-0 stream_start         7-1 message   7-2 block_start    7-3 "It"      7-4 block_stop   …   8-0 stream_end
    chunks    start, start-step                      text-start "0"     text-delta    text-end             finish-step, finish

A block is a part, and the number of the block its id. A step is one answer of the model: what a tool of the server's gave goes
into the next. That a client may run a tool is said when nothing says any more that the server does.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

import orjson

from api.dialects.ui.chunks import EXECUTED, chunk, delta_head, failed, of_anthropic, source
from broker.events import TEXT, THINKING, TOOL_INPUT

Json = Mapping[str, object]
MESSAGE_LABEL: Final = "ui.message"
"""The label of a generation that goes on with a message that the client has: that message's id."""
_GONE: Final = -1
"""The number of a block that is no more, and is shown as a call that failed."""
NOT_UNDONE: Final = failed("restarted", "what was shown is no part of the answer any more: read it anew")


class Part(NamedTuple):
    """A part of this step, and the number of its block. Of a tool's call: its id, the tool's name, whether the upstream runs it
    itself; what is known of its `fate`, and its input while that is `whole`."""

    block: int
    call: str = ""
    name: str = ""
    executed: bool = False
    fate: Literal["", "written", "whole", "ready", "over"] = ""
    input: bytes = b""


class Said(NamedTuple):
    """`begun`: it has said which message this is. `step`: the parts of this step; `before`: how many blocks earlier ones have.
    `open`: the block that deltas belong to and that has not ended, -1 if there is none; `kind` and `head`: of its deltas;
    `given`: the input that a call began with. `sources` were named."""

    begun: bool = False
    generation: str = ""
    model: str = ""
    step: tuple[Part, ...] = ()
    before: int = 0
    open: int = -1
    kind: bytes = b""
    head: bytes = b""
    signature: str = ""
    given: bytes = b""
    sources: int = 0


Next = tuple[Said, list[bytes]]


def on_event(said: Said, event: Json, written: bytes) -> Next:
    """What an entry says that is one JSON object, and not the end. `written`: what deltas have made of the input of a call that
    is open."""
    match event:
        case {"type": "block_start", "index": int(index), "block": dict(block)}:
            return _block(said, index, block, written)
        case {"type": "block_stop", "index": int(index)}:
            return closed(said, written) if index == said.open else (said, [])
        case {"type": "signature", "signature": str(signature)} if said.kind == THINKING:
            whole = said.signature + signature
            about = of_anthropic(signature=whole)
            return said._replace(signature=whole), [chunk("reasoning-delta", id=str(said.open), delta="", **about)]
        case {"type": "citation", "citation": dict(citation)}:
            shown = source(f"source-{said.sources}", citation)
            return said._replace(sources=said.sources + 1), [shown] if shown else []
        case {"type": "tool_start", "id": str(call)}:
            return _run_here(said, call)
        case {"type": "message"}:
            return _answered(said)
        case {"type": "stream_start"}:
            return _begun(said, event)
        case {"type": "retrying", "model": str(model)}:
            return said._replace(model=model), []
    return said, []


def _begun(said: Said, event: Json) -> Next:
    """An attempt begins."""
    said = said._replace(generation=str(event.get("generation", "")), model=str(event.get("model", "")))
    if not said.begun:
        said = said._replace(begun=True)
        labels = event.get("labels")
        own = labels.get(MESSAGE_LABEL) if isinstance(labels, dict) else None
        return said, [chunk("start", messageId=own or said.generation), chunk("start-step")]
    keep = event.get("keep_blocks")
    return _taken_back(said, keep if isinstance(keep, int) else 0)


def _taken_back(said: Said, keep: int) -> Next:
    """Blocks from number `keep` on are no more. Of this step all can be undone, or calls alone, which then have failed. Else
    the client is told that it has what is wrong; what follows is for those who come back."""
    dropped = [part for part in said.step if part.block >= keep]
    kept = tuple(part for part in said.step if part.block < keep)
    if not dropped and keep >= said.before:
        return said, []
    shut = said if said.open < keep else _shut(said)
    if keep < said.before:
        return shut._replace(step=kept, before=keep), [NOT_UNDONE]
    if not kept:
        return shut._replace(step=()), [chunk("reset-step")]
    if any(part.fate in ("", "ready") for part in dropped):
        return shut._replace(step=kept), [NOT_UNDONE]
    told = [
        _call_failed(part, "The server broke off, and goes on without it.") for part in dropped if part.fate != "over"
    ]
    gone = [part._replace(block=_GONE, fate="over", input=b"") for part in dropped]
    return shut._replace(step=(*kept, *gone)), told


def withdrawn(said: Said) -> Next:
    """All of it is taken back."""
    if not said.step and not said.before:
        return said, []
    undone = NOT_UNDONE if said.before else chunk("reset-step")
    return _shut(said)._replace(step=(), before=0), [undone]


def _answered(said: Said) -> Next:
    """The model begins an answer: a step of its own, unless this one goes on, or has nothing in it yet."""
    if said.open >= 0 or not said.step:
        return said, []
    before = max(said.before, *(part.block + 1 for part in said.step))
    return said._replace(step=(), before=before), [chunk("finish-step"), chunk("start-step")]


def _block(said: Said, index: int, block: Json, written: bytes) -> Next:
    """A block begins, or goes on."""
    if index == said.open:
        return said, []
    said, frames = closed(said, written)
    if any(part.block == index for part in said.step):  # it had ended: the same id begins anew in another step alone
        said = said._replace(step=(), before=index + 1)
        frames += [chunk("finish-step"), chunk("start-step")]
    said, more = _opened(said, index, block)
    return said, frames + more


def _opened(said: Said, index: int, block: Json) -> Next:
    id_, part = str(index), Part(index)
    match block:
        case {"type": "text"}:
            said = _with(said, part, TEXT, delta_head("text-delta", id_))
            early = block.get("text")
            return said, [chunk("text-start", id=id_), *([chunk("text-delta", id=id_, delta=early)] if early else [])]
        case {"type": "thinking"}:
            said = _with(said, part, THINKING, delta_head("reasoning-delta", id_))
            return said, [chunk("reasoning-start", id=id_)]
        case {"type": "redacted_thinking", "data": str(data)}:
            about = of_anthropic(redactedData=data)
            said = said._replace(step=(*said.step, part))
            return said, [chunk("reasoning-start", id=id_, **about), chunk("reasoning-end", id=id_)]
        case {"type": "tool_use" | "server_tool_use" | "mcp_tool_use" as type_, "id": str(call), "name": str(name)}:
            part = Part(index, call, name, type_ != "tool_use", "written")
            said = _with(said, part, TOOL_INPUT, delta_head("tool-input-delta", call))
            said = said._replace(given=orjson.dumps(block.get("input") or {}))
            executed = EXECUTED if part.executed else {}
            return said, [chunk("tool-input-start", toolCallId=call, toolName=name, **executed)]
        case {"tool_use_id": str(call), "content": content}:
            return _result(said, Part(index, call), content, is_error=bool(block.get("is_error")))
    return said, []


def _with(said: Said, part: Part, kind: bytes, head: bytes) -> Said:
    return said._replace(step=(*said.step, part), open=part.block, kind=kind, head=head, signature="")


def _shut(said: Said) -> Said:
    """Deltas belong to nothing."""
    return said._replace(open=-1, kind=b"", head=b"", signature="", given=b"")


def closed(said: Said, written: bytes) -> Next:
    """The part that is open is whole."""
    id_ = str(said.open)
    if said.kind == TEXT:
        return _shut(said), [chunk("text-end", id=id_)]
    if said.kind == THINKING:
        return _shut(said), [chunk("reasoning-end", id=id_)]
    if said.kind != TOOL_INPUT:
        return said, []
    return _call_whole(_shut(said), said.step[-1], written or said.given)


# -- calls of tools


def _call_whole(said: Said, part: Part, text: bytes) -> Next:
    """Its input has been written. Who runs it is known where the upstream does; else the next entries tell."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:  # the answer was cut
        return _known(said, part._replace(fate="over")), [_call_failed(part, "Its input is no JSON.")]
    if part.executed:
        return _known(said, part._replace(fate="ready")), [_available(part, text, EXECUTED)]
    return _known(said, part._replace(fate="whole", input=text)), []


def _run_here(said: Said, call: str) -> Next:
    """The server runs it."""
    for part in said.step:
        if part.call == call and part.fate == "whole":
            shown = _available(part, part.input, EXECUTED)
            return _known(said, part._replace(fate="ready", input=b"")), [shown]
    return said, []


def _result(said: Said, part: Part, content: object, *, is_error: bool) -> Next:
    """What a call has come to that is not the client's."""
    said = said._replace(step=(*said.step, part._replace(fate="ready")))
    match content:
        case {"error_code": str(code)}:
            is_error, content = True, code
    if not is_error:
        return said, [chunk("tool-output-available", toolCallId=part.call, output=content, **EXECUTED)]
    text = content if isinstance(content, str) else orjson.dumps(content).decode()
    return said, [chunk("tool-output-error", toolCallId=part.call, errorText=text, **EXECUTED)]


def handed_over(said: Said) -> list[bytes]:
    """Calls that are the client's to run: the answer is complete, and nobody else has begun them."""
    return [_available(part, part.input, {}) for part in said.step if part.fate == "whole"]


def _known(said: Said, part: Part) -> Said:
    """What is known of a call has changed."""
    return said._replace(step=tuple(part if each.call == part.call and each.name else each for each in said.step))


def _available(part: Part, text: bytes, more: Json) -> bytes:
    return chunk("tool-input-available", toolCallId=part.call, toolName=part.name, input=orjson.Fragment(text), **more)


def _call_failed(part: Part, why: str) -> bytes:
    return chunk("tool-input-error", toolCallId=part.call, toolName=part.name, input=None, errorText=why)
