"""The chunks of Chat Completions. Pure."""

from collections.abc import Iterator
from typing import Any

import orjson

from worker.simulator.answer import Block
from worker.simulator.openai_staging import staged, usage_counts
from worker.simulator.script import Scene, Step

PING = b": ping\n\n"
BAD_JSON = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"conte\n\n'
BAD_UTF8 = b'data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"\xff\xfe\xc3("}}]}\n\n'
OVERLOADED = (
    b'data: {"error":{"message":"Overloaded","type":"server_error","param":null,"code":"server_is_overloaded"}}\n\n'
)
_DONE = b"data: [DONE]\n\n"
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_CITE_EVERY = 10


def opening(scene: Scene) -> bytes:
    """What is sent at once, long before the first token."""
    return _chunk(scene, {"role": "assistant", "content": "", "refusal": None})


def steps(scene: Scene) -> Iterator[Step]:
    """Everything after the opening."""
    head = orjson.dumps({**_head(scene), "choices": []})[:-2]
    calls = [index for index, block in enumerate(scene.answer.blocks) if block.kind == "tool"]

    def begins(index: int, block: Block) -> Iterator[bytes]:
        if block.kind == "tool":
            function = {"name": block.name, "arguments": ""}
            call = {"index": calls.index(index), "id": _call_id(scene, index), "type": "function", "function": function}
            yield _chunk(scene, {"tool_calls": [call]})

    def token(index: int, block: Block, place: int) -> tuple[bytes, bytes]:
        if block.kind == "tool":
            before = b'{"tool_calls":[{"index":%d,"function":{"arguments":' % calls.index(index)
            behind = b"}}]}}]}\n\n"
        else:
            before = b'{"content":' if block.kind == "text" else b'{"reasoning_content":'
            behind = b"}}]}\n\n"
        if scene.plan.citations and block.kind == "text" and place % _CITE_EVERY == _CITE_EVERY - 1:
            cited = {"url": "https://example.com/book", "title": "The simulator's only book", "start_index": place}
            note = {"type": "url_citation", "url_citation": {**cited, "end_index": place + 1}}
            behind += _chunk(scene, {"annotations": [note]})
        return b"data: " + head + b'{"index":0,"finish_reason":null,"logprobs":null,"delta":' + before, behind

    def ends(index: int, block: Block) -> Iterator[bytes]:
        return iter(())

    last = _chunk(scene, {}, _FINISH[scene.answer.stop_reason])
    if scene.asked.include_usage:
        last += b"data: " + orjson.dumps({**_head(scene), "choices": [], "usage": _usage(scene)}) + b"\n\n"
    return staged(scene, begins, token, ends, last + _DONE)


def whole_completion(scene: Scene) -> dict[str, Any]:
    """The answer to a request that did not ask for a stream."""
    said = {kind: "".join("".join(block.tokens) for block in scene.answer.blocks if block.kind == kind)
            for kind in ("text", "thinking")}  # fmt: skip
    calls = [
        {"id": _call_id(scene, index), "type": "function",
         "function": {"name": block.name, "arguments": "".join(block.tokens)}}
        for index, block in enumerate(scene.answer.blocks) if block.kind == "tool"
    ]  # fmt: skip
    message: dict[str, Any] = {"role": "assistant", "content": said["text"] or None, "refusal": None}
    if said["thinking"]:
        message["reasoning_content"] = said["thinking"]
    if calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISH[scene.answer.stop_reason]}
    return {**_head(scene), "object": "chat.completion", "choices": [choice], "usage": _usage(scene)}


def unfinished(whole: dict[str, Any]) -> dict[str, Any]:
    """The same answer without the reason why it ended."""
    return whole | {"choices": [choice | {"finish_reason": None} for choice in whole["choices"]]}


def _head(scene: Scene) -> dict[str, Any]:
    return {
        "id": scene.message_id.replace("msg_", "chatcmpl-"), "object": "chat.completion.chunk", "created": 1_795_000_000,
        "model": scene.asked.model, "service_tier": "default", "system_fingerprint": "fp_simulated",
    }  # fmt: skip


def _chunk(scene: Scene, delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    usage = {"usage": None} if scene.asked.include_usage else {}
    return b"data: " + orjson.dumps({**_head(scene), "choices": [choice], **usage}) + b"\n\n"


def _call_id(scene: Scene, index: int) -> str:
    return f"call_{scene.message_id.removeprefix('msg_')}_{index}"


def _usage(scene: Scene) -> dict[str, Any]:
    asked, answered, reasoned = usage_counts(scene)
    return {
        "prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered,
        "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": reasoned},
    }  # fmt: skip
