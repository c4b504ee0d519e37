"""The body of `POST /v1/chat/completions` as a request for a generation. Pure.

What asks for nothing is left out: `prompt_cache_key`, a schema's `name`, annotations of what the model said before,
`parallel_tool_calls` without tools.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from pydantic import ValidationError

from api.intake.asked import openai
from api.intake.asked.completions_messages import turns
from api.intake.asked.reading import Given, Json, in_their_words
from api.intake.problems import from_validation_error
from broker.request import GenerationRequest

_KNOWN: Final = (
    "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "stop", "temperature", "top_p",
    "n", "tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort", "user", "safety_identifier",
    "metadata", "prompt_cache_key", "service_tier", "verbosity", "modalities", "store", "logprobs", "frequency_penalty",
    "presence_penalty",
)  # fmt: skip
_THEIRS: Final[Mapping[str, str]] = {
    "max_tokens": "max_completion_tokens", "stop_sequences": "stop", "labels": "metadata", "metadata": "user",
    "system": "messages", "output_config": "response_format", "thinking": "reasoning_effort",
}  # fmt: skip
_AS_THEY_ARE: Final = ("model", "temperature", "top_p")


class Asked(NamedTuple):
    """`usage`: the stream is to tell it."""

    request: GenerationRequest
    stream: bool
    usage: bool


def asked(body: Json, context: Mapping[str, object]) -> Asked:
    """Raises Problem (422) that names what cannot be said, or what is wrong."""
    given = Given(body)
    given.only(*_KNOWN)
    stream, usage = _streaming(given)
    fields = read(given)
    try:
        return Asked(GenerationRequest.model_validate(fields, context=context), stream, usage)
    except ValidationError as error:
        names = {**_THEIRS, "max_tokens": "max_tokens"} if given.given("max_tokens") else _THEIRS
        raise in_their_words(from_validation_error(error), names) from None


def read(given: Given) -> Json:
    """The fields of a GenerationRequest."""
    system, messages = turns(given.needed("messages"))
    fields: Json = {"messages": messages}
    if system:
        fields["system"] = system
    fields |= {name: each.value for name in _AS_THEY_ARE if (each := given.given(name)) is not None}
    if (metadata := given.given("metadata")) is not None:
        fields["labels"] = metadata.value
    _limits(given, fields)
    _tools(given, fields)
    if (effort := given.given("reasoning_effort")) is not None:
        openai.effort(effort, fields)
    if (form := given.given("response_format")) is not None:
        _response_format(form, fields)
    openai.who_asks(given.given("safety_identifier") or given.given("user"), fields)
    _single_ways(given)
    return fields


def _streaming(given: Given) -> tuple[bool, bool]:
    """Whether it is streamed, and whether the stream tells the usage."""
    stream, options = given.given("stream"), given.given("stream_options")
    streamed = stream is not None and stream.flag()
    if options is None:
        return streamed, False
    if not streamed:
        raise options.refused("not_allowed", "is of a stream only")
    options.only("include_usage", "include_obfuscation")
    if (obfuscated := options.given("include_obfuscation")) is not None and obfuscated.flag():
        raise obfuscated.unsupported()
    usage = options.given("include_usage")
    return streamed, usage is not None and usage.flag()


def _limits(given: Given, fields: Json) -> None:
    limits = [each for name in ("max_completion_tokens", "max_tokens") if (each := given.given(name)) is not None]
    if limits:
        fields["max_tokens"] = limits[0].value
        if limits[-1].value != limits[0].value:
            raise limits[-1].refused("not_allowed", "must be the same as `max_completion_tokens`")
    if (stop := given.given("stop")) is not None:
        fields["stop_sequences"] = [stop.value] if isinstance(stop.value, str) else stop.value


def _tools(given: Given, fields: Json) -> None:
    tools, choice, parallel = (given.given(name) for name in ("tools", "tool_choice", "parallel_tool_calls"))
    if tools is not None and tools.items():
        fields["tools"] = [_tool(each) for each in tools.items()]
    elif choice is None or choice.value in ("auto", "none"):
        return
    named = None
    if choice is not None and isinstance(choice.value, dict):
        named, choice = _named(choice), None
    if (said := openai.tool_choice(choice, named, parallel)) is not None:
        fields["tool_choice"] = said


def _tool(tool: Given) -> Json:
    return openai.function(_function(tool))


def _named(choice: Given) -> str:
    function = _function(choice)
    function.only("name")
    return function.needed("name").text()


def _function(given: Given) -> Given:
    """What is said of a function, of the object that says its type."""
    if given.needed("type").text() != "function":
        raise given.at("type").unsupported()
    given.only("type", "function")
    return given.needed("function")


def _response_format(form: Given, fields: Json) -> None:
    kind = form.needed("type")
    if kind.text() == "json_object":
        raise kind.unsupported()
    if kind.word("text", "json_schema") == "text":
        form.only("type")
        return
    form.only("type", "json_schema")
    schema = form.needed("json_schema")
    if (description := schema.given("description")) is not None:
        raise description.unsupported()
    openai.json_schema(schema, fields)


def _single_ways(given: Given) -> None:
    """What may be said in one way alone, which is how it is."""
    if (key := given.given("prompt_cache_key")) is not None:
        key.text()
    if (tier := given.given("service_tier")) is not None:
        tier.word("auto", "default")
    if (verbosity := given.given("verbosity")) is not None:
        verbosity.word("medium")
    for each in () if (modalities := given.given("modalities")) is None else modalities.items():
        each.word("text")
    if (count := given.given("n")) is not None and (count.value != 1 or isinstance(count.value, bool)):
        raise count.refused("unsupported_field", "must be 1")
    for name in ("store", "logprobs"):
        if (flag := given.given(name)) is not None and flag.flag():
            raise flag.unsupported()
    for name in ("frequency_penalty", "presence_penalty"):
        if (penalty := given.given(name)) is not None and (penalty.value != 0 or isinstance(penalty.value, bool)):
            raise penalty.unsupported()
