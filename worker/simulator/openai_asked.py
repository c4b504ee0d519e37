"""What was asked in OpenAI's two APIs, checked as far as the simulator needs it: the same Asked as of Messages. A parameter
that the real API does not know is refused, as it does."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import orjson

from worker.simulator.asked import Asked, Tool, Turn
from worker.simulator.refused import Refused

_DEFAULT_TOKENS = 4096
_RESPONSES = frozenset((
    "background", "context_management", "conversation", "include", "input", "instructions", "max_output_tokens",
    "max_tool_calls", "metadata", "model", "parallel_tool_calls", "previous_response_id", "prompt", "prompt_cache_key",
    "prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier", "service_tier", "store", "stream",
    "stream_options", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user",
))  # fmt: skip
_CHAT = frozenset((
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens",
    "messages", "metadata", "modalities", "model", "moderation", "n", "parallel_tool_calls", "prediction", "presence_penalty",
    "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning_effort", "response_format",
    "safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options", "temperature", "tool_choice",
    "tools", "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
))  # fmt: skip


def parse_responses(body: bytes) -> Asked:
    """A request of the Responses API. Raises Refused(400)."""
    data = _object(body, _RESPONSES)
    reasoning = data.get("reasoning")
    return Asked(
        model=_model(data),
        turns=_checked(_of_input(data.get("input"))),
        max_tokens=_count(data, "max_output_tokens"),
        stream=bool(data.get("stream", False)),
        user_id=openai_user_of(data),
        thinking=isinstance(reasoning, dict) and reasoning.get("effort") != "none",
        input_tokens=max(1, len(body) // 4),
        tools=_tools(data.get("tools")),
    )


def parse_chat(body: bytes) -> Asked:
    """A request of Chat Completions. Raises Refused(400)."""
    data = _object(body, _CHAT)
    stop = data.get("stop")
    options = data.get("stream_options")
    return Asked(
        model=_model(data),
        turns=_checked(_of_messages(data.get("messages"))),
        max_tokens=_count(data, "max_completion_tokens" if "max_completion_tokens" in data else "max_tokens"),
        stream=bool(data.get("stream", False)),
        user_id=openai_user_of(data),
        thinking=data.get("reasoning_effort") not in (None, "none"),
        stop_sequences=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        input_tokens=max(1, len(body) // 4),
        tools=_tools([each.get("function") for each in data.get("tools") or ()]),
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def openai_user_of(data: dict[str, Any]) -> str | None:
    """`safety_identifier`, or `user`, which it replaces."""
    user = data.get("safety_identifier", data.get("user"))
    return user if isinstance(user, str) else None


def _object(body: bytes, known: frozenset[str]) -> dict[str, Any]:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refused(400, "We could not parse the JSON body of your request.") from None
    if not isinstance(data, dict):
        raise Refused(400, "The request body must be a JSON object")
    if unknown := sorted(data.keys() - known):
        raise Refused(400, f"Unknown parameter: '{unknown[0]}'.")
    return data


def _model(data: dict[str, Any]) -> str:
    model = data.get("model")
    if not isinstance(model, str) or not model:
        raise Refused(400, "you must provide a model parameter")
    return model


def _count(data: dict[str, Any], name: str) -> int:
    value = data.get(name, _DEFAULT_TOKENS)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Refused(400, f"Invalid '{name}': integer below minimum value.")
    return value


def _tools(value: object) -> tuple[Tool, ...]:
    """Functions; the others are the API's own."""
    tools = value if isinstance(value, list) else ()
    return tuple(Tool(each["name"], each["parameters"]) for each in tools if each and "parameters" in each)


def _checked(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """Turns that follow one another as the API wants it; calls, and results, that come one after the other, are one turn."""
    merged: list[Turn] = []
    for turn in turns:
        if merged and turn.results and merged[-1].results:
            merged[-1] = replace(merged[-1], results=merged[-1].results + turn.results)
        elif merged and turn.calls and merged[-1].calls:
            merged[-1] = replace(merged[-1], calls=merged[-1].calls + turn.calls)
        else:
            merged.append(turn)
    if not merged:
        raise Refused(400, "Missing required parameter: 'input'.")
    asked = {id_ for turn in merged for id_ in turn.calls}
    given = {id_ for turn in merged for id_ in turn.results}
    if missing := sorted(asked - given):
        raise Refused(400, f"No tool output found for function call {missing[0]}.")
    if unasked := sorted(given - asked):
        raise Refused(400, f"No tool call found for function call output with call_id {unasked[0]}.")
    return tuple(merged)


def _of_input(value: object) -> Iterator[Turn]:
    if isinstance(value, str):
        yield Turn("user", (value,))
        return
    for index, item in enumerate(value if isinstance(value, list) else ()):
        match item:
            case {"role": "user" | "assistant" | "system" | "developer" as role, "content": content}:
                yield Turn(str(role), _texts(content, ("input_text", "output_text")))
            case {"type": "function_call", "call_id": str(call), "name": str(), "arguments": str()}:
                yield Turn("assistant", (), (call,))
            case {"type": "function_call_output", "call_id": str(call), "output": _}:
                yield Turn("user", (), (), (call,))
            case {"type": "reasoning", "id": str(), "summary": list()}:
                pass
            case _:
                raise Refused(400, f"Invalid value: 'input[{index}]'.")


def _of_messages(value: object) -> Iterator[Turn]:
    for index, message in enumerate(value if isinstance(value, list) else ()):
        match message:
            case {"role": "tool", "tool_call_id": str(call), "content": _}:
                yield Turn("user", (), (), (call,))
            case {"role": "user" | "assistant" | "system" | "developer" as role}:
                calls = tuple(str(call["id"]) for call in message.get("tool_calls") or ())
                yield Turn(str(role), _texts(message.get("content") or (), ("text",)), calls)
            case _:
                raise Refused(400, f"Invalid value: 'messages[{index}]'.")


def _texts(content: object, kinds: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(content, str):
        return (content,)
    parts = content if isinstance(content, list) else ()
    return tuple(str(part["text"]) for part in parts if isinstance(part, dict) and part.get("type") in kinds)
