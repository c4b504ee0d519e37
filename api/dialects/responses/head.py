"""A response as an object: what is known of it from its beginning, and what comes with its end. Pure.

What was asked for is not repeated: a prompt is not for everybody who may read along. So `tools` is empty, and `instructions`
are null, whatever they were.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import orjson

from api.dialects.openai_words import LIMITED, counts
from broker.failures import FAILURES
from broker.vocabulary import Json

Status = Literal["queued", "in_progress", "completed", "incomplete", "cancelled", "failed"]
_PREFIX: Final = "resp_"
_GENERATION: Final = "gen_"
_SHORT: Final = frozenset(("max_tokens", "model_context_window_exceeded"))
_NOT_ASKED: Final[Json] = {
    "instructions": None, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "temperature": None, "top_p": None,
    "previous_response_id": None,
}  # fmt: skip


def response_id(generation: str) -> str:
    return _PREFIX + generation.removeprefix(_GENERATION)


def generation_id(response: str) -> str:
    """The generation's; of what is no response's id, something that is no generation's."""
    return _GENERATION + response.removeprefix(_PREFIX) if response.startswith(_PREFIX) else ""


@dataclass(frozen=True, slots=True)
class Head:
    """`said`: the members that never change, as JSON."""

    generation: str
    said: bytes

    @classmethod
    def of(cls, generation: str, model: str, created_ms: int, labels: Mapping[str, str]) -> "Head":
        known: Json = {
            "id": response_id(generation),
            "object": "response",
            "created_at": created_ms // 1000,
            "model": model,
        }
        return cls(generation, orjson.dumps({**known, **_NOT_ASKED, "metadata": dict(labels)})[:-1])

    def up_to_output(self, status: Status, **more: object) -> bytes:
        """The whole object up to its last member, the list of items."""
        rest = {"status": status, "error": None, "incomplete_details": None, "usage": None, **more}
        return self.said + b"," + orjson.dumps(rest)[1:-1] + b',"output":'

    def response(self, status: Status, output: list[Json], **more: object) -> orjson.Fragment:
        """The whole object."""
        return orjson.Fragment(self.up_to_output(status, **more) + orjson.dumps(output) + b"}")


@dataclass(frozen=True, slots=True)
class End:
    """How a response ended: its status and what else is said then."""

    status: Status
    more: Json

    @property
    def complete(self) -> bool:
        return self.status == "completed"

    @property
    def event(self) -> bytes:
        """There is none for `cancelled`: such a response is incomplete."""
        return b"incomplete" if self.status == "cancelled" else self.status.encode()


def end_of(end: Mapping[str, object]) -> End:
    """Of the generation's terminal event."""
    usage = _usage(end.get("usage"))
    code = end.get("code")
    if code == "blocked":
        return End("incomplete", {"incomplete_details": {"reason": "content_filter"}, "usage": usage})
    if code is not None:
        return End("failed", {"error": _error(str(code), end), "usage": usage})
    if end.get("status") == "cancelled":
        return End("cancelled", {"usage": usage})
    reason = end.get("stop_reason")
    if reason == "refusal" or reason in _SHORT:
        why = "content_filter" if reason == "refusal" else "max_output_tokens"
        return End("incomplete", {"incomplete_details": {"reason": why}, "usage": usage})
    return End("completed", {"usage": usage})


def _error(code: str, end: Mapping[str, object]) -> Json:
    """OpenAI has few codes: ours is in the message."""
    status = end.get("status")
    theirs = "rate_limit_exceeded" if status == LIMITED else "server_error"
    if code == "upstream_invalid_request":
        theirs = "invalid_prompt"
    found = FAILURES.get(code)  # type: ignore[call-overload]  # whatever it is
    message = str(end.get("message") or (found.meaning if found is not None else "It failed."))
    return {"code": theirs, "message": f"{code}: {message}"}


def _usage(usage: object) -> Json | None:
    if not isinstance(usage, dict):
        return None
    used = counts(usage)
    return {
        "input_tokens": used.asked,
        "input_tokens_details": {"cached_tokens": used.read, "cache_write_tokens": used.written},
        "output_tokens": used.answered,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": used.asked + used.answered,
    }
