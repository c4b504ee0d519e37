"""Usage, the beginning and the end of an answer of OpenAI's in the words of Messages. Pure."""

from collections.abc import Mapping
from typing import cast

from broker.events import Content, event
from worker.upstreams import Json

_BEGINNING = ("created", "created_at", "service_tier", "system_fingerprint")


def message(answer: Json) -> Content:
    """The entry with which an answer begins. An answer of OpenAI's repeats the prompt, which is not for everybody who reads
    along: so only what is named here is passed on."""
    told = {name: answer[name] for name in _BEGINNING if answer.get(name) is not None}
    beginning = {"id": answer.get("id"), "type": "message", "role": "assistant", "model": answer.get("model"), **told}
    return event("message", message={**beginning, "stop_reason": None, "stop_sequence": None})


def usage_of(usage: Mapping[str, object]) -> Json:
    """OpenAI counts what came from its cache, and what went there, as input too; Messages counts them apart. What has no name
    in Messages stays as it is."""
    asked = _count(usage, "input_tokens", "prompt_tokens")
    answered = _count(usage, "output_tokens", "completion_tokens")
    details = _details(usage, "input_tokens_details", "prompt_tokens_details")
    read, written = _int(details.get("cached_tokens")), _int(details.get("cache_write_tokens"))
    said: Json = {
        "input_tokens": max(0, asked - read - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": answered,
    }
    reasoned = _details(usage, "output_tokens_details", "completion_tokens_details").get("reasoning_tokens")
    if isinstance(reasoned, int):
        said["reasoning_tokens"] = reasoned
    return {**said, **{name: value for name, value in usage.items() if name not in _SAID and value is not None}}


_SAID = frozenset((
    "input_tokens", "prompt_tokens", "output_tokens", "completion_tokens", "total_tokens", "input_tokens_details",
    "prompt_tokens_details", "output_tokens_details", "completion_tokens_details",
))  # fmt: skip


def _count(usage: Mapping[str, object], *names: str) -> int:
    return next((count for name in names if (count := _int(usage.get(name)))), 0)


def _details(usage: Mapping[str, object], *names: str) -> Json:
    found = (usage.get(name) for name in names)
    return next((cast(Json, each) for each in found if isinstance(each, dict)), {})


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0
