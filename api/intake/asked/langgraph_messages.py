"""LangChain's messages as the system prompt and the turns of Messages. Pure.

Left out is what asks for nothing: `response_metadata`, `usage_metadata`, `example`, and ids that the client made. Blocks of
Messages are taken as they are.
"""

import re
from collections.abc import Sequence
from typing import Final

from api.intake.asked import openai
from api.intake.asked.completions_messages import add
from api.intake.asked.reading import Given, Json
from broker.ids import GENERATION_ID

_ROLES: Final = {
    "human": "user", "user": "user", "ai": "assistant", "assistant": "assistant", "system": "system",
    "developer": "system", "tool": "tool",
}  # fmt: skip
_ABOUT: Final = ("role", "type", "content", "id", "response_metadata", "usage_metadata", "example", "additional_kwargs")
_OURS: Final = re.compile(f"{GENERATION_ID}:[0-9]+")


def turns(messages: Given, thread: str) -> tuple[list[Json], list[Json]]:
    """The blocks of the system prompt, and the turns. Raises Problem (422); of a message that this thread has already, too."""
    system, found = list[Json](), list[Json]()
    for message in messages.items():
        kind = message.given("role") or message.needed("type")
        role = _ROLES[kind.word(*_ROLES)]
        _refuse_if_known(message.given("id"), thread)
        if (extra := message.given("additional_kwargs")) is not None:
            extra.only()
        if role == "system":
            if found:
                raise kind.refused("unsupported_field", "can be said in front of all others only")
            message.only(*_ABOUT)
            system += _blocks(message.needed("content"))
        elif role == "assistant":
            message.only(*_ABOUT, "tool_calls", "invalid_tool_calls")
            found.append({"role": role, "content": _assistant(message)})
        elif role == "tool":
            message.only(*_ABOUT, "name", "tool_call_id", "status")
            add(found, [_result(message)])
        else:
            message.only(*_ABOUT)
            content = message.needed("content")
            add(found, content.value if isinstance(content.value, str) else _blocks(content))
    return system, found


def _refuse_if_known(id_: Given | None, thread: str) -> None:
    """A message that we have numbered is in a thread's state, and would be said twice."""
    if id_ is not None and (id_.text().startswith(f"{thread}:") or _OURS.fullmatch(id_.text())):
        raise id_.refused("said_already", "is the id of a message that the thread has: only what is new is said")


def _blocks(content: Given) -> list[Json]:
    """A text, or blocks, at least one."""
    if isinstance(content.value, str):
        return [{"type": "text", "text": content.value}]
    blocks = [_block(each) for each in content.items()]
    if not blocks:
        raise content.refused("out_of_range", "must have at least 1 items")
    return blocks


def _block(block: Given) -> Json:
    if block.needed("type").text() != "image_url":
        return dict(block.object())
    block.only("type", "image_url")
    image = block.needed("image_url")
    if isinstance(image.value, str):
        return openai.image(image, None)
    image.only("url", "detail")
    return openai.image(image.needed("url"), image.given("detail"))


def _assistant(message: Given) -> str | list[Json]:
    content, calls = message.given("content"), message.given("tool_calls")
    if (broken := message.given("invalid_tool_calls")) is not None and broken.items():
        raise broken.unsupported()
    if calls is None and content is not None and isinstance(content.value, str):
        return content.value
    said = [] if content is None or content.value in ("", []) else _blocks(content)
    known = {block.get("id") for block in said}
    said += [call for each in (() if calls is None else calls.items()) if (call := _call(each))["id"] not in known]
    if not said:
        raise message.at("content").refused("missing", "is required")
    return said


def _call(call: Given) -> Json:
    call.only("type", "id", "name", "args")
    args = call.given("args")
    return {
        "type": "tool_use", "id": call.needed("id").text(), "name": call.needed("name").text(),
        "input": {} if args is None else dict(args.object()),
    }  # fmt: skip


def _result(message: Given) -> Json:
    content = message.needed("content")
    said: str | Sequence[Json] = content.value if isinstance(content.value, str) else _blocks(content)
    result = openai.result(message.needed("tool_call_id"), said)
    status = message.given("status")
    failed = status is not None and status.word("success", "error") == "error"
    return {**result, "is_error": True} if failed else result
