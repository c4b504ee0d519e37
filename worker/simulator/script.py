"""The order of things: which frames an answer is made of, and at which of them a fault strikes. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, NamedTuple

import orjson

from worker.simulator.answer import Answer, Block
from worker.simulator.asked import Asked
from worker.simulator.caching import NOTHING, Cached
from worker.simulator.plan import Fault, Plan
from worker.simulator.protocol import DELTA_END, MESSAGE_STOP, PING, delta_start, event

_CITE_EVERY = 10


class Act(Enum):
    """What to do with a step."""

    FRAME = auto()  # send `data` at once
    TOKEN = auto()  # send `data`, `text` as JSON and `end`, at the pace of tokens
    TEXT = auto()  # the same, and it counts as a token of text
    FAULT = auto()  # now misbehave
    END = auto()  # nothing follows


class Step(NamedTuple):
    """One step of a script."""

    act: Act
    data: bytes = b""
    text: str = ""
    end: bytes = DELTA_END


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is known of a response before its first byte. `fault` is None where the plan's is used up; `headers` tell of
    limits."""

    plan: Plan
    asked: Asked
    answer: Answer
    fault: Fault | None
    message_id: str
    cached: Cached = NOTHING
    headers: Mapping[str, str] = field(default_factory=dict)


def opening(scene: Scene) -> bytes:
    """What is sent at once, long before the first token: message_start and a ping."""
    return event({"type": "message_start", "message": _message(scene, [], None, None, 1)}) + PING


def steps(scene: Scene) -> Iterator[Step]:
    """Everything after the opening. A fault whose place lies behind its block's end, or in no block, strikes there."""
    fault = scene.fault
    for index, block in enumerate(scene.answer.blocks):
        yield _start(scene, index, block)
        place = fault.at if fault and fault.block == block.kind else None
        yield from _deltas(scene, index, block, place)
        if fault and place is not None:
            if place >= len(block.tokens):
                yield Step(Act.FAULT)
            fault = None
        yield Step(Act.FRAME, event({"type": "content_block_stop", "index": index}))
    if fault:
        yield Step(Act.FAULT)
    answer = scene.answer
    end = {"stop_reason": answer.stop_reason, "stop_sequence": answer.stop_sequence, "stop_details": None}
    usage = {"output_tokens": answer.output_tokens}
    yield Step(Act.FRAME, event({"type": "message_delta", "delta": end, "usage": usage}) + MESSAGE_STOP)
    yield Step(Act.END)


def whole_message(scene: Scene) -> dict[str, Any]:
    """The answer to a request that did not ask for a stream."""
    answer = scene.answer
    content = [_filled(scene, block, index) for index, block in enumerate(answer.blocks)]
    return _message(scene, content, answer.stop_reason, answer.stop_sequence, answer.output_tokens)


def _start(scene: Scene, index: int, block: Block) -> Step:
    return Step(
        Act.FRAME, event({"type": "content_block_start", "index": index, "content_block": _empty(scene, block, index)})
    )


def _deltas(scene: Scene, index: int, block: Block, fault_at: int | None) -> Iterator[Step]:
    """The block's tokens, the fault before the token numbered `fault_at`, citations and signature."""
    act = Act.TEXT if block.kind == "text" else Act.TOKEN
    data = {
        "text": delta_start(index, "text_delta", "text"),
        "thinking": delta_start(index, "thinking_delta", "thinking"),
        "tool": delta_start(index, "input_json_delta", "partial_json"),
    }[block.kind]
    citations = _citations(scene, block)
    for place, token in enumerate(block.tokens):
        if place == fault_at:
            yield Step(Act.FAULT)
        yield Step(act, data, token)
        if place in citations:
            cited = delta_start(index, "citations_delta", "citation") + orjson.dumps(citations[place]) + DELTA_END
            yield Step(Act.FRAME, cited)
    if block.kind == "thinking":
        signature = delta_start(index, "signature_delta", "signature") + orjson.dumps(_signature(block)) + DELTA_END
        yield Step(Act.FRAME, signature)


def _message(
    scene: Scene, content: list[dict[str, Any]], stop_reason: str | None, stop_sequence: str | None, output_tokens: int
) -> dict[str, Any]:
    usage = {
        "input_tokens": scene.asked.input_tokens - scene.cached.read - scene.cached.written,
        "cache_creation_input_tokens": scene.cached.written,
        "cache_read_input_tokens": scene.cached.read,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }
    return {
        "id": scene.message_id,
        "type": "message",
        "role": "assistant",
        "model": scene.asked.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": stop_sequence,
        "stop_details": None,
        "usage": usage,
    }


def _empty(scene: Scene, block: Block, index: int) -> dict[str, Any]:
    """The block as content_block_start shows it."""
    if block.kind == "text":
        return {"type": "text", "text": ""}
    if block.kind == "thinking":
        return {"type": "thinking", "thinking": "", "signature": ""}
    earlier = sum(each.kind == "tool" for each in scene.answer.blocks[:index])
    tool_id = scene.message_id.replace("msg_", "toolu_") + (f"_{earlier}" if earlier else "")
    return {"type": "tool_use", "id": tool_id, "name": block.name, "input": {}}


def _filled(scene: Scene, block: Block, index: int) -> dict[str, Any]:
    """The block as a message that is not streamed holds it."""
    said = "".join(block.tokens)
    if block.kind == "thinking":
        return {"type": "thinking", "thinking": said, "signature": _signature(block)}
    if block.kind == "tool":
        try:
            return {**_empty(scene, block, index), "input": orjson.loads(said)}
        except orjson.JSONDecodeError:  # max_tokens cut it
            return _empty(scene, block, index)
    citations = list(_citations(scene, block).values())
    return {"type": "text", "text": said, **({"citations": citations} if citations else {})}


def _citations(scene: Scene, block: Block) -> dict[int, dict[str, Any]]:
    """The citation that follows each tenth token, by that token's place."""
    if not scene.plan.citations or block.kind != "text":
        return {}
    return {
        place: {
            "type": "char_location",
            "cited_text": f"…{block.tokens[place]}",
            "document_index": 0,
            "document_title": "The simulator's only book",
            "start_char_index": place,
            "end_char_index": place + 1,
            "file_id": None,
        }
        for place in range(_CITE_EVERY - 1, len(block.tokens), _CITE_EVERY)
    }


def _signature(block: Block) -> str:
    return f"sim-signature-{len(block.tokens)}"
