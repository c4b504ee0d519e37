"""How a Claude is asked to go on from an interrupted answer. Pure."""

import re

from broker.transcript import Kept
from worker.upstreams import Call, Json
from worker.upstreams.going_on import prefilled, quoted

_VERSION = re.compile(r"^claude-(?:[a-z]+-)?(\d{1,2})(?:-(\d{1,2}))?(?!\d)", re.ASCII)
_LAST_WITH_PREFILL = (4, 5)


def resumed(body: Json, kept: Kept) -> Call:
    """The Messages request that asks for the rest of what is kept of an answer to `body`.

    Models up to Claude 4.5 take the partial as a trailing assistant message (without its trailing white space, which they
    refuse); later ones answer that with 400 and want a user message that quotes it, and so does one that thinks, as a
    prefilled answer cannot begin with thinking. A model of unknown name gets the form that all understand.
    """
    if not takes_prefill(str(body["model"])) or _thinks(body):
        return quoted(body, kept)
    return prefilled(body, kept)


def takes_prefill(model: str) -> bool:
    """Whether the model is a Claude of version 4.5 or before, by its name."""
    match = _VERSION.match(model)
    if match is None:
        return False
    return (int(match[1]), int(match[2] or 0)) <= _LAST_WITH_PREFILL


def _thinks(body: Json) -> bool:
    thinking = body.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") != "disabled"
