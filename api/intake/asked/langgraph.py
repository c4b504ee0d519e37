"""The body of LangGraph's `POST /threads/{thread}/runs` as a request for a generation. Pure.

An assistant is one question to a model: its id is that model's name, or `agent` for the one that is asked if nobody names one.
`config.configurable` and `context` have fields of a GenerationRequest, by their own names.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from pydantic import ValidationError

from api.dialects.langgraph import MODES
from api.intake.asked import responses
from api.intake.asked.langgraph_messages import turns
from api.intake.asked.reading import Given, Json, in_their_words
from api.intake.problems import from_validation_error
from broker.request import GenerationRequest
from broker.store.names import LONGEST_NAME

THREAD_ID: Final = f"[A-Za-z0-9_.~-]{{1,{LONGEST_NAME}}}"
"""What a path may have without escapes."""
AGENT: Final = "agent"
THREAD_LABEL: Final = "langgraph.thread"
"""The label by which a run knows its thread."""
USUAL_MODES: Final = frozenset(("values",))
_KNOWN: Final = (
    "assistant_id", "input", "stream_mode", "stream_subgraphs", "stream_resumable", "config", "context", "metadata",
    "multitask_strategy", "if_not_exists", "on_disconnect", "on_completion", "durability",
)  # fmt: skip
_SINGLE: Final[Mapping[str, tuple[str, ...]]] = {
    "multitask_strategy": ("reject",), "if_not_exists": ("create",), "on_completion": ("keep",),
    "durability": ("sync", "async", "exit"),
}  # fmt: skip
"""What is so in any case."""
_NOT_BY_NAME: Final = ("messages", "labels")


class Asked(NamedTuple):
    """`fields` are a GenerationRequest's; `places`: where each of them was said, as a pointer without its first slash."""

    fields: Json
    places: Mapping[str, str]
    modes: frozenset[str]


def read(body: Json, thread: str) -> Asked:
    """Raises Problem (422) that names what cannot be said."""
    given = Given(body)
    given.only(*_KNOWN)
    said = given.needed("input")
    said.only("messages")
    system, messages = turns(said.needed("messages"), thread)
    fields: Json = {"messages": messages}
    places = {"messages": "input/messages", "labels": "metadata"}
    if system:
        fields["system"] = system
        places["system"] = "input/messages"
    _ours(given, fields, places)
    _model(given.needed("assistant_id"), fields, places)
    labels = given.given("metadata")
    fields["labels"] = {**({} if labels is None else labels.object()), THREAD_LABEL: thread}
    if (left := given.given("on_disconnect")) is not None:
        fields["on_abandon"] = "cancel" if left.word("cancel", "continue") == "cancel" else "finish"
    for name, words in _SINGLE.items():
        if (way := given.given(name)) is not None:
            way.word(*words)
    for name in ("stream_subgraphs", "stream_resumable"):
        if (flag := given.given(name)) is not None:
            flag.flag()
    return Asked(fields, places, _modes(given.given("stream_mode")))


def made(
    asked: Asked, context: Mapping[str, object], earlier: GenerationRequest | None = None, content: Sequence[Json] = ()
) -> GenerationRequest:
    """The request, behind what its thread has: an earlier request, and what came of it. Raises Problem (422)."""
    fields = asked.fields
    if earlier is not None:
        fields = responses.going_on(responses.Asked(fields, None, stream=False), earlier, content)
    try:
        return GenerationRequest.model_validate(fields, context=context)
    except ValidationError as error:
        raise in_their_words(from_validation_error(error), asked.places) from None


def _ours(given: Given, fields: Json, places: dict[str, str]) -> None:
    """Adds the fields that are said by our own names."""
    sources = []
    if (config := given.given("config")) is not None:
        config.only("configurable", "recursion_limit")
        if (limit := config.given("recursion_limit")) is not None and not isinstance(limit.value, int):
            raise limit.refused("wrong_type", "must be a number")
        sources.append(("config/configurable", config.given("configurable")))
    sources.append(("context", given.given("context")))
    for place, source in sources:
        for name, value in {} if source is None else source.object().items():
            assert source is not None
            if name in fields or name in _NOT_BY_NAME:
                raise source.at(name).refused("said_twice", "is said elsewhere")
            fields[name] = value
            places[name] = f"{place}/{name}"


def _model(assistant: Given, fields: Json, places: dict[str, str]) -> None:
    name = assistant.text()
    if name == AGENT:
        places.setdefault("model", "assistant_id")
    elif "model" in fields:
        raise assistant.refused("said_twice", "must be `agent` where a model is named")
    else:
        fields["model"] = name
        places["model"] = "assistant_id"


def _modes(given: Given | None) -> frozenset[str]:
    if given is None:
        return USUAL_MODES
    if isinstance(given.value, str):
        return frozenset((given.word(*MODES),))
    return frozenset(each.word(*MODES) for each in given.items()) or USUAL_MODES


def thread_asked(body: Json) -> tuple[str | None, bool]:
    """Of the body of `POST /threads`: the name that the thread is to have, and whether it may be there already. Raises Problem
    (422)."""
    given = Given(body)
    for name in ("metadata", "supersteps"):
        if (more := given.given(name)) is not None and more.value not in ({}, []):
            raise more.refused("not_kept", "cannot be kept: nothing is stored of a thread before its first run")
    given.only("thread_id", "if_exists", "metadata", "supersteps")
    thread, exists = given.given("thread_id"), given.given("if_exists")
    if thread is not None and not re.fullmatch(THREAD_ID, thread.text()):
        raise thread.refused("pattern", f"must match {THREAD_ID}")
    may_exist = exists is not None and exists.word("raise", "do_nothing") == "do_nothing"
    return None if thread is None else thread.text(), may_exist
