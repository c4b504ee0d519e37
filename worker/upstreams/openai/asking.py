"""What of a Messages request both of OpenAI's APIs say alike, and how the rest is refused. Pure.

Nothing is left out in silence: a field that cannot be said raises Unsaid, which names it. The one exception asks for nothing:
`cache_control`, as OpenAI caches prompts by itself.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, cast

import orjson

from worker.upstreams import Json, UpstreamFailure

_ALWAYS: Final = frozenset(("type", "cache_control"))
_LOW, _MEDIUM = 4096, 16_384
"""Tokens of thinking up to which the effort is low, or medium."""


class Unsaid(UpstreamFailure):
    """The model's API has no words for this place of the request."""

    def __init__(self, place: str) -> None:
        message = f"The model's API has no words for `{place}` of the request."
        super().__init__("unsupported_field", message, retryable=False)


def only(block: Json, place: str, *known: str) -> None:
    """Raises Unsaid for any other field of the object than these."""
    for name in block:
        if name not in known and name not in _ALWAYS:
            raise Unsaid(f"{place}.{name}")


def text_of(content: object, place: str) -> str:
    """Text that may come in blocks of text; they become paragraphs."""
    if isinstance(content, str):
        return content
    texts = []
    for index, block in enumerate(blocks_of(content)):
        where = f"{place}[{index}]"
        if block.get("type") != "text":
            raise Unsaid(f"{where}.type")
        only(block, where, "text", "citations")
        texts.append(string(block, "text", where))
    return "\n\n".join(texts)


def blocks_of(content: object) -> Sequence[Json]:
    """Content as blocks, a string as one."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return cast("list[Json]", content)


def from_user(
    message: Json, place: str, part: Callable[[Json, str], Json], result: Callable[[Json, str], Json]
) -> Iterator[Json]:
    """A user's message, and, before or between its parts, the results of tools, which stand by themselves. `part` and `result`
    say a block in the API's own words; both are told where it is."""
    parts: list[Json] = []
    for index, block in enumerate(blocks_of(message["content"])):
        where = f"{place}.content[{index}]"
        if block.get("type") == "tool_result":
            if parts:
                yield {"role": "user", "content": parts}
                parts = []
            yield result(block, where)
        else:
            parts.append(part(block, where))
    if parts:
        yield {"role": "user", "content": parts}


def string(block: Json, field: str, place: str) -> str:
    """A field that must be a string. Raises Unsaid."""
    value = block.get(field)
    if not isinstance(value, str):
        raise Unsaid(f"{place}.{field}")
    return value


def image_url(block: Json, place: str) -> str:
    """The address of an image block's image, one with the image in it if that came with the request."""
    only(block, place, "source")
    source = block.get("source")
    match source:
        case {"type": "url", "url": str(url)}:
            return url
        case {"type": "base64", "media_type": str(media_type), "data": str(data)}:
            return f"data:{media_type};base64,{data}"
    raise Unsaid(f"{place}.source")


def arguments(block: Json, place: str) -> str:
    """A tool_use block's input, as JSON text."""
    only(block, place, "id", "name", "input", "caller")
    return orjson.dumps(block.get("input") or {}).decode()


def function(tool: Json, place: str) -> Json | None:
    """What a tool of the submitter's own is: name, description, parameters; None if it is a tool of the upstream's."""
    if tool.get("type") not in (None, "custom"):
        return None
    only(tool, place, "name", "description", "input_schema", "strict")
    said: Json = {"name": string(tool, "name", place), "parameters": tool.get("input_schema")}
    if "description" in tool:
        said["description"] = tool["description"]
    return {**said, "strict": bool(tool.get("strict", False))}


def chosen(choice: Json) -> tuple[str, str | None, bool]:
    """A tool choice in OpenAI's words, the name of the one tool that it wants, and whether calls may go side by side."""
    only(choice, "tool_choice", "name", "disable_parallel_tool_use")
    parallel = not choice.get("disable_parallel_tool_use", False)
    match choice:
        case {"type": "tool", "name": str(name)}:
            return "function", name, parallel
        case {"type": "auto" | "none" as same}:
            return same, None, parallel
        case {"type": "any"}:
            return "required", None, parallel
    raise Unsaid("tool_choice.type")


def sampling(body: Json) -> Json:
    """How the next token is chosen, and by which capacity: alike in both APIs. Raises Unsaid."""
    said: Json = {name: body[name] for name in ("temperature", "top_p") if name in body}
    if (tier := body.get("service_tier")) is not None:
        said["service_tier"] = "auto" if tier == "auto" else "default"
    return said


def output_of(body: Json) -> tuple[str | None, Json | None]:
    """The effort that is asked for, and the schema that the answer must follow."""
    config = cast("Json | None", body.get("output_config")) or {}
    only(config, "output_config", "effort", "format")
    format_ = config.get("format")
    match config.get("effort"), format_:
        case (None | str() as effort_, None):
            return effort_, None
        case (None | str() as effort_, {"type": "json_schema", "schema": dict(schema)}):
            only(cast(Json, format_), "output_config.format", "schema")
            return effort_, schema
    raise Unsaid("output_config.format" if format_ is not None else "output_config.effort")


def effort(thinking: Json) -> str | None:
    """How much a model shall reason: of a budget in tokens the nearest of OpenAI's words; None leaves it to the model."""
    only(thinking, "thinking", "budget_tokens")
    match thinking:
        case {"type": "disabled"}:
            return "none"
        case {"type": "enabled", "budget_tokens": int(budget)}:
            return "low" if budget <= _LOW else "medium" if budget <= _MEDIUM else "high"
        case {"type": "enabled" | "adaptive"}:
            return None
    raise Unsaid("thinking.type")


def user_of(body: Json) -> str | None:
    """`metadata.user_id`."""
    metadata = cast("Json | None", body.get("metadata")) or {}
    only(metadata, "metadata", "user_id")
    return cast("str | None", metadata.get("user_id"))


def check_fields(body: Json, *more: str) -> None:
    """Raises Unsaid for a field of the request that is none of Messages' known ones, nor of `more`."""
    known = (
        "model", "messages", "system", "max_tokens", "thinking", "tools", "tool_choice", "metadata", "temperature", "top_p",
        "service_tier", "output_config", *more,
    )  # fmt: skip
    for name in body:
        if name not in known and name not in _ALWAYS:
            raise Unsaid(name)


FAILED: Final = "The tool failed. "
"""What a result begins with where OpenAI has no `is_error`."""
