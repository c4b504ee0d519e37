"""Every answer that is not a success, as RFC 9457 `application/problem+json`: one way out for the codes of codes.py. Where a
path belongs to another vocabulary, shapes.py puts it into that one's words.

No answer carries a submitted value, an exception's text or a stack trace.
"""

import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NotRequired

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from typing_extensions import TypedDict

from api.intake.codes import ABOUT_STORAGE as ABOUT_STORAGE
from api.intake.codes import AWAY
from api.intake.codes import Code as Code
from api.intake.codes import table as table
from broker import errors as broker

logger = logging.getLogger("respool.problems")

MAX_ERRORS = 20  # enough to mend a body by hand; more would let a small body ask for a large answer
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Problem(Exception):
    """Raise it before the response has begun, and it is the response.

    `detail` must say nothing that was submitted. `extensions` become members of the document.
    """

    def __init__(
        self,
        code: Code,
        detail: str | None = None,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        **extensions: object,
    ) -> None:
        kind = code.value
        super().__init__(code.name.lower())
        self.code, self.title, self.detail = code.name.lower(), kind.title, detail or kind.meaning
        self.status = status or kind.status
        retry = {"Retry-After": str(kind.retry_after)} if kind.retry_after else {}
        challenge = {"WWW-Authenticate": "Bearer"} if self.status == HTTPStatus.UNAUTHORIZED else {}
        self.headers = {"Cache-Control": "no-store", **retry, **challenge, **(headers or {})}
        self.extensions = extensions

    def body(self) -> dict[str, object]:
        """The members of the document."""
        return {
            "type": f"urn:respool:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.extensions,
        }

    def response(self) -> Response:
        """The answer; nobody may cache it."""
        return Response(orjson.dumps(self.body()), self.status, self.headers, "application/problem+json")


Answer = Callable[[Request, Problem], Response]


def _as_problem(_: Request, problem: Problem) -> Response:
    return problem.response()


def install(
    app: FastAPI, told: Callable[[Request, Problem], object] | None = None, answer: Answer = _as_problem
) -> None:
    """Make a problem document of every exception that leaves a route, and of every unknown path or method. `told` is called
    with each, and `answer` puts it into the words of the request's path."""
    answers: tuple[tuple[type[Exception], Callable[[Request, Any], Problem]], ...] = (
        (Problem, lambda _, problem: problem),
        (broker.BrokerError, lambda _, error: from_broker_error(error)),
        (ValidationError, lambda _, error: from_validation_error(error)),
        (RequestValidationError, lambda _, error: _invalid(error.errors(), in_body=False)),
        (HTTPException, from_http_exception),
        (Exception, lambda _, error: from_unexpected(error)),
    )
    for error_type, problem_of in answers:
        app.add_exception_handler(error_type, _handler(problem_of, told, answer))


def _handler(
    problem_of: Callable[[Request, Any], Problem], told: Callable[[Request, Problem], object] | None, answer: Answer
) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(request: Request, error: Exception) -> Response:
        problem = problem_of(request, error)
        if told is not None:
            told(request, problem)
        return answer(request, problem)

    return handle


def from_broker_error(error: broker.BrokerError) -> Problem:
    """What a broker error is to a client."""
    match error:
        case broker.UnknownGeneration():
            return Problem(Code.NOT_FOUND)
        case broker.ErasedGeneration():
            return Problem(Code.ERASED)
        case broker.ExpiredGeneration():
            return Problem(Code.EXPIRED)
        case broker.IdempotencyMismatch():
            return Problem(Code.IDEMPOTENCY_MISMATCH)
        case broker.AlreadyEnded():
            return Problem(Code.ALREADY_ENDED, state=error.state)
        case broker.ArchiveUnavailable():
            return Problem(Code.ARCHIVE_UNAVAILABLE)
        case broker.PayloadUnreadable():
            return Problem(Code.PAYLOAD_UNREADABLE)
        case broker.SealingUnavailable():
            return Problem(Code.ENCRYPTION_UNAVAILABLE)
        case broker.StorageUnavailable():
            return Problem(AWAY[error.why])
        case broker.StorageForbidden():
            return Problem(Code.STORAGE_FORBIDDEN)
        case broker.StorageFull():
            return Problem(Code.STORAGE_FULL)
        case broker.LimitReached():
            return _limited(error)
        case broker.QueueFull():
            return Problem(Code.QUEUE_FULL, headers={"Retry-After": str(error.seconds)} if error.seconds else {})
        case broker.NotAllowed():
            return _not_allowed(error)
        case broker.NotDurable():
            return Problem(Code.NOT_DURABLE)
        case broker.UnsafeStorage():
            return Problem(Code.UNSAFE_STORAGE)
        case broker.OutcomeUnknown():
            return Problem(Code.OUTCOME_UNKNOWN, generation=error.generation_id)
        case _:
            return from_unexpected(error)


def _limited(error: broker.LimitReached) -> Problem:
    """429, with when the same may fare better, where that is known: never a second too early."""
    wait = {"Retry-After": str(-(-error.wait_ms // 1000))} if error.wait_ms else {}
    return Problem(Code[error.which.upper()], headers=wait)


def _not_allowed(error: broker.NotAllowed) -> Problem:
    """403. A fallback or a tool may be one of many: each place is named."""
    said = f"is no {error.what} that this tenant may use"
    places: list[FieldError] = [{"pointer": each, "code": "not_allowed", "detail": said} for each in error.places]
    return Problem(Code[f"{error.what.upper()}_NOT_ALLOWED"], errors=places[:MAX_ERRORS])


def from_unexpected(error: Exception) -> Problem:
    """500. The body tells nothing but a number by which the log, which tells all, can be searched."""
    instance = f"urn:uuid:{uuid.uuid4()}"
    logger.error("unexpected %s, answered as %s", type(error).__name__, instance, exc_info=error)
    return Problem(Code.INTERNAL_ERROR, instance=instance)


def problem_of(error: Exception) -> Problem:
    """What says that this went wrong, where no handler of the application's does."""
    match error:
        case Problem():
            return error
        case ValidationError():
            return from_validation_error(error)
        case broker.BrokerError():
            return from_broker_error(error)
    return from_unexpected(error)


def from_http_exception(request: Request, error: HTTPException) -> Problem:
    """Starlette's own refusals: an unknown path, a wrong method. Their text is not passed on."""
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.NOT_FOUND:
        return Problem(Code.NOT_FOUND)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return Problem(Code.METHOD_NOT_ALLOWED, headers=headers | _allow(request))
    return Problem(Code.HTTP_ERROR, HTTPStatus(error.status_code).phrase, status=error.status_code, headers=headers)


def _allow(request: Request) -> dict[str, str]:
    """`Allow` for a path: Starlette's own names only the methods of the first of several routes."""

    def serves(method: str) -> bool:
        return any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)

    allowed = [method for method in METHODS if serves(method)]
    return {"Allow": ", ".join(allowed)} if allowed else {}


# ── what pydantic found, in our words ──


class FieldError(TypedDict):
    """One wrong place: a pointer into the body, or the name of a parameter outside of it."""

    pointer: NotRequired[str]
    parameter: NotRequired[str]
    code: str
    detail: str


# pydantic's type of error → our code and sentence. Its own sentences are not used, for some quote the input. What is
# filled in comes from our models (limits, allowed words), never from the request.
SENTENCES: Mapping[str, tuple[str, str]] = {
    "missing": ("missing", "is required"),
    "no_model": ("missing", "is required, as the operator has not set RESPOOL_MODEL"),
    "extra_forbidden": ("unknown_field", "is not a field known here"),
    "string_type": ("wrong_type", "must be a string"),
    "int_type": ("wrong_type", "must be an integer"),
    "int_parsing": ("wrong_type", "must be an integer"),
    "bool_parsing": ("wrong_type", "must be true or false"),
    "bool_type": ("wrong_type", "must be true or false"),
    "float_type": ("wrong_type", "must be a number"),
    "float_parsing": ("wrong_type", "must be a number"),
    "list_type": ("wrong_type", "must be a list"),
    "dict_type": ("wrong_type", "must be an object"),
    "model_type": ("wrong_type", "must be an object"),
    "text_or_blocks": ("wrong_type", "must be a string or a list of content blocks"),
    "text_or_object": ("wrong_type", "must be a string or an object"),
    "literal_error": ("not_allowed", "must be {expected}"),
    "finite_number": ("out_of_range", "must be a finite number"),
    "greater_than": ("out_of_range", "must be more than {gt:.12g}"),
    "greater_than_equal": ("out_of_range", "must be at least {ge:.12g}"),
    "less_than_equal": ("out_of_range", "must be at most {le:.12g}"),
    "string_too_short": ("out_of_range", "must have at least {min_length} characters"),
    "string_too_long": ("out_of_range", "must have at most {max_length} characters"),
    "too_short": ("out_of_range", "must have at least {min_length} items"),
    "too_long": ("out_of_range", "must have at most {max_length} items"),
    "forbidden_url": ("not_allowed", "{why}"),
    "named_twice": ("not_allowed", "names one twice"),
    "not_configured": ("not_configured", "needs RESPOOL_WEBHOOK_SECRET, a setting of this server's operator"),
    "string_pattern_mismatch": ("not_allowed", "must match {pattern}"),
    "no_time": ("invalid", "must be a time with its offset, as in 2026-12-24T18:00:00+01:00"),
    "too_late": ("out_of_range", "must be at most 7 days ahead"),
    "unknown_model": ("unknown_model", "is served by no upstream that is configured here"),
    "too_many_fields": ("out_of_range", "has too many fields"),
    "unknown_tool": ("unknown_tool", "is not a tool of this server"),
    "tool_twice": ("not_allowed", "is the name of one of `tools` too"),
}
UNSAID = ("invalid", "is not valid")

# An unknown field's name is submitted data too. It is named back only where it looks like a name, so that a typo is
# seen at once; for anything longer or stranger the pointer ends at the object that has it.
NAME = re.compile(r"[A-Za-z0-9_$.@:/~-]{1,40}")


def pointer(location: Iterable[int | str]) -> str:
    """The JSON pointer (RFC 6901) of a place in the body, ending before a part that does not look like a name."""
    found = ""
    for part in map(str, location):
        if not NAME.fullmatch(part):
            break
        found += "/" + part.replace("~", "~0").replace("/", "~1")
    return found


def from_validation_error(error: ValidationError) -> Problem:
    """422 with a pointer for each place in the body."""
    return _invalid(error.errors(include_url=False, include_input=False), in_body=True)


def in_query(error: ValidationError, name: str) -> Problem:
    """422 for what was found in a parameter of this name, or, of an object, in those that begin so."""
    found = error.errors(include_url=False, include_input=False)
    return _invalid([{**each, "loc": ("query", f"{name}{(*each['loc'], '')[0]}")} for each in found], in_body=False)


def _invalid(found: Sequence[Any], *, in_body: bool) -> Problem:
    """422. Unless `in_body`, locations begin with where they are: body, query, path, header, cookie."""
    places: list[FieldError] = []
    for error in found[:MAX_ERRORS]:
        code, sentence = SENTENCES.get(error["type"], UNSAID)
        said: FieldError = {"code": code, "detail": sentence.format(**error.get("ctx", {}))}
        where, *inside = ("body", *error["loc"]) if in_body else error["loc"]
        if where == "body":
            places.append({"pointer": pointer(inside), **said})
        else:
            places.append({"parameter": pointer(inside).removeprefix("/"), **said})
    return Problem(Code.INVALID_REQUEST, errors=places)
