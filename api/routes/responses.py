"""`/v1/responses`: OpenAI's Responses API, as its SDK asks for it (docs/protocol.md, "OpenAI's Responses"). A response is a
generation under another name, so either may be followed, read or cancelled by the other's routes.

Who goes away ends nothing, in the background or not: the response is there to be resumed.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict
from starlette.convertors import Convertor, register_url_convertor
from typing_extensions import TypedDict

from api.access.gate import Principal
from api.delivery.parts import Parts
from api.dialects import UNKNOWN
from api.dialects.responses.fold import Responses
from api.dialects.responses.head import Head, end_of, generation_id, response_id
from api.dialects.responses.output import Output
from api.intake.asked.reading import Given, Json
from api.intake.asked.responses import Asked, going_on, made, read
from api.intake.body import read_json
from api.intake.negotiate import EVENT_STREAM, JSON, idempotency_key
from api.intake.problems import Code, FieldError, Problem
from api.routes.accepting import has_waited, naming
from api.routes.asking import (
    ABOUT_ONE,
    ABOUT_SUBMITTING,
    NO_STORE,
    CellsOf,
    Counted,
    ServiceOf,
    WhoCancels,
    WhoSubmits,
    WhoViews,
    as_json,
    guarded,
)
from api.routes.auditing import journal_of
from api.routes.cancelling import cancel_for
from api.routes.cells import Cells
from api.routes.erasing import note_erasure
from api.routes.following import encoded, follow, follow_submitted, refuse_if_full
from api.routes.openapi import Answer, Either, described
from api.routes.repeats import Asker, accepted_or_joined, ended_for
from api.routes.service import Service
from broker.errors import ErasedGeneration, ExpiredGeneration, UnknownGeneration
from broker.ids import BEGINNING
from broker.record import Record
from broker.request import GenerationRequest, StoredRequest, UnreadableRequest
from broker.store.accepting import Submitted
from broker.transcript import Transcript

_ERRORS: Final = "OpenAIError"
_NAMED: Final = ("Respool-Generation", "RateLimit", "RateLimit-Policy")
_READING: Final = (
    *ABOUT_ONE, Code.ARCHIVE_UNAVAILABLE, Code.PAYLOAD_UNREADABLE, Code.INVALID_REQUEST, Code.TOO_MANY_STREAMS,
    Code.RATE_LIMITED,
)  # fmt: skip
_NO_SUCH_EVENT: Final[FieldError] = {
    "parameter": "starting_after", "code": "out_of_range", "detail": "is the number of no event of this response",
}  # fmt: skip
_CANCEL_SECONDS: Final = 2.0
_RESPONSE_ID: Final = "resp_[0-7C][0-9A-HJKMNP-TV-Z]{25}"

router = guarded()


# -- what the document says


class ResponseObject(TypedDict):
    """A response as OpenAI's SDK has it, with what was asked for left out: `tools` is empty, `instructions` are null."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["queued", "in_progress", "completed", "incomplete", "cancelled", "failed"]
    model: str
    output: list[dict[str, object]]
    metadata: dict[str, str]
    usage: dict[str, object] | None
    error: dict[str, object] | None
    incomplete_details: dict[str, str] | None


class DeletedResponse(TypedDict):
    """That a response was erased."""

    id: str
    object: Literal["response"]
    deleted: Literal[True]


class ResponsesRequest(BaseModel):
    """The body of `POST /v1/responses`, as OpenAI defines it. docs/protocol.md tells which fields may say what."""

    model_config = ConfigDict(extra="allow")

    model: str | None = None
    input: str | list[dict[str, Any]]
    stream: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None


_STREAM: Final = Answer(
    "The events, numbered.", EVENT_STREAM,
    {"itemSchema": {"type": "object", "required": ["event", "data"],
                    "properties": {name: {"type": "string"} for name in ("event", "data", "id")}}},
)  # fmt: skip
_ONE: Final = Either(ResponseObject, _STREAM)


class _ResponseId(Convertor[str]):
    """The id of a response in a path is its generation's to all who look at it."""

    regex = _RESPONSE_ID

    def convert(self, value: str) -> str:
        return generation_id(value)

    def to_string(self, value: str) -> str:
        return response_id(value)


register_url_convertor("response", _ResponseId())
Id = Annotated[str, Path(alias="id", json_schema_extra={"pattern": f"^{_RESPONSE_ID}$"})]


# -- asking for one


@router.post(
    "/responses",
    **described(
        {200: _ONE}, (*ABOUT_SUBMITTING, *ABOUT_ONE, Code.ARCHIVE_UNAVAILABLE, Code.PAYLOAD_UNREADABLE, Code.NOT_ENDED_IN_TIME),
        scopes=("submit", "view"), body=ResponsesRequest, takes=("Idempotency-Key",), sends={200: _NAMED}, errors=_ERRORS,
        example={"model": "sim-1", "input": "Tell me a story"},
    ),
)  # fmt: skip
async def create(who: WhoSubmits, _: WhoViews, request: Request, cells: CellsOf) -> Response:
    """Accepts a request, and answers with the response when it has ended; with `background`, at once; with `stream`, with its
    events."""
    cells.refuse_if_crowded()
    key = idempotency_key(request.headers)
    asked, background, generation = await read_json(request, partial(_read, context=cells.bounds), cells.aside)
    if asked.previous is not None:
        generation = await _going_on(cells, who, asked, asked.previous)
    assert generation is not None
    if asked.stream:
        refuse_if_full(cells.admissions, who)
    accepted, asker = await accepted_or_joined(request, cells, who, generation, key)
    service = cells.of(accepted.id)
    if asked.stream or background:
        return await _begun(request, service, who, accepted, asker, stream=asked.stream)
    ended = await ended_for(asker, request, service, who, Output(accepted.id))
    if ended is None:
        return Response(status_code=204, headers=NO_STORE)  # to nobody
    return _whole(ended.record, ended.pieces)


def _read(body: Json, context: Mapping[str, object]) -> tuple[Asked, bool, GenerationRequest | None]:
    """What was asked for, whether in the background, and the request; None where that goes on from another one."""
    asked = read(body)
    return asked, bool(body.get("background")), made(asked.fields, context) if asked.previous is None else None


async def _begun(
    request: Request, service: Service, who: Principal, accepted: Submitted, asker: Asker, *, stream: bool
) -> Response:  # fmt: skip
    record = accepted.record or service.shown(await service.logs.record(accepted.id))
    dialect = Responses(_head(record))
    if stream:
        told, before = naming(accepted.id), dialect.created(None)
        return await follow_submitted(
            request, service, who, accepted, dialect=dialect, told=told, before=before, detach=asker.detach
        )
    _, told_so_far = await service.whole(accepted.id, who, Output(accepted.id))
    return _whole(record, told_so_far.pieces)


async def _going_on(cells: Cells, who: Principal, asked: Asked, previous: Given) -> GenerationRequest:
    """The request with what was said before. Raises Problem (422) if there is no such response for who asks, or not yet."""
    id_ = generation_id(previous.text())
    try:
        service = cells.of(id_)
        record, told = await service.whole(id_, who, _content)
        if not record.ended or (record.end or {}).get("withdrawn"):
            raise previous.refused("not_ended", "must have an end, and what was said must not be withdrawn")
        earlier = StoredRequest.from_bytes(await service.logs.request(id_))
    except (UnknownGeneration, ExpiredGeneration, ErasedGeneration):
        raise previous.refused("not_found", "names no response that is there") from None
    except UnreadableRequest:
        raise previous.refused("not_readable", "names a response whose request cannot be read any more") from None
    content: list[Json] = orjson.loads(b"".join(told.pieces))
    return await cells.aside.run(lambda: made(going_on(asked, earlier, content), cells.bounds))


def _content(transcript: Transcript) -> list[bytes]:
    """A form of transcripts: the blocks, as JSON."""
    return [orjson.dumps(transcript.content)]


# -- one that there is


@router.get(
    "/responses/{id:response}",
    **described({200: _ONE, 204: None}, _READING, scopes=("view",), sends={200: _NAMED[:1]}, errors=_ERRORS),
)
async def retrieve(
    who: WhoViews,
    _: Counted,
    request: Request,
    service: ServiceOf,
    id_: Id,
    stream: Annotated[bool, Query(description="Its events, instead of what it is by now.")] = False,
    starting_after: Annotated[
        int | None, Query(ge=0, le=1 << 40, description="Events behind the one of this number.")
    ] = None,
) -> Response:
    """The response as it is, or with `stream` its events: all of them, or those behind one of them."""
    if not stream:
        record, told = await service.whole(id_, who, Output(id_))
        journal_of(request).note("view", who, id_)
        return _whole(record, told.pieces)
    record = await service.safe_record(id_, who)
    dialect = Responses(_head(record))
    cursor, before, state = None, dialect.created(starting_after), UNKNOWN
    if starting_after is not None and not (record.end or {}).get("withdrawn"):
        placed = await service.hub.pages.numbered(id_, dialect, starting_after + 1)
        if placed is None:
            raise Problem(Code.INVALID_REQUEST, errors=[_NO_SUCH_EVENT])
        before += placed.rest
        cursor, state = str(placed.cursor) if placed.cursor != BEGINNING else None, placed.state
    return await follow(
        request, service, who, id_, cursor, dialect=dialect, headers=encoded(naming(id_)), before=before, state=state
    )


@router.post(
    "/responses/{id:response}/cancel",
    **described(
        {200: ResponseObject}, (*_READING, Code.ALREADY_ENDED, Code.CROSS_SITE),
        scopes=("cancel", "view"), sends={200: _NAMED[:1]}, errors=_ERRORS,
    ),
)  # fmt: skip
async def cancel(
    who: WhoCancels, _: WhoViews, __: Counted, request: Request, service: ServiceOf, id_: Id
) -> Response:  # fmt: skip
    """Asks for the end, and waits for it for a moment: one whose worker is silent may be `in_progress` yet in this answer."""
    _record, ended = await cancel_for(service, journal_of(request), who, id_)
    if not ended:
        await _has_waited_a_moment(request, service, who, id_)
    record, told = await service.whole(id_, who, Output(id_))
    return _whole(record, told.pieces)


async def _has_waited_a_moment(request: Request, service: Service, who: Principal, id_: str) -> None:
    """Waits for the end, unless who asks has as many streams as it may. Raises as `has_waited`."""
    try:
        await has_waited(request, service, who, id_, _CANCEL_SECONDS)
    except Problem as refused:
        if refused.code != Code.TOO_MANY_STREAMS.name.lower():
            raise


@router.delete(
    "/responses/{id:response}",
    **described(
        {200: DeletedResponse}, (*ABOUT_ONE, Code.CROSS_SITE, Code.ENCRYPTION_UNAVAILABLE), scopes=("cancel",), errors=_ERRORS
    ),
)  # fmt: skip
async def delete(who: WhoCancels, request: Request, service: ServiceOf, id_: Id) -> Response:
    """Erases the response: it is cancelled, and nothing of it can be read any more."""
    await service.refuse_unless_there(id_, who)
    receipt = await service.erasing.erase(id_)
    note_erasure(journal_of(request), who, receipt)
    return as_json(DeletedResponse(id=response_id(id_), object="response", deleted=True))


# -- as objects


def _head(record: Record) -> Head:
    return Head.of(record.id, record.model, record.created_ms, record.tags.labels)


def _whole(record: Record, output: tuple[bytes, ...]) -> Response:
    head = _head(record)
    if record.end is not None:
        end = end_of(record.end)
        first = head.up_to_output(end.status, **end.more)
    else:
        first = head.up_to_output("queued" if record.state == "queued" else "in_progress")
    headers = {**NO_STORE, **naming(record.id)}
    return Parts([first, *output, b"}"], headers=headers, media_type=JSON)
