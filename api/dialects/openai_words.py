"""What both of OpenAI's vocabularies have in common on their way out: errors, and what an answer has used. Pure."""

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeGuard

from broker.failures import CANCELLED, FAILURES

Json = dict[str, object]

_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error", 403: "permission_error", 404: "not_found_error", 409: "conflict_error",
    429: "rate_limit_error",
}  # fmt: skip
LIMITED: Final = 429


def error_type(status: int) -> str:
    """The type of an error that fits this HTTP status."""
    return _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")


def error_body(message: str, type_: str, code: str | None, param: str | None = None) -> Json:
    """An error, as an answer or as an event that makes OpenAI's SDK raise it."""
    return {"error": {"message": message, "type": type_, "param": param, "code": code}}


class Counts(NamedTuple):
    """Tokens. `asked` are all that went in, those that came from a cache (`read`) or went there (`written`) among them;
    `reasoning` is of `answered`."""

    asked: int
    answered: int
    read: int
    written: int
    reasoning: int


def counts(usage: Mapping[str, object]) -> Counts:
    """Of usage in the words of Messages, which counts apart what came from a cache."""

    def count(name: str) -> int:
        value = usage.get(name)
        return value if isinstance(value, int) else 0

    read, written = count("cache_read_input_tokens"), count("cache_creation_input_tokens")
    return Counts(
        count("input_tokens") + read + written, count("output_tokens"), read, written, count("reasoning_tokens")
    )


def failed(end: Mapping[str, object]) -> Json:
    """The error of a generation that ended with this `error` entry."""
    code = str(end.get("code"))
    failure = FAILURES.get(code)  # type: ignore[call-overload]  # whatever was stored
    status = end.get("status", 500 if failure is None else failure.status)
    return error_body(str(end.get("message", code)), error_type(status if isinstance(status, int) else 500), code)


def cancelled() -> Json:
    """The error of a generation that was cancelled."""
    return error_body(CANCELLED, "server_error", "cancelled")


def is_url_citation(citation: object) -> TypeGuard[Json]:
    """Whether it is one that OpenAI has words for."""
    return isinstance(citation, dict) and citation.get("type") == "url_citation"
