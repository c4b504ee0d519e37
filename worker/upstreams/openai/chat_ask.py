"""A Messages request as one of Chat Completions. Pure."""

from collections.abc import Iterator
from typing import cast

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


def ask(body: Json, *, newest: bool) -> Json:
    """The request's body. `newest`: the API is OpenAI's own, which wants `max_completion_tokens` where everything compatible
    with it knows `max_tokens`. Raises Unsaid."""
    check_fields(body, "stop_sequences")
    asked: Json = {
        "model": body["model"],
        "messages": [*_system(body), *_all_messages(body)],
        "max_completion_tokens" if newest else "max_tokens": body["max_tokens"],
    }
    if body.get("stop_sequences"):
        asked["stop"] = body["stop_sequences"]
    asked |= sampling(body)
    wanted, schema = output_of(body)
    if (word := _effort(body) or wanted) is not None:
        asked["reasoning_effort"] = word
    if schema is not None:
        named = {"name": "answer", "schema": schema, "strict": True}
        asked["response_format"] = {"type": "json_schema", "json_schema": named}
    if "tools" in body:
        tools = cast("list[Json]", body["tools"])
        asked["tools"] = [_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)]
    if "tool_choice" in body:
        word, name, parallel = chosen(cast(Json, body["tool_choice"]))
        asked["tool_choice"] = word if name is None else {"type": "function", "function": {"name": name}}
        if not parallel:
            asked["parallel_tool_calls"] = False
    if (user := user_of(body)) is not None:
        asked["user"] = user
    return asked


def _effort(body: Json) -> str | None:
    return effort(cast(Json, body["thinking"])) if "thinking" in body else None


def _system(body: Json) -> Iterator[Json]:
    if "system" in body:
        yield {"role": "system", "content": text_of(body["system"], "system")}


def _all_messages(body: Json) -> Iterator[Json]:
    for index, message in enumerate(cast("list[Json]", body["messages"])):
        place = f"messages[{index}]"
        if isinstance(message["content"], str):
            yield {"role": message["role"], "content": message["content"]}
        elif message["role"] == "assistant":
            yield _own(message, place)
        else:
            yield from from_user(message, place, _part, _result)


def _part(block: Json, place: str) -> Json:
    match block.get("type"):
        case "text":
            only(block, place, "text", "citations")
            return {"type": "text", "text": string(block, "text", place)}
        case "image":
            return {"type": "image_url", "image_url": {"url": image_url(block, place)}}
    raise Unsaid(f"{place}.type")


def _result(block: Json, place: str) -> Json:
    only(block, place, "tool_use_id", "content", "is_error")
    said = text_of(block.get("content") or "", f"{place}.content")
    if block.get("is_error"):
        said = FAILED + said
    return {"role": "tool", "tool_call_id": string(block, "tool_use_id", place), "content": said}


def _own(message: Json, place: str) -> Json:
    """What the model said before: text, calls, and its reasoning where it had told it."""
    texts, thoughts, calls = [], [], []
    for index, block in enumerate(blocks_of(message["content"])):
        where = f"{place}.content[{index}]"
        match block.get("type"):
            case "text":
                only(block, where, "text", "citations")
                texts.append(string(block, "text", where))
            case "thinking":
                only(block, where, "id", "thinking", "signature")
                thoughts.append(string(block, "thinking", where))
            case "tool_use":
                called = {"name": string(block, "name", where), "arguments": arguments(block, where)}
                calls.append({"id": string(block, "id", where), "type": "function", "function": called})
            case _:
                raise Unsaid(f"{where}.type")
    said: Json = {"role": "assistant", "content": "".join(texts) or None}
    if thoughts:
        said["reasoning_content"] = "".join(thoughts)
    return {**said, "tool_calls": calls} if calls else said


def _tool(tool: Json, place: str) -> Json:
    said = function(tool, place)
    if said is None:
        raise Unsaid(f"{place}.type")
    if not said["strict"]:
        del said["strict"]  # what is compatible need not know it
    return {"type": "function", "function": said}
