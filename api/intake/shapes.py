"""In which shape a refusal is told: that of the vocabulary to which the path belongs. Pure.

A client's SDK reads its own vendor's errors. So a problem is made once (problems.py), and put into words here by where it was
asked: in ours (RFC 9457), or in those of a vocabulary of FOREIGN. The status and `Retry-After` are the same in all of them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.intake.negotiate import JSON
from api.intake.problems import Problem
from api.intake.shaped import anthropic, openai, ui

Header = tuple[bytes, bytes]


class Shape(NamedTuple):
    """`body`: the members of the document; `headers`: what goes with it besides the problem's own."""

    body: Callable[[Problem], Mapping[str, object]]
    media_type: str = JSON
    headers: Callable[[Problem], Mapping[str, str]] = lambda _: {}

    def answer(self, problem: Problem) -> Response:
        """The answer; nobody may cache it."""
        headers = {**problem.headers, **self.headers(problem)}
        return Response(orjson.dumps(self.body(problem)), problem.status, headers, self.media_type)


def is_retried(status: int) -> bool:
    """Whether the SDKs of both vendors ask again after an answer of this status, unless it tells them not to."""
    return status in (408, 409, 429) or status >= 500


def _retried(problem: Problem) -> Mapping[str, str]:
    """Whether they should: where the same request may fare better."""
    if not is_retried(problem.status):
        return {}
    return {"x-should-retry": "true" if "Retry-After" in problem.headers else "false"}


PROBLEM: Final = Shape(Problem.body, "application/problem+json")
ANTHROPIC: Final = Shape(anthropic.error, headers=_retried)
OPENAI: Final = Shape(openai.error, headers=_retried)
AI_SDK: Final = Shape(ui.error)
FOREIGN: Final[Sequence[tuple[str, Shape]]] = (
    ("/v1/messages", ANTHROPIC),
    ("/v1/responses", OPENAI),
    ("/v1/chat/completions", OPENAI),
    ("/api/chat", AI_SDK),
)
"""By the beginning of a path, up to its end or a slash."""
_MODELS: Final = "/v1/models"
_VERSION: Final = b"anthropic-version"
"""The header that Anthropic's clients send with everything, and nobody else's."""


def shape_of(path: str, headers: Iterable[Header]) -> Shape:
    """The shape of what this path answers; headers' names in lower case."""
    for prefix, shape in FOREIGN:
        if _below(path, prefix):
            return shape
    if _below(path, _MODELS):
        return ANTHROPIC if asks_as_anthropic(headers) else OPENAI
    return PROBLEM


def asks_as_anthropic(headers: Iterable[Header]) -> bool:
    """Whether a path that two vendors have is asked for by a client of Anthropic's."""
    return any(name == _VERSION for name, _ in headers)


def worded(problem: Problem, path: str, headers: Iterable[Header]) -> Response:
    """What a request for this path, with these headers, is answered with."""
    return shape_of(path, headers).answer(problem)


def answer_to(request: Request, problem: Problem) -> Response:
    """What this request is answered with."""
    return worded(problem, request.scope["path"], request.scope["headers"])


def _below(path: str, prefix: str) -> bool:
    return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/")
