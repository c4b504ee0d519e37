"""`/api/chat`: the AI SDK's chat, as its transports ask for it (docs/protocol.md, "The AI SDK's chat").

A chat is known by the name that its client gave it, and is its last generation; a generation is known by its own id, too. Who
goes away ends nothing: what is stopped is stopped by `/stop`.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final

from fastapi import Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from api.access.gate import Principal
from api.dialects.ui import FINISH, UI
from api.intake.asked.ui import read
from api.intake.body import read_json
from api.intake.negotiate import EVENT_STREAM, EVENT_STREAM_HEADERS, JSON, idempotency_key, negotiate
from api.intake.problems import Code
from api.routes.accepting import naming
from api.routes.asking import (
    ABOUT_ONE,
    ABOUT_SUBMITTING,
    NO_STORE,
    CellsOf,
    Counted,
    WhoCancels,
    WhoSubmits,
    WhoViews,
    as_json,
    guarded,
)
from api.routes.auditing import journal_of
from api.routes.cancelling import cancel_for
from api.routes.chats import accepted_chat, generation_of, is_over, last_of
from api.routes.following import encoded, follow, follow_submitted, refuse_if_full
from api.routes.openapi import Answer, Nothing, described
from api.routes.service import Service
from broker.errors import AlreadyEnded, ExpiredGeneration, UnknownGeneration
from broker.ids import BEGINNING
from broker.record import TERMINAL, State
from broker.replies import Visit
from broker.store.names import LONGEST_NAME

_MEDIA_TYPES: Final = (JSON, "text/plain")
"""WorkflowChatTransport does not say what it sends."""
_ERRORS: Final = "UIError"
_HEADERS: Final = ("Respool-Generation", "X-Workflow-Run-Id", "X-Vercel-Ai-Ui-Message-Stream")
_STREAM: Final = Answer(
    "The chunks, and behind them `data: [DONE]`.", EVENT_STREAM,
    {"itemSchema": {"type": "object", "required": ["data"],
                    "properties": {name: {"type": "string"} for name in ("data", "id")}}},
    ("X-Accel-Buffering",),
)  # fmt: skip
_MOST_CHUNKS: Final = 1 << 40

router = guarded("/api")


class UIChatRequest(BaseModel):
    """What a transport of the AI SDK sends: `messages` are its UIMessages. Other fields are a GenerationRequest's."""

    model_config = ConfigDict(extra="allow")

    id: str | None = None
    messages: list[dict[str, Any]]
    trigger: str | None = None
    messageId: str | None = None  # noqa: N815  # as they spell it
    model: str | None = None


class StoppedChat(TypedDict):
    """What was stopped. Its worker may not have ended it yet."""

    generation: str
    state: State


Id = Annotated[str, Path(alias="id", max_length=LONGEST_NAME, description="The chat's id, or a generation's.")]


@router.post(
    "/chat",
    **described(
        {200: _STREAM}, (*ABOUT_SUBMITTING, *ABOUT_ONE, Code.ARCHIVE_UNAVAILABLE, Code.PAYLOAD_UNREADABLE),
        scopes=("submit", "view"), body=UIChatRequest, takes=("Idempotency-Key",),
        sends={200: (*_HEADERS, "RateLimit", "RateLimit-Policy")}, errors=_ERRORS,
        example={
            "id": "my-chat", "model": "sim-1",
            "messages": [{"id": "m-1", "role": "user", "parts": [{"type": "text", "text": "Tell me a story"}]}],
        },
    ),
)  # fmt: skip
async def send(who: WhoSubmits, _: WhoViews, request: Request, cells: CellsOf) -> Response:
    """Accepts what a chat's messages ask for, and answers with its chunks."""
    cells.refuse_if_crowded()
    negotiate(request.headers, (EVENT_STREAM,))
    key = idempotency_key(request.headers)
    refuse_if_full(cells.admissions, who)
    asked = await read_json(request, partial(read, context=cells.bounds), cells.aside, _MEDIA_TYPES)
    accepted = await accepted_chat(request, cells, who, asked, key)
    return await follow_submitted(
        request, cells.of(accepted.id), who, accepted, dialect=UI, last=UI.done, told=_told(accepted.id)
    )  # fmt: skip


@router.get(
    "/chat/{id}/stream",
    **described(
        {200: _STREAM, 204: Nothing("There is nothing to resume.")},
        (*ABOUT_ONE, Code.ARCHIVE_UNAVAILABLE, Code.PAYLOAD_UNREADABLE, Code.NOT_ACCEPTABLE, Code.INVALID_REQUEST),
        scopes=("view",), sends={200: (*_HEADERS, "X-Workflow-Stream-Tail-Index")}, errors=_ERRORS,
    ),
)  # fmt: skip
async def resume(
    who: WhoViews,
    request: Request,
    cells: CellsOf,
    id_: Id,
    start_index: Annotated[
        int | None,
        Query(
            alias="startIndex", ge=-_MOST_CHUNKS, le=_MOST_CHUNKS,
            description="The number of the first chunk; from the last one back, if it is negative.",
        ),
    ] = None,
) -> Response:  # fmt: skip
    """What a chat's last generation has said so far, in few chunks, and what it says from now on. With `startIndex`, every
    chunk as it was said, from that one on."""
    negotiate(request.headers, (EVENT_STREAM,))
    found = await last_of(cells, who, id_)
    if found is None:
        return _nothing()
    generation, visit = found
    service = cells.of(generation)
    if start_index is not None:
        return await _from_chunk(request, service, who, generation, visit, start_index)
    if is_over(visit):
        return _nothing()
    return await follow(
        request, service, who, generation, None,
        dialect=UI, snapshot=True, headers=encoded(_told(generation)), last=UI.done,
    )  # fmt: skip


@router.post(
    "/chat/{id}/stop",
    **described(
        {200: StoppedChat, 204: Nothing("There is nothing to stop.")},
        (*ABOUT_ONE, Code.NOT_ACCEPTABLE, Code.INVALID_REQUEST, Code.CROSS_SITE, Code.RATE_LIMITED),
        scopes=("cancel",), errors=_ERRORS,
    ),
)  # fmt: skip
async def stop(who: WhoCancels, _: Counted, request: Request, cells: CellsOf, id_: Id) -> Response:
    """Asks for the end of a chat's last generation: its streams end with `abort`. What has ended stays as it is."""
    negotiate(request.headers, (JSON,))
    generation = await generation_of(cells, who, id_)
    if generation is None:
        return _nothing()
    service = cells.of(generation)
    try:
        record, _cancelled = await cancel_for(service, journal_of(request), who, generation)
    except AlreadyEnded:
        record = await service.safe_record(generation, who)
    except (UnknownGeneration, ExpiredGeneration):
        if generation == id_:
            raise
        return _nothing()
    return as_json(StoppedChat(generation=generation, state=record.state))


async def _from_chunk(
    request: Request, service: Service, who: Principal, id_: str, visit: Visit, start: int
) -> Response:
    """The chunks from this one on. Who has all of what has ended gets a `finish`, for which some clients wait, and an error
    before it, if what it has is not what there is."""
    headers = encoded(_told(id_))
    if start < 0:
        total = await service.hub.pages.total(id_, UI)
        start = max(0, total + start)
        headers += encoded({"x-workflow-stream-tail-index": str(total - 1)})
    placed = None if visit.withdrawn and start else await service.hub.pages.numbered(id_, UI, start)
    if placed is None:
        return _at_once(UI.gap("rewound") + FINISH, headers)
    cursor = None if placed.cursor == BEGINNING else str(placed.cursor)
    before = placed.rest
    if visit.state in TERMINAL and placed.cursor == visit.terminal_id and not before:
        before = FINISH
    return await follow(
        request, service, who, id_, cursor, dialect=UI, headers=headers, before=before, last=UI.done
    )  # fmt: skip


def _told(id_: str) -> Mapping[str, str]:
    """The headers of a stream, in lower case. Never `Location`: a transport follows that and reads no body."""
    return {**naming(id_), "x-workflow-run-id": id_, "x-vercel-ai-ui-message-stream": "v1"}


def _nothing() -> Response:
    return Response(status_code=204, headers=NO_STORE)


def _at_once(body: bytes, headers: list[tuple[bytes, bytes]]) -> Response:
    """A stream of this and no more."""
    whole = UI.keep_alive + body + UI.done
    response = Response(whole)
    response.raw_headers = [*EVENT_STREAM_HEADERS, *headers, (b"content-length", b"%d" % len(whole))]
    return response
