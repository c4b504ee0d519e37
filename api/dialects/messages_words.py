"""What Anthropic's Messages API calls its errors, and how an answer's end is told in it. Pure."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from broker.failures import CANCELLED, CANCELLED_STATUS, FAILURES
from broker.vocabulary import Json

_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
    409: "conflict_error", 410: "not_found_error", 413: "request_too_large", 429: "rate_limit_error",
    504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip
_OF_THE_DELTA: Final = frozenset(("stop_reason", "stop_sequence", "stop_details", "container"))
"""What a `message_delta` has in its `delta`; the rest is beside it."""


def error_type(status: int) -> str:
    """What an error of this HTTP status is called."""
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")


class Failed(NamedTuple):
    """An end that is no answer. `code`: of the table of failures, or `cancelled`."""

    code: str
    message: str
    status: int

    @classmethod
    def of(cls, end: Mapping[str, object]) -> "Failed | None":
        """What this terminal event tells; None of an answer that is complete. A reader of text alone is told no message."""
        match end:
            case {"type": "stream_end", "status": "completed"}:
                return None
            case {"type": "error", "code": str(code)}:
                known = next((failure for name, failure in FAILURES.items() if name == code), None)
                usual = known.status if known is not None else 500
                status = end.get("status")
                message = str(end.get("message") or (known.meaning if known is not None else code))
                return cls(code, message, status if isinstance(status, int) else usual)
        return cls("cancelled", CANCELLED, CANCELLED_STATUS)

    def body(self, generation: str) -> Json:
        """As a stream and an answer tell it."""
        return error_body(error_type(self.status), self.message, self.code, generation)


def error_body(type_: str, message: str, code: str, generation: str) -> Json:
    """An error. `details` has our own code, and which generation it is of."""
    details = {"error_code": code, **({"generation": generation} if generation else {})}
    return {"type": "error", "error": {"type": type_, "message": message, "details": details}}


def split_end(said: Mapping[str, object], stop_reason: object = None) -> tuple[Json, Json]:
    """What the upstream said at its end as a `message_delta` has it: its `delta`, and what is beside that. `stop_reason`: where
    it said none."""
    delta: Json = {"stop_reason": stop_reason, "stop_sequence": None}
    delta |= {name: value for name, value in said.items() if name in _OF_THE_DELTA}
    beside: Json = {"usage": {"output_tokens": 0}}
    beside |= {name: value for name, value in said.items() if name not in _OF_THE_DELTA}
    return delta, beside
