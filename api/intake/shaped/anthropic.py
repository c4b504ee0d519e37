"""A problem as Anthropic's Messages API tells its errors."""

from collections.abc import Mapping
from typing import Final

from api.intake.problems import Problem
from api.intake.shaped import sentence

_TYPES: Final[Mapping[int, str]] = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 405: "invalid_request_error", 406: "invalid_request_error", 409: "conflict_error",
    410: "not_found_error", 413: "request_too_large", 415: "invalid_request_error", 421: "invalid_request_error",
    422: "invalid_request_error", 429: "rate_limit_error", 431: "invalid_request_error", 504: "timeout_error",
    529: "overloaded_error",
}  # fmt: skip


def error_type(status: int) -> str:
    """What an error of this HTTP status is called."""
    return _TYPES.get(status, "api_error")


def error(problem: Problem) -> Mapping[str, object]:
    """`details` has our own code, and what else the problem says."""
    details = {"error_code": problem.code, **problem.extensions}
    return {
        "type": "error",
        "error": {"type": error_type(problem.status), "message": sentence(problem), "details": details},
    }
