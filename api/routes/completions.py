"""`/v1/chat/completions`: OpenAI's Chat Completions, as its SDK asks for them (docs/protocol.md, "OpenAI Chat Completions").

A completion is a generation, which goes on without its reader and is there to be resumed; its vendor's would end.
"""

from functools import partial
from typing import Any, Final, Literal

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from api.access.gate import Principal
from api.delivery.parts import Parts
from api.dialects.completion import completion, message
from api.dialects.completions import COMPLETIONS, COMPLETIONS_WITH_USAGE
from api.dialects.openai_words import cancelled, failed
from api.intake.asked.completions import asked
from api.intake.body import read_json
from api.intake.negotiate import EVENT_STREAM, JSON, idempotency_key, negotiate
from api.intake.problems import Code
from api.routes.accepting import Ended, accepted_or_resumed, cursor_of, naming
from api.routes.asking import (
    ABOUT_SUBMITTING,
    MESSAGES,
    NO_STORE,
    CellsOf,
    WhoSubmits,
    WhoViews,
    as_json,
    guarded,
    paces,
)
from api.routes.following import follow_submitted, refuse_if_full
from api.routes.openapi import Answer, Either, described
from api.routes.repeats import Asker, accepted_or_joined, ended_for
from api.routes.service import Service
from broker.failures import CANCELLED_STATUS
from broker.store.accepting import Submitted
from broker.vocabulary import Json

_FAILED_STATUS: Final = 500
_NOT_AGAIN: Final = {"x-should-retry": "false"}
"""The worker has repeated what may be repeated."""

router = guarded()


class ChatCompletion(TypedDict):
    """A completion as OpenAI's SDK has it."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[dict[str, object]]


class CompletionRequest(BaseModel):
    """The body of `POST /v1/chat/completions`, as OpenAI defines it. docs/protocol.md tells which fields may say what."""

    model_config = ConfigDict(extra="allow")

    model: str | None = None
    messages: list[dict[str, Any]]
    stream: bool | None = None


_CHUNKS: Final = Answer(
    "The chunks, and behind them `data: [DONE]`.", EVENT_STREAM,
    {"itemSchema": {"type": "object", "required": ["data"],
                    "properties": {name: {"type": "string"} for name in ("data", "id")}}},
)  # fmt: skip


@router.post(
    "/chat/completions",
    **described(
        {200: Either(ChatCompletion, _CHUNKS)},
        (*ABOUT_SUBMITTING, Code.NOT_FOUND, Code.ARCHIVE_UNAVAILABLE, Code.PAYLOAD_UNREADABLE, Code.NOT_ENDED_IN_TIME),
        scopes=("submit", "view"), body=CompletionRequest, takes=("Idempotency-Key", "Last-Event-ID"),
        sends={200: ("Respool-Generation", "RateLimit", "RateLimit-Policy")}, errors="OpenAIError",
        example={"model": "sim-1", "messages": MESSAGES},
    ),
)  # fmt: skip
async def complete(who: WhoSubmits, _: WhoViews, request: Request, cells: CellsOf) -> Response:
    """Accepts a generation, and answers with the completion when it has ended; with `stream`, with its chunks. With
    Last-Event-ID it goes on with what this Idempotency-Key has made, from behind that entry."""
    cells.refuse_if_crowded()
    negotiate(request.headers, (JSON, EVENT_STREAM))
    key = idempotency_key(request.headers)
    cursor = cursor_of(request.headers, key)
    said = await read_json(request, partial(asked, context=cells.bounds), cells.aside)
    refuse_if_full(cells.admissions, who)
    if key is None:
        accepted, asker = await accepted_or_joined(request, cells, who, said.request, None)
    else:
        accepted = await accepted_or_resumed(request, cells, who, said.request, key, cursor)
        asker = Asker(cells, accepted.id)
    service = cells.of(accepted.id)
    if not said.stream:
        return await _whole(request, service, who, accepted, asker)
    dialect = COMPLETIONS_WITH_USAGE if said.usage else COMPLETIONS
    return await follow_submitted(
        request, service, who, accepted, cursor=cursor, dialect=dialect, told=naming(accepted.id), last=dialect.done,
        detach=asker.detach,
    )  # fmt: skip


async def _whole(request: Request, service: Service, who: Principal, accepted: Submitted, asker: Asker) -> Response:
    ended = await ended_for(asker, request, service, who, message)
    if ended is None:
        return Response(status_code=204, headers=NO_STORE)  # to nobody
    headers = {**NO_STORE, **naming(accepted.id), **paces(service, who, accepted)}
    failure = _failure(ended)
    if failure is not None:
        status, body = failure
        return as_json(body, status, {**headers, **_NOT_AGAIN})
    return Parts(list(completion(ended.record, ended.pieces)), headers=headers, media_type=JSON)


def _failure(ended: Ended) -> tuple[int, Json] | None:
    """Status and error of what has not completed."""
    end = ended.record.end or {}
    match ended.record.state:
        case "failed":
            status = end.get("status")
            return (status if isinstance(status, int) else _FAILED_STATUS), failed(end)
        case "cancelled":
            return CANCELLED_STATUS, cancelled()
    return None
