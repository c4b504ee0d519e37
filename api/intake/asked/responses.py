"""The body of `POST /v1/responses` as a request for a generation. Pure.

What asks for nothing is left out: `prompt_cache_key`, a `name` of a schema, `logprobs` and annotations of what the model said
before, `parallel_tool_calls` without tools.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from pydantic import ValidationError

from api.intake.asked import openai
from api.intake.asked.reading import Given, Json, in_their_words
from api.intake.asked.responses_input import turns
from api.intake.problems import from_validation_error
from broker.request import GenerationRequest

_KNOWN: Final = (
    "model", "input", "instructions", "stream", "background", "store", "previous_response_id", "max_output_tokens", "tools",
    "tool_choice", "parallel_tool_calls", "reasoning", "text", "metadata", "temperature", "top_p", "user", "safety_identifier",
    "prompt_cache_key", "truncation", "include", "service_tier", "stream_options", "top_logprobs",
)  # fmt: skip
_THEIRS: Final[Mapping[str, str]] = {
    "max_tokens": "max_output_tokens", "messages": "input", "system": "instructions", "labels": "metadata",
    "metadata": "user", "retention": "store", "output_config": "text", "thinking": "reasoning",
}  # fmt: skip
NOT_STORED_SECONDS: Final = 60
"""How long a response is there after its end that is not to be stored: so long that a reader who was cut off comes back."""


class Asked(NamedTuple):
    """`fields` are a GenerationRequest's, in the words of Messages. `previous`: the response that it goes on from."""

    fields: Json
    previous: Given | None
    stream: bool


def read(body: Json) -> Asked:
    """Raises Problem (422) that names what cannot be said."""
    given = Given(body)
    given.only(*_KNOWN)
    system, messages = turns(given.given("input"), given.given("instructions"))
    asked: Json = {"messages": messages}
    if system:
        asked["system"] = system
    for ours, theirs in (("model", "model"), ("max_tokens", "max_output_tokens"), ("labels", "metadata"),
                         ("temperature", "temperature"), ("top_p", "top_p")):  # fmt: skip
        if (value := given.given(theirs)) is not None:
            asked[ours] = value.value
    _tools(given, asked)
    _reasoning(given.given("reasoning"), asked)
    _text(given.given("text"), asked)
    openai.who_asks(given.given("safety_identifier") or given.given("user"), asked)
    _modes(given, asked)
    if (store := given.given("store")) is not None and not store.flag():
        asked["retention"] = NOT_STORED_SECONDS
    stream = given.given("stream")
    return Asked(asked, given.given("previous_response_id"), stream is not None and stream.flag())


def made(fields: Json, context: Mapping[str, object]) -> GenerationRequest:
    """The request of these fields. Raises Problem (422), in the words of the body that they were made of."""
    try:
        return GenerationRequest.model_validate(fields, context=context)
    except ValidationError as error:
        raise in_their_words(from_validation_error(error), _THEIRS) from None


def _tools(given: Given, asked: Json) -> None:
    tools, choice, parallel = (given.given(name) for name in ("tools", "tool_choice", "parallel_tool_calls"))
    if tools is not None and tools.items():
        asked["tools"] = [_tool(each) for each in tools.items()]
    elif choice is None or choice.value in ("auto", "none"):
        return
    named = None
    if choice is not None and isinstance(choice.value, dict):
        if choice.needed("type").text() != "function":
            raise choice.at("type").unsupported()
        choice.only("type", "name")
        named, choice = choice.needed("name").text(), None
    if (said := openai.tool_choice(choice, named, parallel)) is not None:
        asked["tool_choice"] = said


def _tool(tool: Given) -> Json:
    if tool.needed("type").text() != "function":
        raise tool.at("type").unsupported()
    return openai.function(tool, "type")


def _reasoning(reasoning: Given | None, asked: Json) -> None:
    """Its summary is what a model tells of its thinking, which comes in any case."""
    if reasoning is None:
        return
    reasoning.only("effort", "summary")
    if (summary := reasoning.given("summary")) is not None:
        summary.word("auto")
        asked["thinking"] = {"type": "adaptive"}
    if (effort := reasoning.given("effort")) is not None:
        openai.effort(effort, asked)


def _text(text: Given | None, asked: Json) -> None:
    if text is None:
        return
    text.only("format", "verbosity")
    if (verbosity := text.given("verbosity")) is not None:
        verbosity.word("medium")
    if (form := text.given("format")) is None:
        return
    if form.needed("type").word("text", "json_schema") == "json_schema":
        openai.json_schema(form, asked, "type")


def _modes(given: Given, asked: Json) -> None:
    """What may be said in a way or two, one of which is how it is."""
    if (background := given.given("background")) is not None:
        background.flag()
    if (key := given.given("prompt_cache_key")) is not None:
        key.text()
    if (truncation := given.given("truncation")) is not None:
        truncation.word("disabled")
    if (tier := given.given("service_tier")) is not None and tier.word("auto", "default") == "default":
        asked["service_tier"] = "standard_only"
    if (options := given.given("stream_options")) is not None:
        options.only("include_obfuscation")
        if (obfuscated := options.given("include_obfuscation")) is not None and obfuscated.flag():
            raise obfuscated.unsupported()
    if (logprobs := given.given("top_logprobs")) is not None and logprobs.value != 0:
        raise logprobs.unsupported()
    if (include := given.given("include")) is not None:
        for each in include.items():
            each.word("reasoning.encrypted_content")


# -- going on from an earlier response


def going_on(asked: Asked, earlier: GenerationRequest, content: Sequence[Json]) -> Json:
    """The fields with all that was said before: the earlier request and what came of it. Without instructions of its own, those
    of the earlier one hold. OpenAI's do not; but there a conversation may begin with the developer's messages, which do, and
    are the same here."""
    before: list[object] = [{"role": turn.role, "content": turn.content} for turn in earlier.messages]
    messages = asked.fields["messages"]
    assert isinstance(messages, list)
    fields = {**asked.fields, "messages": [*before, *_answered(content), *messages]}
    if earlier.system is not None:
        fields.setdefault("system", earlier.system)
    if earlier.server_tools:
        fields["server_tools"] = list(earlier.server_tools)
    return fields


def _answered(content: Sequence[Json]) -> list[Json]:
    """What a model has said as turns: what its calls of the server's tools came to is said by the user."""
    found: list[tuple[str, list[Json]]] = []
    for block in map(_as_said, content):
        if block is None:
            continue
        role = "user" if block["type"] == "tool_result" else "assistant"
        if found and found[-1][0] == role:
            found[-1][1].append(block)
        else:
            found.append((role, [block]))
    return [{"role": role, "content": blocks} for role, blocks in found]


def _as_said(block: Json) -> Json | None:
    """A block of an answer as a block of a request; None for what is not whole, or says nothing."""
    known = partial(_members, block)
    match block:
        case {"type": "text", "text": str(text)} if text:
            return {"type": "text", "text": text}
        case {"type": "thinking", "signature": str(signature)} if signature:
            return known("type", "thinking", "signature", "id")
        case {"type": "redacted_thinking"}:
            return known("type", "data")
        case {"type": "tool_use"} if "partial_json" not in block:
            return known("type", "id", "name", "input")
        case {"type": "tool_result"}:
            return known("type", "tool_use_id", "content", "is_error")
    return None


def _members(block: Json, *names: str) -> Json:
    return {name: block[name] for name in names if name in block}
