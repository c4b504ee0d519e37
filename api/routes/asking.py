"""What routes ask of a request before they do anything: who asks, and whether that one may, which cell it is about; what their
answers share.

A route names its `Who…` first: who may not is told so, whatever it asked about."""

import math
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.convertors import Convertor, register_url_convertor

from api.access.gate import WHO, Principal, Scope
from api.dialects.chunks import Size
from api.intake.negotiate import JSON
from api.intake.problems import ABOUT_STORAGE, Code, Problem
from api.routes.cells import Cells
from api.routes.service import Service
from broker.ids import GENERATION_ID
from broker.store.accepting import Submitted

NO_STORE: Final = {"cache-control": "no-store"}
ABOUT_ONE: Final = (Code.NOT_FOUND, Code.EXPIRED, Code.ERASED, *ABOUT_STORAGE)
LIMITED: Final = (
    Code.RATE_LIMITED, Code.TOO_MANY_RUNNING, Code.TOO_MANY_QUEUED, Code.TOKEN_BUDGET_SPENT, Code.STORAGE_BUDGET_SPENT,
)  # fmt: skip
ABOUT_BODIES: Final = (
    Code.MALFORMED_JSON, Code.DUPLICATE_KEY, Code.NOT_UTF8, Code.UNSUPPORTED_JSON, Code.INCOMPLETE_BODY, Code.BODY_TIMEOUT,
    Code.BODY_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE, Code.INVALID_REQUEST,
)  # fmt: skip
ABOUT_SUBMITTING: Final = (
    *ABOUT_BODIES, Code.IDEMPOTENCY_KEY_INVALID, Code.IDEMPOTENCY_MISMATCH, Code.EXPIRED, Code.ERASED, Code.NOT_DURABLE,
    Code.NOT_ACCEPTABLE, *ABOUT_STORAGE, Code.STORAGE_FULL, Code.QUEUE_FULL,
    Code.UNSAFE_STORAGE, Code.STORAGE_MISMATCH, Code.OUTCOME_UNKNOWN,
    Code.ENCRYPTION_UNAVAILABLE, Code.DRAINING, Code.CROSS_SITE, Code.TOO_MANY_STREAMS, Code.MODEL_NOT_ALLOWED,
    Code.TOOL_NOT_ALLOWED, *LIMITED,
)  # fmt: skip
PACED: Final = ("RateLimit", "RateLimit-Policy")
KEPT: Final = ("Location", *PACED)
SUBMITTED: Final = ("Generation-Id", *KEPT)
"""Headers of what was accepted: as JSON, and as events."""
MESSAGES: Final = [{"role": "user", "content": "Tell me a story"}]


# Dependencies are coroutines, though they wait for nothing: FastAPI calls functions in a thread, which costs more than they do.


async def _cells(request: Request) -> Cells:
    cells: Cells = request.app.state.cells
    return cells


async def _service(request: Request) -> Service:
    """Of the cell that the id in the path names. Raises UnknownGeneration."""
    cells: Cells = request.app.state.cells
    return cells.of(request.path_params["id"])


async def who_asks(request: Request) -> Principal:
    """Whom the gate has let in. Raises Problem (401) where none was asked."""
    who = request.scope.get(WHO)
    if not isinstance(who, Principal):
        raise Problem(Code.UNAUTHENTICATED)
    return who


def _holding(scope: Scope) -> Callable[[Principal], Awaitable[Principal]]:
    async def who_may(who: Annotated[Principal, Depends(who_asks)]) -> Principal:
        who.refuse_without(scope)
        return who

    return who_may


async def _counted(request: Request, who: Annotated[Principal, Depends(who_asks)]) -> None:
    """Counts a request that asks Redis and is neither a submit, which is counted where it is accepted, nor an event stream.
    Raises LimitReached, StorageUnavailable."""
    cells: Cells = request.app.state.cells
    await cells.counting(request.path_params.get("id")).count(who.owner, who.key)


Chunk = Annotated[
    Size,
    Query(description="How much text an event has, if it does not wait for long: a token's, a word's or a sentence's."),
]
CellsOf = Annotated[Cells, Depends(_cells)]
ServiceOf = Annotated[Service, Depends(_service)]
WhoSubmits = Annotated[Principal, Depends(_holding("submit"))]
WhoViews = Annotated[Principal, Depends(_holding("view"))]
WhoCancels = Annotated[Principal, Depends(_holding("cancel"))]
WhoAdmins = Annotated[Principal, Depends(_holding("admin"))]
Counted = Annotated[None, Depends(_counted)]
Id = Annotated[str, Path(alias="id", json_schema_extra={"pattern": f"^{GENERATION_ID}$"})]
"""Of a path with `{id:generation}`: another word there is another path, and known to nobody."""


class _GenerationId(Convertor[str]):
    regex = GENERATION_ID

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("generation", _GenerationId())


def guarded(prefix: str = "/v1") -> APIRouter:
    """For routes of the API: none is answered whom the gate has not let in, whatever the route looks at."""
    return APIRouter(prefix=prefix, dependencies=[Depends(who_asks)])


def paces(service: Service, who: Principal, accepted: Submitted) -> dict[str, str]:
    """What is left of the requests of who has just submitted, as draft-ietf-httpapi-ratelimit-headers-10 tells it; empty where
    they are not limited."""
    pace, left = service.limiter.of(who.owner).rate, accepted.allowance
    if pace is None or left is None:
        return {}
    return {
        "ratelimit-policy": f'"requests";q={pace.burst};w={math.ceil(pace.window / 1_000_000)}',
        "ratelimit": f'"requests";r={left.left};t={-(-left.full_ms // 1000)}',
    }


def as_json(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, {**NO_STORE, **(headers or {})}, JSON)
