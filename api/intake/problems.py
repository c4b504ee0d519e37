"""Every answer that is not a success, as RFC 9457 `application/problem+json`: one table of codes, one way out.

No answer carries a submitted value, an exception's text or a stack trace.
"""

import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
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

from broker import errors as broker
from broker.refusals import Away

logger = logging.getLogger("respool.problems")

MAX_ERRORS = 20  # enough to mend a body by hand; more would let a small body ask for a large answer
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table. `retry_after` is in seconds; None: the same request again would fare no better."""

    status: int
    title: str
    meaning: str
    retry_after: int | None = None


class Code(Enum):
    """The table. The name in lower case is the problem's `code`."""

    MALFORMED_JSON = Kind(400, "The body is not JSON", "It does not parse; NaN and Infinity are not JSON either.")
    DUPLICATE_KEY = Kind(400, "The body names a key twice", "An object, at any depth, has two members of one name.")
    NOT_UTF8 = Kind(400, "The body is not UTF-8", "Invalid UTF-8, another encoding, or a byte order mark.")
    UNSUPPORTED_JSON = Kind(
        400,
        "The body cannot be carried",
        "Nested too deep, too many brackets or commas, a number beyond 64 bits, or half of a surrogate pair.",
    )
    INCOMPLETE_BODY = Kind(400, "The body ended early", "The connection closed before the whole body had come.")
    MALFORMED_HEAD = Kind(
        400, "The request's head is not usable", "It is not HTTP/1.1, or two readers could read it differently."
    )
    IDEMPOTENCY_KEY_INVALID = Kind(
        400, "The Idempotency-Key is not usable", "It must be 1 to 255 visible ASCII characters, given once."
    )
    UNAUTHENTICATED = Kind(
        401, "Who asks is not known", "A request names its API key, once: in `Authorization: Bearer` or in `X-Api-Key`."
    )
    FORBIDDEN = Kind(403, "The key may not do this", "`scope` is what it would have to hold.")
    MODEL_NOT_ALLOWED = Kind(
        403, "The tenant may not use this model", "`errors` names the places; which models it may, its operator says."
    )
    TOOL_NOT_ALLOWED = Kind(
        403, "The tenant may not use this tool", "`errors` names the places; which tools it may, its operator says."
    )
    CROSS_SITE = Kind(403, "Not for pages of another origin", "A page of another origin may change nothing here.")
    NOT_FOUND = Kind(404, "Not found", "The path, or the generation's id, is not known.")
    METHOD_NOT_ALLOWED = Kind(405, "The method is not allowed here", "`Allow` names the methods that are.")
    NOT_ACCEPTABLE = Kind(406, "Nothing acceptable to send", "`offers` names the media types there are.")
    HEAD_TIMEOUT = Kind(408, "The head came too slowly", "A head must be whole 10 seconds after its first byte.", 1)
    BODY_TIMEOUT = Kind(408, "The body came too slowly", "The whole body must come within 30 seconds.", 1)
    NOT_DURABLE = Kind(
        422,
        "Strict durability is not to be had here",
        "The storage neither persists nor has a replica, or does not tell.",
    )
    ALREADY_ENDED = Kind(409, "The generation has already ended", "`state` says how; its end does not change.")
    KEY_HAS_ENDED = Kind(
        409, "The key is no longer live", "It has expired, was revoked, or another was made in its place already."
    )
    TOO_MANY_KEYS = Kind(
        409, "The tenant has too many keys", "A tenant has 20 live keys at most: one is revoked first."
    )
    NOT_ENDED = Kind(409, "The generation has not ended", "What is asked for is of its end.")
    NO_WEBHOOK = Kind(409, "The generation has no webhook", "It was submitted without one.")
    CANNOT_CONTINUE = Kind(
        409,
        "There is no text to go on from",
        "It runs yet, is complete, has no text, stopped inside anything but a text, or has more than 1 MiB of it.",
    )
    ERASED = Kind(410, "The generation was erased", "Somebody had it erased; its Idempotency-Key makes nothing either.")
    EXPIRED = Kind(410, "The generation has expired", "Its retention is over and its text is gone.")
    BODY_TOO_LARGE = Kind(413, "The body is too large", "A body has at most 1 MiB, chunked or not.")
    UNSUPPORTED_MEDIA_TYPE = Kind(
        415, "The media type is not supported", "Send `application/json`, in UTF-8 and not compressed."
    )
    HOST_NOT_ALLOWED = Kind(
        421, "The host is not one of this server", "`Host` must be one that it is told to answer for."
    )
    INVALID_REQUEST = Kind(422, "The request is not valid", "`errors` names the places and what is wrong there.")
    IDEMPOTENCY_MISMATCH = Kind(
        422, "The Idempotency-Key came with another body before", "A key belongs to the first body it came with."
    )
    TOO_MANY_PIPELINED = Kind(429, "Too many requests wait", "On one connection 8 may wait behind the one before.", 1)
    RATE_LIMITED = Kind(
        429, "Too many requests", "More requests came with this key than may; `Retry-After` says when the next may.", 1
    )
    TOO_MANY_RUNNING = Kind(
        429, "Too many generations at once", "As many generations of this tenant run as may, and none is to wait.", 2
    )
    TOO_MANY_QUEUED = Kind(429, "Too many generations wait", "As many generations of this tenant wait as may.", 2)
    TOKEN_BUDGET_SPENT = Kind(
        429,
        "The day's tokens are spent",
        "With what it may cost, this tenant would pass its tokens of the day, which ends at midnight, UTC.",
        60,
    )
    STORAGE_BUDGET_SPENT = Kind(
        429,
        "There is no room left",
        "This tenant has as much stored as may be: what expires or is erased makes room.",
        60,
    )
    TOO_MANY_STREAMS = Kind(
        429,
        "Too many streams are open",
        "`limit` has as many as it may in this process: the `key`, the `generation` or the `address`.",
        5,
    )
    HEAD_TOO_LARGE = Kind(
        431, "The head is too large", "Request line, headers and trailers have at most 32 KiB and 100 lines together."
    )
    HTTP_ERROR = Kind(400, "The request was refused", "Any other refusal: the status says which.")
    INTERNAL_ERROR = Kind(500, "Something went wrong here", "`instance` finds it in the server's log.")
    REDIS_UNAVAILABLE = Kind(503, "The storage does not answer", "The same request may be sent again.", 1)
    TOO_BUSY = Kind(503, "Too many requests at once", "So many wait for the storage that this one had no turn.", 1)
    QUEUE_FULL = Kind(503, "Too many generations wait", "As many generations wait for a worker as may.", 30)
    STORAGE_FULL = Kind(503, "The storage is full", "Nothing new is accepted until there is room.", 10)
    STORAGE_LOADING = Kind(503, "The storage is starting", "Redis reads its file.", 1)
    STORAGE_BUSY = Kind(503, "The storage is busy", "Redis runs a script that does not end.", 1)
    STORAGE_READ_ONLY = Kind(503, "The storage takes no writes", "This Redis is a replica: a failover is under way.", 1)
    STORAGE_DISK = Kind(
        503, "The storage cannot write its file", "Redis' disk is full or failing: an operator's work.", 10
    )
    STORAGE_REPLICAS = Kind(
        503, "The storage lacks replicas", "Redis has fewer replicas than it must have to take writes.", 5
    )
    STORAGE_CLUSTER = Kind(
        503, "The storage's cluster is not whole", "A part of it is down, or on its way to another node.", 1
    )
    STORAGE_FORBIDDEN = Kind(503, "The storage refuses us", "Redis' user lacks a permission: an operator's work.", 30)
    ARCHIVE_UNAVAILABLE = Kind(
        503, "The archive does not answer", "The text was moved to the archive, which has it not or does not answer.", 5
    )
    PAYLOAD_UNREADABLE = Kind(
        503,
        "The text is sealed",
        "This server lacks the key that it is sealed with, or its key service does not answer.",
        30,
    )
    ENCRYPTION_UNAVAILABLE = Kind(
        503, "Nothing can be sealed", "The keys or the key service are not as they must be: an operator's work.", 30
    )
    UNSAFE_STORAGE = Kind(503, "The storage is not safe", "Its settings could lose data: an operator's work.", 30)
    STORAGE_MISMATCH = Kind(
        503, "The storage is not one", "API and workers keep logs on different servers: an operator's work.", 30
    )
    OUTCOME_UNKNOWN = Kind(
        503,
        "The request may have been accepted, or not",
        "If it was, `generation` is its id. Sent again with the same Idempotency-Key, it is accepted once.",
        1,
    )
    AUDIT_UNAVAILABLE = Kind(
        503, "The audit log cannot be written", "Nothing is done here that could not be noted: an operator's work.", 5
    )
    TOO_MANY_CONNECTIONS = Kind(
        503, "There are too many connections", "Only health checks are answered on new ones.", 1
    )
    DRAINING = Kind(503, "This process is shutting down", "Another one answers.", 1)


_AWAY: Mapping[Away, Code] = {
    "unreachable": Code.REDIS_UNAVAILABLE,
    "silent": Code.REDIS_UNAVAILABLE,
    "LOADING": Code.STORAGE_LOADING,
    "BUSY": Code.STORAGE_BUSY,
    "READONLY": Code.STORAGE_READ_ONLY,
    "MASTERDOWN": Code.STORAGE_READ_ONLY,
    "MISCONF": Code.STORAGE_DISK,
    "NOREPLICAS": Code.STORAGE_REPLICAS,
    "CLUSTERDOWN": Code.STORAGE_CLUSTER,
    "TRYAGAIN": Code.STORAGE_CLUSTER,
    "MOVED": Code.STORAGE_CLUSTER,
    "ASK": Code.STORAGE_CLUSTER,
    "UNBLOCKED": Code.STORAGE_READ_ONLY,
    "crowded": Code.TOO_BUSY,
}
ABOUT_STORAGE = tuple(dict.fromkeys((*_AWAY.values(), Code.STORAGE_FORBIDDEN)))
"""What any request that needs Redis may be answered with."""


def table() -> str:
    """The table in Markdown, for the docs."""
    rows = (f"| `{code.name.lower()}` | {code.value.status} | {code.value.meaning} |\n" for code in Code)
    return "| code | status | meaning |\n|---|---|---|\n" + "".join(rows)


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


def install(app: FastAPI, told: Callable[[Request, Problem], object] | None = None) -> None:
    """Make a problem document of every exception that leaves a route, and of every unknown path or method. `told` is called
    with each."""
    answers: tuple[tuple[type[Exception], Callable[[Request, Any], Problem]], ...] = (
        (Problem, lambda _, problem: problem),
        (broker.BrokerError, lambda _, error: from_broker_error(error)),
        (ValidationError, lambda _, error: from_validation_error(error)),
        (RequestValidationError, lambda _, error: _invalid(error.errors(), in_body=False)),
        (HTTPException, from_http_exception),
        (Exception, lambda _, error: from_unexpected(error)),
    )
    for error_type, problem_of in answers:
        app.add_exception_handler(error_type, _handler(problem_of, told))


def _handler(
    problem_of: Callable[[Request, Any], Problem], told: Callable[[Request, Problem], object] | None
) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(request: Request, error: Exception) -> Response:
        problem = problem_of(request, error)
        if told is not None:
            told(request, problem)
        return problem.response()

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
            return Problem(_AWAY[error.why])
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
