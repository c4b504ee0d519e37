"""LangChain's messages, as LangGraph's server tells them: of the turns of a request, and of the blocks of an answer. Pure.

An answer is one message of the model's up to a result of a tool that the server ran; that is a message of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import orjson

from api.dialects.openai_words import counts
from broker.events import TEXT, THINKING, TOOL_INPUT

Json = dict[str, object]

_TOOL_CALL: Final = "tool_use"
_RESULT: Final = "tool_result"
_KIND_OF: Final[Mapping[object, bytes]] = {
    "text": TEXT, "thinking": THINKING, _TOOL_CALL: TOOL_INPUT, "server_tool_use": TOOL_INPUT, "mcp_tool_use": TOOL_INPUT,
}  # fmt: skip


def event(name: str, data: object) -> bytes:
    """One event, but for its id and the blank line behind it."""
    return b"event: %b\ndata: %b\n" % (name.encode(), orjson.dumps(data))


def error(code: str, message: str) -> bytes:
    """An event that ends a stream, and that its client raises or shows."""
    return event("error", {"error": code, "message": message})


def grows(head: Mapping[str, object]) -> bool:
    """Whether a block that begins so is written in pieces."""
    return head.get("type") in _KIND_OF


def is_result(block: Mapping[str, object]) -> bool:
    """Whether it is what a tool of the server's has come to."""
    return block.get("type") == _RESULT


def groups(blocks: Sequence[Json]) -> Iterator[list[Json]]:
    """The blocks of each message, in their order."""
    group: list[Json] = []
    for block in blocks:
        if is_result(block):
            if group:
                yield group
            yield [block]
            group = []
        else:
            group.append(block)
    if group:
        yield group


def answer_id(run: str, number: int) -> str:
    """Of the message of this number in the answer of a run."""
    return f"{run}:{number}"


def answer_of(run: str, blocks: Sequence[Json], end: Mapping[str, object] | None = None) -> list[Json]:
    """The messages of a run's answer, so far; with its end, what the last one has come to."""
    found = [message(group, answer_id(run, number)) for number, group in enumerate(groups(blocks))]
    if end is not None and found and found[-1]["type"] == "ai":
        found[-1] |= at_end(end)
    return found


def asked(thread: str, turns: Sequence[tuple[str, object]]) -> list[Json]:
    """The messages of a request's turns: role, and content as Messages has it."""
    found: list[Json] = []
    for role, content in turns:
        blocks: list[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)  # type: ignore[call-overload]  # a list of blocks, as the request was checked
        said = groups(blocks) if role == "assistant" else _split(blocks)
        found += [message(group, f"{thread}:{len(found) + at}", role) for at, group in enumerate(said)]
    return found


def message(group: Sequence[Json], id_: str, role: str = "assistant") -> Json:
    """One message, of all blocks of it."""
    first = group[0]
    if is_result(first):
        return {
            "type": "tool", "id": id_, "name": None, "content": first.get("content", ""),
            "tool_call_id": first.get("tool_use_id"), "status": "error" if first.get("is_error") else "success",
            **_nothing_else(),
        }  # fmt: skip
    if role != "assistant":
        return {
            "type": "human",
            "id": id_,
            "name": None,
            "content": _content(group),
            "example": False,
            **_nothing_else(),
        }
    calls, broken = _calls(group)
    return {
        "type": "ai", "id": id_, "name": None, "content": _content(group), "example": False,
        "tool_calls": calls, "invalid_tool_calls": broken, "usage_metadata": None, **_nothing_else(),
    }  # fmt: skip


def at_end(end: Mapping[str, object]) -> Json:
    """What the end of a run says of its last message."""
    reason, usage = end.get("stop_reason"), end.get("usage")
    said: Json = {} if reason is None else {"response_metadata": {"stop_reason": reason}}
    if isinstance(usage, dict):
        used = counts(usage)
        said["usage_metadata"] = {
            "input_tokens": used.asked, "output_tokens": used.answered, "total_tokens": used.asked + used.answered,
        }  # fmt: skip
    return said


def failure(end: Mapping[str, object]) -> tuple[str, str] | None:
    """Code and text of what has not succeeded."""
    if (code := end.get("code")) is not None:
        return str(code), str(end.get("message", code))
    return ("UserInterrupt", "The run was cancelled.") if end.get("status") == "cancelled" else None


def _nothing_else() -> Json:
    return {"additional_kwargs": {}, "response_metadata": {}}


def _split(blocks: Sequence[Json]) -> Iterator[list[Json]]:
    """What the user says: results first, one by one."""
    yield from ([block] for block in blocks if is_result(block))
    if rest := [block for block in blocks if not is_result(block)]:
        yield rest


def _content(group: Sequence[Json]) -> object:
    """A text where there is nothing else."""
    if all(block.keys() == {"type", "text"} for block in group):
        return "".join(str(block["text"]) for block in group)
    return list(group)


def _calls(group: Sequence[Json]) -> tuple[list[Json], list[Json]]:
    """Calls of the client's tools, and those whose input is not whole."""
    whole, broken = list[Json](), list[Json]()
    for block in group:
        if block.get("type") != _TOOL_CALL:
            continue
        named: Json = {"name": block.get("name"), "id": block.get("id")}
        if "partial_json" in block:
            broken.append({**named, "args": block["partial_json"], "error": "not whole", "type": "invalid_tool_call"})
        else:
            whole.append({**named, "args": block.get("input") or {}, "type": "tool_call"})
    return whole, broken
