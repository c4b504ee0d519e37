"""The AI SDK's UIMessages, of versions 5 to 7, as turns of Messages. Pure.

Left out is what a client shows and no model is told: `metadata`, `data-…` parts, sources, the states of parts, calls that were
never whole, and thinking without the signature that its upstream wants to see.
"""

import base64
import binascii
from collections.abc import Iterator
from typing import Final

import orjson

from api.intake.asked import openai
from api.intake.asked.reading import Given, Json

_SHOWN: Final = ("source-url", "source-document")
_UPSTREAMS_OWN: Final = "srvtoolu_"
"""What ids of calls begin with that the upstream itself has answered."""


def turns(messages: Given) -> tuple[str, list[Json]]:
    """The system prompt, empty if there is none, and the turns. Raises Problem (422)."""
    items = messages.items()
    if not items:
        raise messages.refused("too_short", "must have one message at least")
    first = 0
    while first < len(items) and items[first].at("role").value == "system":
        first += 1
    system = "\n\n".join(text for item in items[:first] for text in _texts(item))
    return system, [turn for item in items[first:] for turn in _turns(item)]


def _texts(message: Given) -> Iterator[str]:
    for part in message.needed("parts").items():
        if part.needed("type").text() != "text":
            raise part.at("type").unsupported()
        yield part.needed("text").text()


def _turns(message: Given) -> Iterator[Json]:
    role, parts = message.needed("role"), message.needed("parts").items()
    if role.value == "system":
        raise role.refused("unsupported_field", "can be said in front of all others only")
    if role.word("user", "assistant") == "user":
        yield from _turn("user", [block for part in parts if (block := _of_user(part)) is not None])
    else:
        yield from _of_assistant(parts)


def _turn(role: str, blocks: list[Json]) -> list[Json]:
    return [{"role": role, "content": blocks}] if blocks else []


# -- of the user


def _of_user(part: Given) -> Json | None:
    match part.needed("type").text():
        case "text":
            return _text(part)
        case "file":
            return _file(part)
        case type_ if type_.startswith("data-"):
            return None
    raise part.at("type").unsupported()


def _text(part: Given) -> Json | None:
    text = part.needed("text").text()
    return {"type": "text", "text": text} if text else None


def _file(part: Given) -> Json:
    if (reference := part.given("providerReference")) is not None:
        raise reference.unsupported()
    media_type, url = part.needed("mediaType"), part.needed("url")
    family = media_type.text().partition("/")[0]
    if family == "image":
        return openai.image(url, None)
    if family != "text" and media_type.text() != "application/pdf":
        raise media_type.unsupported()
    source = openai.source(url)
    if family == "text" and source["type"] == "base64":
        source = {"type": "text", "media_type": "text/plain", "data": _decoded(url, str(source["data"]))}
    name = part.given("filename")
    return {"type": "document", "source": source, **({} if name is None else {"title": name.text()})}


def _decoded(url: Given, data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise url.refused("invalid", "must be text in UTF-8, in base64") from None


# -- of the model


def _of_assistant(parts: list[Given]) -> Iterator[Json]:
    """Step by step: what the model said, then what its calls came to, which the user says."""
    said, results = list[Json](), list[Json]()
    for part in parts:
        type_ = part.needed("type").text()
        if type_ in ("step-start", "steering-message"):
            yield from (*_turn("assistant", said), *_turn("user", results))
            said, results = [], []
        if type_ == "steering-message":
            steered = part.needed("parts").items()
            yield from _turn("user", [block for each in steered if (block := _of_user(each)) is not None])
        elif type_.startswith("tool-") or type_ == "dynamic-tool":
            call, result = _call(part, type_)
            said += call
            results += result
        elif type_ not in _SHOWN and type_ != "step-start" and not type_.startswith("data-"):
            said += _said(part, type_)
    yield from (*_turn("assistant", said), *_turn("user", results))


def _said(part: Given, type_: str) -> list[Json]:
    if type_ == "text":
        text = _text(part)
        return [] if text is None else [text]
    if type_ == "reasoning":
        return _thinking(part)
    raise part.at("type").unsupported()


def _thinking(part: Given) -> list[Json]:
    about = part.given("providerMetadata")
    upstreams = None if about is None else about.given("anthropic")
    if upstreams is None:
        return []
    if (data := upstreams.given("redactedData")) is not None:
        return [{"type": "redacted_thinking", "data": data.text()}]
    if (signature := upstreams.given("signature")) is not None:
        return [{"type": "thinking", "thinking": part.needed("text").text(), "signature": signature.text()}]
    return []


def _call(part: Given, type_: str) -> tuple[list[Json], list[Json]]:
    """A call, and what it came to, which is said by the user or, where the upstream ran it, is part of the answer. Neither, of
    a call that was never whole."""
    state = part.needed("state").text()
    if state == "input-streaming":
        return [], []
    name = part.needed("toolName").text() if type_ == "dynamic-tool" else type_.removeprefix("tool-")
    id_ = part.needed("toolCallId").text()
    content, failed = _outcome(part, state)
    call: Json = {"type": "tool_use", "id": id_, "name": name, "input": _input(part)}
    if id_.startswith(_UPSTREAMS_OWN):
        if failed:
            content = {"type": f"{name}_tool_result_error", "error_code": content}
        result: Json = {"type": f"{name}_tool_result", "tool_use_id": id_, "content": content}
        return [{**call, "type": "server_tool_use"}, result], []
    text = content if isinstance(content, str) else orjson.dumps(content).decode()
    return [call], [{**openai.result(part.at("toolCallId"), text), **({"is_error": True} if failed else {})}]


def _input(part: Given) -> object:
    given = part.given("input")
    return {} if given is None else dict(given.object())


def _outcome(part: Given, state: str) -> tuple[object, bool]:
    """What a call came to, and whether it failed."""
    match state:
        case "output-available":
            return part.at("output").value, False
        case "output-error":
            return part.needed("errorText").text(), True
        case "output-denied":
            return "The user has denied it.", True
        case "input-available":
            raise part.at("state").refused("no_result", "must have what the call came to")
    raise part.at("state").unsupported()
