"""`messages` of Chat Completions as the system prompt and the turns of Messages. Pure."""

from collections.abc import Iterator

from api.intake.asked import openai
from api.intake.asked.reading import Given, Json

_SYSTEM = ("system", "developer")


def turns(messages: Given) -> tuple[list[Json], list[Json]]:
    """The blocks of the system prompt, and the turns. What tools have come to is one turn with what the user says behind it, as
    Messages wants it. Raises Problem (422)."""
    system, found = list[Json](), list[Json]()
    for message in messages.items():
        role = message.needed("role").text()
        if role in _SYSTEM:
            if found:
                raise message.at("role").refused("unsupported_field", "can be said in front of all others only")
            message.only("role", "content")
            system += _blocks(parts(message.needed("content"), "text"))
        elif role == "assistant":
            found.append({"role": role, "content": _assistant(message)})
        else:
            add(found, _user(message, role))
    return system, found


def add(found: list[Json], said: str | list[Json]) -> None:
    """What the user says, behind results that wait for it."""
    before = found[-1]["content"] if found and found[-1]["role"] == "user" else None
    if isinstance(before, list) and before[-1]["type"] == "tool_result":
        before += _blocks(said)
    else:
        found.append({"role": "user", "content": said})


def _blocks(said: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": said}] if isinstance(said, str) else said


def _user(message: Given, role: str) -> str | list[Json]:
    if role == "user":
        message.only("role", "content")
        return parts(message.needed("content"), "text", "image_url", "file")
    if role != "tool":
        raise message.at("role").refused("not_allowed", "must be system, developer, user, assistant or tool")
    message.only("role", "content", "tool_call_id")
    return [openai.result(message.needed("tool_call_id"), parts(message.needed("content"), "text"))]


def parts(content: Given, *types: str) -> str | list[Json]:
    """A text, or parts of these types, at least one."""
    if isinstance(content.value, str):
        return content.value
    blocks = [_part(part, types) for part in content.items()]
    if not blocks:
        raise content.refused("out_of_range", "must have at least 1 items")
    return blocks


def _part(part: Given, types: tuple[str, ...]) -> Json:
    kind = part.needed("type").text()
    if kind not in types:
        raise part.at("type").unsupported()
    part.only("type", kind)
    inside = part.needed(kind)
    match kind:
        case "text":
            return {"type": "text", "text": inside.text()}
        case "image_url":
            inside.only("url", "detail")
            return openai.image(inside.needed("url"), inside.given("detail"))
    return _file(inside)


def _file(file: Given) -> Json:
    file.only("file_data", "filename")
    block: Json = {"type": "document", "source": openai.source(file.needed("file_data"))}
    if (name := file.given("filename")) is not None:
        block["title"] = name.text()
    return block


def _assistant(message: Given) -> str | list[Json]:
    """What the model said before, as it was told here. Annotations ask for nothing, and are left out."""
    message.only("role", "content", "refusal", "tool_calls", "reasoning_content", "reasoning_signature", "annotations")
    thought, content, refusal = (message.given(name) for name in ("reasoning_content", "content", "refusal"))
    calls = message.given("tool_calls")
    if thought is None and refusal is None and calls is None and content is not None and isinstance(content.value, str):
        return content.value
    said = list[Json]()
    if thought is not None:
        said.append(_thought(thought, message.given("reasoning_signature")))
    if content is not None:
        said += [block for block in _own(content) if block["text"]]
    if refusal is not None:
        said.append({"type": "text", "text": refusal.text()})
    if calls is not None:
        said += [_call(each) for each in calls.items()]
    if not said:
        raise message.at("content").refused("missing", "is required")
    return said


def _own(content: Given) -> Iterator[Json]:
    """The model's own parts."""
    if isinstance(content.value, str):
        yield {"type": "text", "text": content.value}
        return
    for part in content.items():
        kind = part.needed("type").text()
        if kind not in ("text", "refusal"):
            raise part.at("type").unsupported()
        part.only("type", kind)
        yield {"type": "text", "text": part.needed(kind).text()}


def _thought(thought: Given, signature: Given | None) -> Json:
    block: Json = {"type": "thinking", "thinking": thought.text()}
    return block if signature is None else {**block, "signature": signature.text()}


def _call(call: Given) -> Json:
    """`index` is of a call that was put together of chunks."""
    call.only("id", "type", "function", "index")
    if (kind := call.given("type")) is not None and kind.text() != "function":
        raise kind.unsupported()
    function = call.needed("function")
    function.only("name", "arguments")
    return openai.call(call.needed("id"), function.needed("name"), function.needed("arguments"))
