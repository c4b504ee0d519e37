"""A problem as Anthropic's Messages API tells its errors."""

from collections.abc import Mapping

from api.dialects.messages_words import error_type
from api.intake.problems import Problem
from api.intake.shaped import sentence


def error(problem: Problem) -> Mapping[str, object]:
    """`details` has our own code, and what else the problem says."""
    details = {"error_code": problem.code, **problem.extensions}
    return {
        "type": "error",
        "error": {"type": error_type(problem.status), "message": sentence(problem), "details": details},
    }
