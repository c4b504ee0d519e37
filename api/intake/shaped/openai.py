"""A problem as OpenAI's APIs tell their errors."""

import re
from collections.abc import Mapping
from typing import Final

from api.dialects.openai_words import error_body, error_type
from api.intake.problems import Problem
from api.intake.shaped import sentence

_ITEM: Final = re.compile(r"\.([0-9]+)(?=\.|$)")


def error(problem: Problem) -> Mapping[str, object]:
    """`code` is our own; `param` names the first place that is wrong."""
    errors = problem.extensions.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else {}
    place = _param(first["pointer"]) if "pointer" in first else first.get("parameter")
    return error_body(sentence(problem), error_type(problem.status), problem.code, place)


def _param(pointer: str) -> str | None:
    """A place as OpenAI names it: `input[0].content`; None for the whole body."""
    return _ITEM.sub(r"[\1]", pointer.replace("/", ".")).removeprefix(".") or None
