"""`input` and `instructions` of the Responses API as the system prompt and the turns of Messages. Pure."""

import re
from collections.abc import Iterator
from typing import Final, Literal

from api.intake.asked import openai
from api.intake.asked.reading import Given, Json

Role = Literal["user", "assistant"]
Said = str | list[Json]

_SYSTEM: Final = ("system", "developer")
_OURS: Final = re.compile(r"(rs|rsr)_[0-9A-Z]{26}_[0-9]+", re.ASCII)
"""Ids that reasoning has from us; any other is the upstream's own, by which it knows it."""
_REDACTED: Final = "rsr_"
_SERVER: Final = "respool"


def turns(asked: Given | None, instructions: Given | None) -> tuple[Said | None, list[Json]]:
    """The system prompt, and the turns. Raises Problem (422)."""
    system: Said | None = None if instructions is None else instructions.text()
    if asked is None:
        return system, []
    if isinstance(asked.value, str):
        return system, [{"role": "user", "content": asked.value}]
    items = asked.items()
    first = list(_leading(items))
    if first:
        texts = [] if system is None else [_text(str(system))]
        system = [*texts, *(part for item in first for part in _blocks(_content(item)))]
    found: list[tuple[Role, Said]] = []
    for item in items[len(first) :]:
        for role, said in _said(item):
            if found and found[-1][0] == role:
                found[-1] = (role, [*_blocks(found[-1][1]), *_blocks(said)])
            elif said:
                found.append((role, said))
    return system, [{"role": role, "content": said} for role, said in found]


def _leading(items: list[Given]) -> Iterator[Given]:
    """Those that say what comes before the conversation."""
    for item in items:
        if item.at("role").value not in _SYSTEM:
            return
        item.only("type", "role", "content", "id", "status")
        yield item


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _blocks(said: Said) -> list[Json]:
    return [_text(said)] if isinstance(said, str) else said


def _said(item: Given) -> Iterator[tuple[Role, Said]]:
    """Who says what, by one item."""
    kind = item.given("type")
    match "message" if kind is None else kind.text():
        case "message":
            item.only("type", "role", "content", "id", "status")
            yield _role(item.needed("role")), _content(item)
        case "function_call":
            item.only("type", "id", "call_id", "name", "arguments", "status")
            yield "assistant", [openai.call(*(item.needed(name) for name in ("call_id", "name", "arguments")))]
        case "function_call_output":
            item.only("type", "id", "call_id", "output", "status")
            yield "user", [openai.result(item.needed("call_id"), _parts(item.needed("output")))]
        case "reasoning":
            yield "assistant", [_reasoning(item)]
        case "mcp_call":
            yield from _server_call(item)
        case _:
            raise item.at("type").unsupported()


def _role(role: Given) -> Role:
    """A system's message within the conversation has no place in Messages."""
    if role.value in _SYSTEM:
        raise role.refused("unsupported_field", "can be said in front of all others only")
    return "assistant" if role.word("user", "assistant") == "assistant" else "user"


def _content(item: Given) -> Said:
    return _parts(item.needed("content"))


def _parts(content: Given) -> Said:
    if isinstance(content.value, str):
        return content.value
    return [block for part in content.items() if (block := _part(part)) is not None]


def _part(part: Given) -> Json | None:
    match part.needed("type").text():
        case "input_text":
            part.only("type", "text")
            return _text(part.needed("text").text())
        case "output_text":
            part.only("type", "text", "annotations", "logprobs")
            text = part.needed("text").text()
            return _text(text) if text else None
        case "refusal":
            part.only("type", "refusal")
            return _text(part.needed("refusal").text())
        case "input_image":
            part.only("type", "image_url", "detail")
            return openai.image(part.needed("image_url"), part.given("detail"))
        case "input_file":
            return _file(part)
    raise part.at("type").unsupported()


def _file(part: Given) -> Json:
    part.only("type", "file_data", "file_url", "filename")
    block: Json = {"type": "document", "source": openai.source(part.given("file_url") or part.needed("file_data"))}
    if (name := part.given("filename")) is not None:
        block["title"] = name.text()
    return block


def _reasoning(item: Given) -> Json:
    item.only("type", "id", "summary", "content", "encrypted_content", "status")
    id_ = item.needed("id").text()
    sealed = item.given("encrypted_content")
    if id_.startswith(_REDACTED) and sealed is not None:
        return {"type": "redacted_thinking", "data": sealed.text()}
    told = item.given("summary") or item.given("content")
    parts = [] if told is None else told.items()
    block: Json = {"type": "thinking", "thinking": "\n\n".join(part.needed("text").text() for part in parts)}
    if sealed is not None:
        block["signature"] = sealed.text()
    return block if _OURS.fullmatch(id_) else {**block, "id": id_}


def _server_call(item: Given) -> Iterator[tuple[Role, Said]]:
    """A call that the server's own tool has answered."""
    if item.needed("server_label").text() != _SERVER:
        raise item.at("server_label").unsupported()
    item.only("type", "id", "server_label", "name", "arguments", "output", "error", "status", "approval_request_id")
    yield "assistant", [openai.call(*(item.needed(name) for name in ("id", "name", "arguments")))]
    error = item.given("error")
    output = item.given("output") if error is None else error.needed("content")
    result = openai.result(item.needed("id"), "" if output is None else output.text())
    yield "user", [result if error is None else {**result, "is_error": True}]
