"""A problem as an `error` chunk of the AI SDK's UI message stream."""

from collections.abc import Mapping

from api.intake.problems import Problem
from api.intake.shaped import sentence


def error(problem: Problem) -> Mapping[str, object]:
    """A client raises the whole as the text of its error: `errorText` is what may be shown, the rest what may be looked at."""
    return {"type": "error", "errorText": sentence(problem), "code": problem.code, **problem.extensions}
