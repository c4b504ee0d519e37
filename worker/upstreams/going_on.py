"""The two ways in which a model is asked to go on from an interrupted answer. Pure; which of them a model takes is for whoever
knows the model."""

from typing import cast

from broker.transcript import Kept
from worker.upstreams import Call, Json

_REQUEST = (
    "Your previous answer was cut off by a technical failure. This is the part of it that has reached the reader:\n"
    "<partial_answer>{partial}</partial_answer>\n"
    "Go on exactly where it stops, even in the middle of a word or a sentence. Do not repeat any of it, do not comment on"
    " the interruption, do not begin again."
)


def quoted(body: Json, kept: Kept) -> Call:
    """A user message that quotes what is kept, which every model understands."""
    messages = [*_messages(body), {"role": "user", "content": _REQUEST.format(partial=kept.text)}]
    return Call({**body, "messages": messages}, kept.blocks)


def prefilled(body: Json, kept: Kept) -> Call:
    """What is kept as a trailing assistant message, without the white space at its end, which upstreams refuse."""
    shown = kept.text.rstrip()
    if not shown:
        return Call(body, kept.blocks, kept.text)
    messages = _messages(body)
    if messages and messages[-1]["role"] == "assistant":
        messages[-1] = {"role": "assistant", "content": _joined(messages[-1]["content"], shown)}
    else:
        messages.append({"role": "assistant", "content": shown})
    return Call({**body, "messages": messages}, kept.blocks, kept.text[len(shown) :])


def _messages(body: Json) -> list[Json]:
    return list(cast("list[Json]", body["messages"]))


def _joined(content: object, more: str) -> object:
    """A prefill of the submitter's own, and what the model had added to it."""
    if isinstance(content, str):
        return content + more
    return [*cast("list[object]", content), {"type": "text", "text": more}]
