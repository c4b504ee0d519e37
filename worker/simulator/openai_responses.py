"""The frames of the Responses API. Pure."""

from collections.abc import Iterator
from itertools import count
from typing import Any

from worker.simulator.answer import Block
from worker.simulator.openai_staging import staged, usage_counts
from worker.simulator.protocol import event
from worker.simulator.script import Scene, Step

PING = b": ping\n\n"
BAD_JSON = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","output_index":0,"del\n\n'
BAD_UTF8 = (
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","output_index":0,'
    b'"delta":"\xff\xfe\xc3("}\n\n'
)
OVERLOADED = (
    b'event: error\ndata: {"type":"error","code":"server_is_overloaded","message":"Overloaded","param":null,'
    b'"sequence_number":9}\n\n'
)
_END = b'"}\n\n'
_CITE_EVERY = 10


def opening(scene: Scene) -> bytes:
    """What is sent at once, long before the first token."""
    response = _response(scene, "in_progress", [])
    created = {"type": "response.created", "response": response, "sequence_number": 0}
    return event(created) + event({"type": "response.in_progress", "response": response, "sequence_number": 1})


def steps(scene: Scene) -> Iterator[Step]:
    """Everything after the opening."""
    numbers = count(2)

    def told(type_: str, index: int, **more: object) -> bytes:
        return event({"type": f"response.{type_}", "output_index": index, **more, "sequence_number": next(numbers)})

    def begins(index: int, block: Block) -> Iterator[bytes]:
        yield told("output_item.added", index, item=_item(scene, index, block, whole=False))
        if block.kind != "tool":
            type_, part = _part(block)
            yield told(f"{type_}.added", index, item_id=_id(scene, index, block), **part)

    def token(index: int, block: Block, place: int) -> tuple[bytes, bytes]:
        before, behind = _before(scene, index, block, next(numbers)), b',"obfuscation":"x1y2"}\n\n'
        if scene.plan.citations and block.kind == "text" and place % _CITE_EVERY == _CITE_EVERY - 1:
            cited: dict[str, Any] = {
                "type": "url_citation",
                "url": "https://example.com/book",
                "title": "The simulator's only book",
            }
            cited |= {"start_index": place, "end_index": place + 1}
            where = {"item_id": _id(scene, index, block), "content_index": 0, "annotation_index": place // _CITE_EVERY}
            behind += told("output_text.annotation.added", index, **where, annotation=cited)
        return before, behind

    def ends(index: int, block: Block) -> Iterator[bytes]:
        item = _item(scene, index, block, whole=True)
        said = "".join(block.tokens)
        if block.kind == "tool":
            yield told("function_call_arguments.done", index, item_id=item["id"], name=item["name"], arguments=said)
        else:
            type_, part = _part(block, said)
            text = "output_text.done" if block.kind == "text" else "reasoning_summary_text.done"
            place = {name: value for name, value in part.items() if name != "part"}
            more: dict[str, Any] = {"logprobs": []} if block.kind == "text" else {}
            yield told(text, index, item_id=item["id"], text=said, **place, **more)
            yield told(f"{type_}.done", index, item_id=item["id"], **part)
        yield told("output_item.done", index, item=item)

    whole = whole_response(scene)
    last = event({"type": f"response.{whole['status']}", "response": whole, "sequence_number": 1_000_000})
    return staged(scene, begins, token, ends, last)


def whole_response(scene: Scene) -> dict[str, Any]:
    """The answer as it is at its end, and to a request that did not ask for a stream."""
    items = [_item(scene, index, block, whole=True) for index, block in enumerate(scene.answer.blocks)]
    return _response(scene, "incomplete" if scene.answer.stop_reason == "max_tokens" else "completed", items)


def _before(scene: Scene, index: int, block: Block, number: int) -> bytes:
    """A delta's frame up to its text."""
    kind = {
        "text": "output_text.delta",
        "thinking": "reasoning_summary_text.delta",
        "tool": "function_call_arguments.delta",
    }[block.kind]
    place = {"text": ',"content_index":0,"logprobs":[]', "thinking": ',"summary_index":0', "tool": ""}[block.kind]
    return (
        f'event: response.{kind}\ndata: {{"type":"response.{kind}","output_index":{index},'
        f'"item_id":"{_id(scene, index, block)}"{place},"sequence_number":{number},"delta":'
    ).encode()


def _part(block: Block, said: str = "") -> tuple[str, dict[str, Any]]:
    if block.kind == "thinking":
        return "reasoning_summary_part", {"summary_index": 0, "part": {"type": "summary_text", "text": said}}
    return "content_part", {"content_index": 0, "part": {"type": "output_text", "text": said, "annotations": []}}


def _id(scene: Scene, index: int, block: Block) -> str:
    prefix = {"text": "msg", "thinking": "rs", "tool": "fc"}[block.kind]
    return f"{prefix}_{scene.message_id.removeprefix('msg_')}_{index}"


def _item(scene: Scene, index: int, block: Block, *, whole: bool) -> dict[str, Any]:
    said = "".join(block.tokens) if whole else ""
    id_, status = _id(scene, index, block), "completed" if whole else "in_progress"
    if block.kind == "thinking":
        encrypted = {"encrypted_content": f"sim-encrypted-{len(block.tokens)}"} if whole else {}
        return {
            "id": id_,
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": said}] if whole else [],
            **encrypted,
        }
    if block.kind == "tool":
        call_id = f"call_{scene.message_id.removeprefix('msg_')}_{index}"
        return {
            "id": id_, "type": "function_call", "status": status, "call_id": call_id, "name": block.name,
            "arguments": said,
        }  # fmt: skip
    content = [{"type": "output_text", "text": said, "annotations": []}] if whole else []
    return {"id": id_, "type": "message", "status": status, "role": "assistant", "content": content}


def _response(scene: Scene, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    asked, answered, reasoned = usage_counts(scene)
    usage = {
        "input_tokens": asked, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answered, "output_tokens_details": {"reasoning_tokens": reasoned},
        "total_tokens": asked + answered,
    }  # fmt: skip
    return {
        "id": scene.message_id.replace("msg_", "resp_"), "object": "response", "created_at": 1_795_000_000, "status": status,
        "error": None, "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": "the simulator repeats no prompt", "max_output_tokens": scene.asked.max_tokens,
        "model": scene.asked.model, "output": output, "parallel_tool_calls": True, "previous_response_id": None,
        "store": False, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled",
        "usage": None if status == "in_progress" else usage, "metadata": {},
    }  # fmt: skip
