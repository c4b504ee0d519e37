"""A problem as OpenAI's APIs tell their errors."""

from collections.abc import Mapping
from typing import Final

from api.intake.problems import Problem
from api.intake.shaped import sentence

_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error",
}  # fmt: skip


def error_type(status: int) -> str:
    """What an error of this HTTP status is called."""
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")


def error(problem: Problem) -> Mapping[str, object]:
    """`code` is our own; `param` names the first place that is wrong."""
    errors = problem.extensions.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else {}
    place = first.get("pointer") or first.get("parameter")
    return {
        "error": {
            "message": sentence(problem),
            "type": error_type(problem.status),
            "param": place,
            "code": problem.code,
        }
    }
