"""How a model is asked to go on from an interrupted answer. Pure."""

import re

from broker.transcript import Kept
from worker.upstreams import Call, Json

_VERSION = re.compile(r"^claude-(?:[a-z]+-)?(\d{1,2})(?:-(\d{1,2}))?(?!\d)", re.ASCII)
_LAST_WITH_PREFILL = (4, 5)

_REQUEST = (
    "Your previous answer was cut off by a technical failure. This is the part of it that has reached the reader:\n"
    "<partial_answer>{partial}</partial_answer>\n"
    "Go on exactly where it stops, even in the middle of a word or a sentence. Do not repeat any of it, do not comment on"
    " the interruption, do not begin again."
)


def resumed(body: Json, kept: Kept) -> Call:
    """The Messages request that asks for the rest of what is kept of an answer to `body`.

    Models up to Claude 4.5 take the partial as a trailing assistant message (without its trailing white space, which they
    refuse); later ones answer that with 400 and want a user message that quotes it, and so does one that thinks, as a
    prefilled answer cannot begin with thinking. A model of unknown name gets the form that all understand.
    """
    messages: list[Json] = list(body["messages"])  # type: ignore[call-overload]
    if not takes_prefill(str(body["model"])) or _thinks(body):
        messages.append({"role": "user", "content": _REQUEST.format(partial=kept.text)})
        return Call({**body, "messages": messages}, kept.blocks)
    shown = kept.text.rstrip()
    if not shown:
        return Call(body, kept.blocks, kept.text)
    if messages and messages[-1]["role"] == "assistant":
        messages[-1] = {"role": "assistant", "content": _joined(messages[-1]["content"], shown)}
    else:
        messages.append({"role": "assistant", "content": shown})
    return Call({**body, "messages": messages}, kept.blocks, kept.text[len(shown) :])


def takes_prefill(model: str) -> bool:
    """Whether the model is a Claude of version 4.5 or before, by its name."""
    match = _VERSION.match(model)
    if match is None:
        return False
    return (int(match[1]), int(match[2] or 0)) <= _LAST_WITH_PREFILL


def _thinks(body: Json) -> bool:
    thinking = body.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") != "disabled"


def _joined(content: object, more: str) -> object:
    """A prefill of the submitter's own, and what the model had added to it."""
    if isinstance(content, str):
        return content + more
    return [*content, {"type": "text", "text": more}]  # type: ignore[misc]
