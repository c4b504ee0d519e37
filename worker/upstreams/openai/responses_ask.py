"""A Messages request as one of the Responses API. Pure."""

import hashlib
import re
from collections.abc import Iterator
from typing import Final, cast

from worker.upstreams import Json
from worker.upstreams.openai.asking import (
    FAILED,
    Unsaid,
    arguments,
    blocks_of,
    check_fields,
    chosen,
    effort,
    from_user,
    function,
    image_url,
    only,
    output_of,
    sampling,
    string,
    text_of,
    user_of,
)

_LONGEST_USER: Final = 128
_NEVER_REASON: Final = re.compile(r"(ft:)?(gpt-3|gpt-4|chatgpt-4)")
"""Models that refuse to be asked for their reasoning, as they have none."""


def ask(body: Json) -> Json:
    """The request's body. Nothing is stored on OpenAI's side: what a later turn needs of the reasoning comes back encrypted.
    Raises Unsaid."""
    check_fields(body)
    model = str(body["model"])
    asked: Json = {
        "model": model,
        "input": [
            item for index, message in enumerate(_messages(body)) for item in _items(message, f"messages[{index}]")
        ],
        "max_output_tokens": body["max_tokens"],
        "store": False,
    }
    if not _NEVER_REASON.match(model):
        asked["include"] = ["reasoning.encrypted_content"]
    if "system" in body:
        asked["instructions"] = text_of(body["system"], "system")
    asked |= sampling(body)
    wanted, schema = output_of(body)
    if "thinking" in body:
        asked["reasoning"] = _reasoning(cast(Json, body["thinking"]))
    if wanted is not None:
        asked["reasoning"] = {"effort": wanted, **cast(Json, asked.get("reasoning", {}))}
    if schema is not None:
        asked["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": schema, "strict": True}}
    if "tools" in body:
        tools = cast("list[Json]", body["tools"])
        asked["tools"] = [_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)]
    if "tool_choice" in body:
        word, name, parallel = chosen(cast(Json, body["tool_choice"]))
        asked["tool_choice"] = word if name is None else {"type": "function", "name": name}
        if not parallel:
            asked["parallel_tool_calls"] = False
    if (user := user_of(body)) is not None:
        long = len(user) > _LONGEST_USER
        asked["safety_identifier"] = hashlib.sha256(user.encode()).hexdigest() if long else user
    return asked


def _messages(body: Json) -> list[Json]:
    return cast("list[Json]", body["messages"])


def _reasoning(thinking: Json) -> Json:
    word = effort(thinking)
    if word == "none":
        return {"effort": "none"}
    return {"summary": "auto"} if word is None else {"effort": word, "summary": "auto"}


def _tool(tool: Json, place: str) -> Json:
    """A tool of the upstream's own goes as it is."""
    said = function(tool, place)
    return tool if said is None else {"type": "function", **said}


def _items(message: Json, place: str) -> Iterator[Json]:
    """The items of one message."""
    if message["role"] != "assistant":
        yield from from_user(message, place, _part, _result)
        return
    for index, block in enumerate(blocks_of(message["content"])):
        yield _own(block, f"{place}.content[{index}]")


def _part(block: Json, place: str) -> Json:
    match block.get("type"):
        case "text":
            only(block, place, "text", "citations")
            return {"type": "input_text", "text": string(block, "text", place)}
        case "image":
            return {"type": "input_image", "image_url": image_url(block, place), "detail": "auto"}
        case "document":
            return _file(block, place)
    raise Unsaid(f"{place}.type")


def _file(block: Json, place: str) -> Json:
    only(block, place, "source", "title")
    match block.get("source"):
        case {"type": "url", "url": str(url)}:
            return {"type": "input_file", "file_url": url}
        case {"type": "base64", "media_type": str(media_type), "data": str(data)}:
            name = str(block.get("title") or "document.pdf")
            return {"type": "input_file", "filename": name, "file_data": f"data:{media_type};base64,{data}"}
    raise Unsaid(f"{place}.source")


def _result(block: Json, place: str) -> Json:
    only(block, place, "tool_use_id", "content", "is_error")
    content = block.get("content") or ""
    output: object = content
    if not isinstance(content, str):
        output = [_part(part, f"{place}.content[{index}]") for index, part in enumerate(blocks_of(content))]
    if block.get("is_error"):
        said = {"type": "input_text", "text": FAILED}
        output = FAILED + output if isinstance(output, str) else [said, *cast("list[Json]", output)]
    return {"type": "function_call_output", "call_id": string(block, "tool_use_id", place), "output": output}


def _own(block: Json, place: str) -> Json:
    """What the model said before. Its reasoning is known by the item's id, which a thinking block of its own has kept."""
    match block.get("type"):
        case "text":
            only(block, place, "text", "citations")
            return {"role": "assistant", "content": string(block, "text", place)}
        case "tool_use":
            call: Json = {
                "type": "function_call",
                "call_id": string(block, "id", place),
                "name": string(block, "name", place),
            }
            return {**call, "arguments": arguments(block, place)}
        case "thinking":
            only(block, place, "id", "thinking", "signature")
            thought = string(block, "thinking", place)
            summary = [{"type": "summary_text", "text": thought}] if thought else []
            item: Json = {"type": "reasoning", "id": string(block, "id", place), "summary": summary}
            return {**item, "encrypted_content": block["signature"]} if block.get("signature") else item
    raise Unsaid(f"{place}.type")
