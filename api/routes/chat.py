"""`/v1/chat/stream`: the plain chat form of submit and follow, in one request."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Final, Literal

from fastapi import Query, Request, Response

from api.dialects import Dialect
from api.dialects.chat import CHAT_FORM
from api.dialects.chat_text import CHAT_TEXT
from api.intake.body import read_json
from api.intake.negotiate import EVENT_STREAM, idempotency_key, negotiate
from api.intake.problems import Code
from api.routes.accepting import accepted_or_resumed, cursor_of
from api.routes.asking import ABOUT_SUBMITTING, MESSAGES, SUBMITTED, CellsOf, Chunk, WhoSubmits, WhoViews, guarded
from api.routes.following import follow_submitted, refuse_if_full
from api.routes.openapi import CHAT, described
from broker.request import ChatRequest

_DIALECTS: Final[Mapping[str, Dialect]] = {"native": CHAT_FORM, "text": CHAT_TEXT}

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
    cursor = cursor_of(request.headers, key)
    refuse_if_full(cells.admissions, who)
    asked = await read_json(request, partial(ChatRequest.generation, context=cells.bounds), cells.aside)
    accepted = await accepted_or_resumed(request, cells, who, asked, key, cursor)
    dialect = _DIALECTS[view]
    return await follow_submitted(
        request, cells.of(accepted.id), who, accepted, cursor=cursor, dialect=dialect, chunk=chunk, last=dialect.done
    )
