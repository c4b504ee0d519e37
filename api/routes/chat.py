"""`/v1/chat/stream`: the plain chat form of submit and follow, in one request."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Final, Literal

from fastapi import Query, Request, Response

from api.access.gate import Principal
from api.dialects import Dialect
from api.dialects.chat import CHAT_FORM
from api.dialects.chat_text import CHAT_TEXT
from api.intake.body import read_json
from api.intake.negotiate import EVENT_STREAM, idempotency_key, negotiate
from api.intake.problems import Code, FieldError, Problem
from api.routes.accepting import accepted_from
from api.routes.asking import ABOUT_SUBMITTING, MESSAGES, SUBMITTED, CellsOf, Chunk, WhoSubmits, WhoViews, guarded
from api.routes.cells import Cells
from api.routes.following import follow_submitted, refuse_if_full
from api.routes.openapi import CHAT, described
from broker.errors import UnknownGeneration
from broker.request import ChatRequest, GenerationRequest
from broker.store.accepting import Submitted

_DIALECTS: Final[Mapping[str, Dialect]] = {"native": CHAT_FORM, "text": CHAT_TEXT}
_NO_KEY: Final[FieldError] = {
    "parameter": "Idempotency-Key", "code": "missing",
    "detail": "is required with Last-Event-ID: it says which generation is resumed",
}  # fmt: skip
_NOT_MADE: Final = (
    "This Idempotency-Key has made no generation that could be resumed. Without Last-Event-ID it makes one."
)

router = guarded()


@router.post(
    "/chat/stream",
    **described(
        {200: CHAT}, (*ABOUT_SUBMITTING, Code.NOT_FOUND, Code.ARCHIVE_UNAVAILABLE, Code.PAYLOAD_UNREADABLE), body=ChatRequest,
        scopes=("submit", "view"),
        takes=("Idempotency-Key", "Last-Event-ID"), sends={200: SUBMITTED},
        example={"model": "sim-1", "system": "Be brief.", "messages": MESSAGES},
    ),
)  # fmt: skip
async def chat(
    who: WhoSubmits,
    _: WhoViews,
    request: Request,
    cells: CellsOf,
    view: Annotated[Literal["native", "text"], Query(description="JSON events, or bare text.")] = "native",
    chunk: Chunk = "token",
) -> Response:
    """Submit and follow in one, for readers that append every `text` until `[DONE]`. With Last-Event-ID it goes on with what
    this Idempotency-Key has made, from behind that entry."""
    cells.refuse_if_crowded()
    negotiate(request.headers, (EVENT_STREAM,))
    key = idempotency_key(request.headers)
    cursor = ", ".join(request.headers.getlist("last-event-id"))
    if cursor and key is None:
        raise Problem(Code.INVALID_REQUEST, errors=[_NO_KEY])
    refuse_if_full(cells.admissions, who)
    asked = await read_json(request, partial(ChatRequest.generation, context=cells.bounds), cells.aside)
    if cursor and key is not None:
        accepted = await _made_before(cells, who, asked, key)
    else:
        accepted = await accepted_from(request, cells, who, asked, key)
    dialect = _DIALECTS[view]
    return await follow_submitted(
        request, cells.of(accepted.id), who, accepted, cursor=cursor, dialect=dialect, chunk=chunk, last=dialect.done
    )


async def _made_before(cells: Cells, who: Principal, asked: GenerationRequest, key: str) -> Submitted:
    """The generation that a chat is resumed of. Whoever has seen a part of it starts no second one."""
    try:
        return await cells.made_before(asked, key, who.owner)
    except UnknownGeneration:
        raise Problem(Code.NOT_FOUND, _NOT_MADE) from None
