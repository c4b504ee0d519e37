"""`/v1/generations`: submit, read, list, follow, cancel; and `/v1/chat/stream`, the plain chat form of submit and follow."""

import asyncio
import re
from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Annotated, Final, Literal

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api.access.gate import Policy, Principal
from api.delivery.asgi import EventStream, framing_of
from api.delivery.parts import Parts
from api.dialects import Dialect
from api.dialects.chat import CHAT_FORM
from api.dialects.chat_text import CHAT_TEXT
from api.dialects.chunks import Size, in_chunks
from api.dialects.native import NATIVE
from api.dialects.text import TEXT_VIEW
from api.intake.body import read_json
from api.intake.filters import tags_asked_for
from api.intake.negotiate import EVENT_STREAM, EVENT_STREAM_HEADERS, JSON, idempotency_key, negotiate
from api.intake.problems import ABOUT_STORAGE, Code, FieldError, Problem
from api.routes import views
from api.routes.cells import Cells
from api.routes.merging import Part, Place
from api.routes.openapi import CHAT, STREAM, VIEWS, described
from api.routes.service import Service
from api.viewing.rendition import View
from api.viewing.waiting import LONGEST_SECONDS, wait_for_end
from broker.errors import AlreadyEnded, ArchiveUnavailable, StorageUnavailable, UnknownGeneration
from broker.ids import BEGINNING, GENERATION_ID, EntryId, is_generation_id
from broker.record import TERMINAL, Record, State
from broker.replies import Visit
from broker.request import ChatRequest, GenerationRequest
from broker.store.accepting import Submitted

_NO_STORE = {"cache-control": "no-store"}
_VISIT_SECONDS = 6.0
"""How long a viewer that arrives waits for Redis before it is sent away: so long that one dead connection is got over."""
ABOUT_ONE = (Code.NOT_FOUND, Code.EXPIRED, *ABOUT_STORAGE)
ABOUT_BODIES = (
    Code.MALFORMED_JSON, Code.DUPLICATE_KEY, Code.NOT_UTF8, Code.UNSUPPORTED_JSON, Code.INCOMPLETE_BODY, Code.BODY_TIMEOUT,
    Code.BODY_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE, Code.INVALID_REQUEST,
)  # fmt: skip
ABOUT_SUBMITTING = (
    *ABOUT_BODIES, Code.IDEMPOTENCY_KEY_INVALID, Code.IDEMPOTENCY_MISMATCH, Code.EXPIRED, Code.NOT_DURABLE,
    Code.NOT_ACCEPTABLE, *ABOUT_STORAGE, Code.STORAGE_FULL, Code.UNSAFE_STORAGE, Code.STORAGE_MISMATCH, Code.OUTCOME_UNKNOWN,
    Code.DRAINING, Code.CROSS_SITE,
)  # fmt: skip
SUBMITTED = ("Location", "Generation-Id")
_MESSAGES = [{"role": "user", "content": "Tell me a story"}]
_DIALECTS: Final[Mapping[str, Dialect]] = {"native": NATIVE, "text": TEXT_VIEW}
_CHAT_DIALECTS: Final[Mapping[str, Dialect]] = {"native": CHAT_FORM, "text": CHAT_TEXT}
_NO_KEY: Final[FieldError] = {
    "parameter": "Idempotency-Key", "code": "missing",
    "detail": "is required with Last-Event-ID: it says which generation is resumed",
}  # fmt: skip
_NOT_MADE: Final = (
    "This Idempotency-Key has made no generation that could be resumed. Without Last-Event-ID it makes one."
)
_LIST_CURSOR = re.compile(r"([0-9]{1,16})\.(gen_[0-9A-Z]{26})", re.ASCII)


# Dependencies are coroutines, though they wait for nothing: FastAPI calls functions in a thread, which costs more than they do.


async def _cells(request: Request) -> Cells:
    cells: Cells = request.app.state.cells
    return cells


async def _service(request: Request) -> Service:
    """Of the cell that the id in the path names. Raises UnknownGeneration."""
    cells: Cells = request.app.state.cells
    return cells.of(request.path_params["id"])


async def who_asks(request: Request) -> Principal:
    """Raises Problem, as the policy says."""
    policy: Policy = request.app.state.policy
    query: bytes = request.scope["query_string"]
    target = request.scope["raw_path"] + (b"?" + query if query else b"")
    who = policy.authenticate(target, request.scope["headers"])
    if isinstance(who, Code):
        raise Problem(who)
    return who


async def _known_shape(
    id_: Annotated[str, Path(alias="id", json_schema_extra={"pattern": f"^{GENERATION_ID}$"})],
) -> str:
    if not is_generation_id(id_):
        raise UnknownGeneration
    return id_


Chunk = Annotated[
    Size, Query(description="How much text an event has, if it does not wait for long: a token's, a word's.")
]
CellsOf = Annotated[Cells, Depends(_cells)]
ServiceOf = Annotated[Service, Depends(_service)]
Who = Annotated[Principal, Depends(who_asks)]
Id = Annotated[str, Depends(_known_shape)]

router = APIRouter(prefix="/v1", dependencies=[Depends(who_asks)])
"""The gate is asked before each of its routes, whatever that route looks at."""


def as_json(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, {**_NO_STORE, **(headers or {})}, JSON)


# -- submit


@router.post(
    "/generations",
    **described(
        {202: views.Summary, 200: STREAM}, ABOUT_SUBMITTING, body=GenerationRequest, takes=("Idempotency-Key",),
        sends={202: ("Location",), 200: SUBMITTED}, example={"model": "sim-1", "messages": _MESSAGES},
    ),
)  # fmt: skip
async def submit(request: Request, cells: CellsOf, who: Who) -> Response:
    """Accepts a generation. 202 with its record; with `Accept: text/event-stream`, its events."""
    cells.refuse_if_crowded()
    form = negotiate(request.headers, (JSON, EVENT_STREAM))
    key = idempotency_key(request.headers)
    make = partial(GenerationRequest.model_validate, context=cells.bounds)
    asked = await read_json(request, make, cells.aside)
    return await answered(request, cells, who, asked, key, form)


async def answered(
    request: Request, cells: Cells, who: Principal, asked: GenerationRequest, key: str | None, form: str
) -> Response:
    """What a submit is answered with, in the form that was asked for: its record, or its events."""
    cells.refuse_unless_accepting()
    accepted = await cells.accept(asked, key, who.owner)
    id_ = accepted.id
    service = cells.of(id_)
    location = f"/v1/generations/{id_}"
    if form == EVENT_STREAM:
        return await _follow_submitted(request, service, who, accepted)
    record = accepted.record or service.shown(await service.logs.record(id_))
    return as_json(views.summary(record), 202, {"location": location})


@router.post(
    "/chat/stream",
    **described(
        {200: CHAT}, (*ABOUT_SUBMITTING, Code.NOT_FOUND, Code.ARCHIVE_UNAVAILABLE), body=ChatRequest,
        takes=("Idempotency-Key", "Last-Event-ID"), sends={200: SUBMITTED},
        example={"model": "sim-1", "system": "Be brief.", "messages": _MESSAGES},
    ),
)  # fmt: skip
async def chat(
    request: Request,
    cells: CellsOf,
    who: Who,
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
    asked = await read_json(request, partial(ChatRequest.generation, context=cells.bounds), cells.aside)
    if cursor and key is not None:
        accepted = await _made_before(cells, who, asked, key)
    else:
        cells.refuse_unless_accepting()
        accepted = await cells.accept(asked, key, who.owner)
    dialect = in_chunks(_CHAT_DIALECTS[view], chunk)
    return await _follow_submitted(
        request, cells.of(accepted.id), who, accepted, cursor=cursor, dialect=dialect, last=dialect.done
    )


async def _made_before(cells: Cells, who: Principal, asked: GenerationRequest, key: str) -> Submitted:
    """The generation that a chat is resumed of. Whoever has seen a part of it starts no second one."""
    try:
        return await cells.made_before(asked, key, who.owner)
    except UnknownGeneration:
        raise Problem(Code.NOT_FOUND, _NOT_MADE) from None


# -- follow


@router.get(
    "/generations/{id}/events",
    **described(
        {200: VIEWS, 204: None},
        (*ABOUT_ONE, Code.ARCHIVE_UNAVAILABLE, Code.NOT_ACCEPTABLE, Code.INVALID_REQUEST),
        takes=("Last-Event-ID",),
    ),
)
async def events(
    request: Request,
    service: ServiceOf,
    who: Who,
    id_: Id,
    after: Annotated[str | None, Query(description="As Last-Event-ID, for those who cannot send it.")] = None,
    from_: Annotated[
        Literal["beginning", "snapshot"], Query(alias="from", description="Where to begin, without a cursor.")
    ] = "beginning",
    view: Annotated[Literal["native", "text"], Query(description="The vocabulary: ours, or bare text.")] = "native",
    chunk: Chunk = "token",
) -> Response:
    """The log as an event stream: from its beginning, from behind Last-Event-ID (or `after`), or from a snapshot."""
    negotiate(request.headers, (EVENT_STREAM,))
    # A reconnecting EventSource asks for the same URL again: its header is newer than the URL's `after`.
    given = ", ".join(request.headers.getlist("last-event-id"))
    cursor = given or after
    dialect = in_chunks(_DIALECTS[view], chunk)
    return await _follow(request, service, who, id_, cursor, dialect=dialect, snapshot=from_ == "snapshot")


async def _follow_submitted(
    request: Request,
    service: Service,
    who: Principal,
    accepted: Submitted,
    *,
    cursor: str = "",
    dialect: Dialect = NATIVE,
    last: bytes = b"",
) -> Response:
    """A stream of what was accepted, from its beginning or from behind the cursor. Of what was made just now nothing need be
    asked."""
    id_, view = accepted.id, View(dialect, framing_of(request.scope))
    headers = [(b"location", f"/v1/generations/{id_}".encode()), (b"generation-id", id_.encode())]
    if accepted.record is None or service.hub.draining:
        return await _follow(request, service, who, id_, cursor, dialect=dialect, headers=headers, last=last)
    place = accepted.place
    viewer = service.hub.attach(
        id_, BEGINNING, view, ended=False, owner=who.owner, place=place, abandonable=accepted.abandonable
    )
    first = b"" if place is None else dialect.queued(place)
    return EventStream(service.hub, viewer, first=first, last=last, headers=headers)


async def _follow(
    request: Request,
    service: Service,
    who: Principal,
    id_: str,
    cursor: str | None,
    *,
    dialect: Dialect = NATIVE,
    snapshot: bool = False,
    headers: list[tuple[bytes, bytes]] | None = None,
    last: bytes = b"",
) -> Response:
    """A stream from behind the cursor; one that points at nothing in the log is answered with a `gap` and a replay."""
    view = View(dialect, framing_of(request.scope))
    after = EntryId.parse(cursor) if cursor else None
    try:
        async with asyncio.timeout(_VISIT_SECONDS):
            visit, known = await _visit(service, who, id_, after)
    except ArchiveUnavailable:
        raise  # it has ended: nobody waits for more of it
    except (StorageUnavailable, TimeoutError):
        # Anything but 200 would make an EventSource stop for ever.
        return EventStream(service.hub, service.hub.turn_away(id_, view), headers=headers)
    if service.hub.draining:
        return EventStream(service.hub, service.hub.turn_away(id_, view), headers=headers)
    ended = visit.state in TERMINAL
    if visit.withdrawn:
        service.hub.pages.forget(id_)
    if after is not None and after == visit.terminal_id:
        return (
            _nothing_more(dialect.keep_alive + last, headers) if last else Response(status_code=204, headers=_NO_STORE)
        )
    first, place, opening = b"", None, None
    if cursor and not known:
        first = dialect.gap("bad_cursor" if after is None else "unknown_cursor")
        after = None
    elif visit.state == "queued":
        (place,) = await service.coordination.positions([id_])
        if place is not None or not visit.later:
            first = dialect.queued(place or 0)
    elif after is None and snapshot:
        opening = partial(service.hub.transcripts.told, id_, dialect.snapshot)
    viewer = service.hub.attach(
        id_, after or BEGINNING, view,
        ended=ended, owner=visit.owner, place=place, abandonable=visit.abandonable,
    )  # fmt: skip
    return EventStream(service.hub, viewer, first=first, opening=opening, last=last, headers=headers)


def _nothing_more(body: bytes, headers: list[tuple[bytes, bytes]] | None) -> Response:
    """For readers that wait for the last frame: a stream that has no other."""
    response = Response(body)
    response.raw_headers = [*EVENT_STREAM_HEADERS, *(headers or []), (b"content-length", b"%d" % len(body))]
    return response


async def _visit(service: Service, who: Principal, id_: str, after: EntryId | None) -> tuple[Visit, bool]:
    """What is known of a generation that is there for the one who asks, and whether its log has this entry. What the archive
    cannot give is found out here, before a stream begins. Raises as Logs.visit, and ArchiveUnavailable."""
    visit = await service.logs.visit(id_, after)
    if not who.may_see(visit.owner):
        raise UnknownGeneration
    if visit.archived and (after is None or after != visit.terminal_id):
        return visit, await service.logs.has(id_, after or BEGINNING)
    # A cursor in what was withdrawn names nothing that is there, and is answered with what stands in its place.
    withdrawn = visit.withdrawn and after is not None and visit.terminal_id is not None and after < visit.terminal_id
    return visit, visit.cursor_known or withdrawn


# -- read, list, cancel


@router.get(
    "/generations/{id}",
    **described({200: views.Whole}, (*ABOUT_ONE, Code.ARCHIVE_UNAVAILABLE, Code.NOT_ACCEPTABLE, Code.INVALID_REQUEST)),
)
async def read(
    service: ServiceOf,
    who: Who,
    id_: Id,
    request: Request,
    wait: Annotated[
        float,
        Query(ge=0, le=LONGEST_SECONDS, allow_inf_nan=False, description="Seconds to wait for the end, if need be."),
    ] = 0,
) -> Response:
    """The record, and everything that was produced so far; with `wait`, when the generation has ended or that time is over."""
    negotiate(request.headers, (JSON,))
    if wait and not await _has_waited(request, service, who, id_, wait):
        return Response(status_code=204, headers=_NO_STORE)  # to nobody
    record, told = await service.whole(id_, who)
    return Parts(views.whole(record, told.pieces), headers=_NO_STORE, media_type=JSON)


async def _has_waited(request: Request, service: Service, who: Principal, id_: str, seconds: float) -> bool:
    """Waits for the end; False if who asked has left meanwhile. Raises as `visit`, of what is not there for who asks."""
    visit = await service.logs.visit(id_, None)
    if not who.may_see(visit.owner):
        raise UnknownGeneration
    return visit.state in TERMINAL or await wait_for_end(service.hub, id_, visit, seconds, partial(_left, request))


async def _left(request: Request) -> None:
    """Returns when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


@router.get(
    "/generations",
    **described(
        {200: views.Listing},
        (Code.NOT_ACCEPTABLE, Code.INVALID_REQUEST, *ABOUT_STORAGE),
        takes=("label", "external_id"),
    ),
)
async def listing(
    cells: CellsOf,
    who: Who,
    request: Request,
    state: State | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(description="A page's `next_cursor`: the page behind it.")] = None,
    partial_: Annotated[
        bool,
        Query(alias="partial", description="Without what cells have that do not answer: `missing_cells` names them."),
    ] = False,
) -> Response:
    """Generations, newest first, without their output. `cursor` is the page's `next_cursor`."""
    negotiate(request.headers, (JSON,))
    tags = tags_asked_for(request.query_params.multi_items())
    before = None
    if cursor is not None:
        match = _LIST_CURSOR.fullmatch(cursor)
        if match is None:
            raise Problem(Code.INVALID_REQUEST, "`cursor` must be a `next_cursor` of an earlier page.")
        before = (int(match[1]), match[2])

    def list_in(service: Service, before: Place | None, limit: int) -> Awaitable[Part[Record]]:
        return service.list(who, state, before, limit, tags)

    page = await cells.list(list_in, before, limit, partial=partial_)
    next_cursor = None if page.behind is None else f"{page.behind[0]}.{page.behind[1]}"
    missing = {"missing_cells": page.missing} if partial_ else {}
    return as_json({"data": [views.summary(record) for record in page.records], "next_cursor": next_cursor, **missing})


@router.post(
    "/generations/{id}/cancel",
    **described(
        {200: views.Summary, 202: views.Summary},
        (*ABOUT_ONE, Code.NOT_ACCEPTABLE, Code.ALREADY_ENDED, Code.CROSS_SITE),
    ),
)
async def cancel(service: ServiceOf, who: Who, id_: Id, request: Request) -> Response:
    """Asks for the end. 200 with the record if nobody ran it, so that it has ended here, or had before; 202 if its worker has
    been told, who may have ended it by the time that the record is read; 409 if it has ended otherwise."""
    negotiate(request.headers, (JSON,))
    await service.refuse_unless_seen(id_, who)
    try:
        outcome = await service.logs.cancel(id_)
    except AlreadyEnded:
        await service.safe_record(id_, who)
        outcome = await service.logs.cancel(id_)  # Redis may have lost that end meanwhile
    if outcome == "cancelled":
        await service.file_ended(id_)
    record = await service.safe_record(id_, who)
    cancelled = outcome == "cancelled" and record.state == "cancelled"
    return as_json(views.summary(record), 200 if cancelled else 202)
