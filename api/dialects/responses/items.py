"""The items of an output. A block is an item; what a tool of the server's has come to is said with the call's. Pure.

block                                    item
text                                     message, with one part
thinking, redacted_thinking              reasoning; the signature, or the data, is its `encrypted_content`
tool_use                                 function_call: the client is to make it
tool_use of a tool of the server's,      mcp_call: it was made; its `tool_result` is its output
server_tool_use, mcp_tool_use
any other                                none
"""

from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

import orjson

from api.dialects.responses.rope import EMPTY, Rope
from broker.vocabulary import Json

Kind = Literal["message", "reasoning", "function_call", "mcp_call", ""]
ItemStatus = Literal["in_progress", "completed", "incomplete", "failed"]
Event = tuple[bytes, Json]
"""Its type, and its members but for type and number."""

_PREFIXES: Final[Mapping[Kind, str]] = {"message": "msg", "reasoning": "rs", "function_call": "fc", "mcp_call": "mcp"}
REDACTED: Final = "rsr"
"""How the id of reasoning begins that nobody can read."""
_OF_OPENAI: Final = frozenset(("url_citation", "file_citation", "container_file_citation", "file_path"))
SERVER: Final = "respool"
_FAMILIES: Final[Mapping[Kind, bytes]] = {
    "message": b"response.output_text",
    "reasoning": b"response.reasoning_summary_text",
    "function_call": b"response.function_call_arguments",
    "mcp_call": b"response.mcp_call_arguments",
}


class Item(NamedTuple):
    """`id` and `place` are where it is in the output; without a `kind` it is not in it. `head` is the block's, `stopped`: the
    block is complete, but may go on after a crash; `done`: it was said to be complete. `result` is the block of its result."""

    kind: Kind
    id: str
    place: int
    head: Json
    text: Rope = EMPTY
    signature: str = ""
    citations: tuple[object, ...] = ()
    stopped: bool = False
    done: bool = False
    result: Json | None = None


def item_of(head: Json, generation: str, place: int, *, of_the_server: bool) -> Item:
    """Of a block that begins so, as the next item."""
    kind = _kind(head, of_the_server=of_the_server)
    prefix = REDACTED if head.get("type") == "redacted_thinking" else _PREFIXES.get(kind, "")
    own = head.get("id")
    id_ = own if kind == "reasoning" and isinstance(own, str) else f"{prefix}_{generation.removeprefix('gen_')}_{place}"
    begun = head.get(str(head.get("type"))) if kind in ("message", "reasoning") else ""
    return Item(kind, id_, place, head, EMPTY.with_more(begun.encode()) if isinstance(begun, str) else EMPTY)


def _kind(head: Json, *, of_the_server: bool) -> Kind:
    match head.get("type"):
        case "text":
            return "message"
        case "thinking" | "redacted_thinking":
            return "reasoning"
        case "tool_use":
            return "mcp_call" if of_the_server else "function_call"
        case "server_tool_use" | "mcp_tool_use":
            return "mcp_call"
    return ""


def call_of(head: Json) -> str | None:
    """The id of the call whose result the block is."""
    id_ = head.get("tool_use_id")
    return id_ if isinstance(id_, str) else None


# -- an item as a value


def shown(item: Item, status: ItemStatus, text: orjson.Fragment | str) -> Json:
    """The item, with its text as that is, or would be encoded."""
    said: Json = {"id": item.id, "type": item.kind}
    match item.kind:
        case "message":
            return {**said, "status": status, "role": "assistant", "content": [_text_part(item, text)]}
        case "reasoning":
            sealed = item.head.get("data") or item.signature or item.head.get("signature") or None
            return {**said, "status": status, "summary": _summary(item, text), "encrypted_content": sealed}
        case "function_call":
            return {**said, "status": status, "arguments": text, **_called(item)}
    call = {"server_label": _server(item), "name": _name(item), "arguments": text}
    failed, output = _outcome(item)
    error = {"type": "mcp_tool_execution_error", "content": output} if failed else None
    return {**said, "status": status, **call, "output": None if failed else output, "error": error}


def arguments(item: Item) -> str:
    """Of a call: what was written, or what it began with."""
    return item.text.text() or orjson.dumps(item.head.get("input") or {}).decode()


def text_of(item: Item) -> str:
    return arguments(item) if item.kind in ("function_call", "mcp_call") else item.text.text()


def _text_part(item: Item, text: object) -> Json:
    return {"type": "output_text", "text": text, "annotations": list(annotations(item)), "logprobs": []}


def _summary(item: Item, text: object) -> list[Json]:
    return [] if item.head.get("type") == "redacted_thinking" else [{"type": "summary_text", "text": text}]


def _called(item: Item) -> Json:
    return {"call_id": str(item.head.get("id", "")), "name": _name(item)}


def _name(item: Item) -> str:
    return str(item.head.get("name", ""))


def _server(item: Item) -> str:
    return str(item.head.get("server_name", SERVER if item.head.get("type") == "tool_use" else "upstream"))


def failed(item: Item) -> bool:
    return _outcome(item)[0]


def _outcome(item: Item) -> tuple[bool, str | None]:
    """Whether the call failed, and what came of it, as text."""
    if item.result is None:
        return False, None
    content = item.result.get("content")
    said = content if isinstance(content, str) else orjson.dumps(content).decode()
    return bool(item.result.get("is_error")), said


def annotations(item: Item) -> Iterator[Json]:
    """Its citations: OpenAI's as they came, any other as the nearest of theirs, with all that it says besides."""
    for each in item.citations:
        cited = each if isinstance(each, dict) else {"cited": each}
        if cited.get("type") in _OF_OPENAI:
            yield cited
        elif isinstance(cited.get("url"), str):
            whole = len(item.text.text())
            where = {"start_index": 0, "end_index": whole, "title": cited.get("title") or ""}
            yield {**cited, "type": "url_citation", **where}
        else:
            number = cited.get("document_index", cited.get("search_result_index"))
            index = number if isinstance(number, int) else 0
            title = cited.get("document_title") or cited.get("title") or cited.get("source") or ""
            yield {**cited, "type": "file_citation", "file_id": f"document_{index}", "filename": title, "index": index}


# -- an item as events


def _at(item: Item) -> Json:
    place: Json = {"item_id": item.id, "output_index": item.place}
    if item.kind == "message":
        return {**place, "content_index": 0}
    return {**place, "summary_index": 0} if item.kind == "reasoning" else place


def delta_head(item: Item) -> bytes:
    """The event of a piece of it, as it is sent, up to the piece; nothing for what is not shown."""
    if not item.kind:
        return b""
    type_ = _FAMILIES[item.kind] + b".delta"
    logprobs: Json = {"logprobs": []} if item.kind == "message" else {}
    said = orjson.dumps({"type": type_.decode(), **_at(item), **logprobs})
    return b'event: %b\ndata: %b,"delta":' % (type_, said[:-1])


def opening(item: Item) -> Iterator[Event]:
    """That it begins. What it begins with is a piece of it."""
    if not item.kind:
        return
    bare = item._replace(text=EMPTY)
    added = shown(bare, "in_progress", "")
    if item.kind == "message":
        added["content"] = []
    elif item.kind == "reasoning":
        added["summary"] = []
    yield b"response.output_item.added", {"output_index": item.place, "item": added}
    if item.kind == "message":
        yield b"response.content_part.added", {**_at(item), "part": _text_part(bare, "")}
    elif item.kind == "mcp_call":
        yield b"response.mcp_call.in_progress", _at(item)
    elif item.kind == "reasoning" and _summary(bare, ""):
        yield b"response.reasoning_summary_part.added", {**_at(item), "part": _summary(bare, "")[0]}
    if item.text.size:
        yield _FAMILIES[item.kind] + b".delta", {**_at(item), "delta": item.text.text(), **_logprobs(item)}


def _logprobs(item: Item) -> Json:
    return {"logprobs": []} if item.kind == "message" else {}


def closing(item: Item, status: ItemStatus) -> Iterator[Event]:
    """That it is complete, or as complete as it will ever be: all of it once more."""
    if not item.kind:
        return
    text = orjson.Fragment(orjson.dumps(text_of(item)))
    family = _FAMILIES[item.kind] + b".done"
    match item.kind:
        case "message":
            for index, annotation in enumerate(annotations(item)):
                added = {**_at(item), "annotation_index": index, "annotation": annotation}
                yield b"response.output_text.annotation.added", added
            yield family, {**_at(item), "text": text, "logprobs": []}
            yield b"response.content_part.done", {**_at(item), "part": _text_part(item, text)}
        case "reasoning":
            for part in _summary(item, text):
                yield family, {**_at(item), "text": text}
                yield b"response.reasoning_summary_part.done", {**_at(item), "part": part}
        case "function_call":
            yield family, {**_at(item), "name": _name(item), "arguments": text}
        case "mcp_call":
            yield family, {**_at(item), "arguments": text}
            if status in ("completed", "failed"):
                yield b"response.mcp_call." + status.encode(), _at(item)
    yield b"response.output_item.done", {"output_index": item.place, "item": shown(item, status, text)}
