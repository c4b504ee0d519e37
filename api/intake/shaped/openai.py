"""A problem as OpenAI's APIs tell their errors."""

from collections.abc import Mapping

from api.dialects.openai_words import error_body, error_type
from api.intake.problems import Problem
from api.intake.shaped import sentence


def error(problem: Problem) -> Mapping[str, object]:
    """`code` is our own; `param` names the first place that is wrong."""
    errors = problem.extensions.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else {}
    place = first.get("pointer") or first.get("parameter")
    return error_body(sentence(problem), error_type(problem.status), problem.code, place)
