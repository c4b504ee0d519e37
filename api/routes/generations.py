"""`/v1/generations`: submit, read, list, follow, cancel."""

import re
from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Annotated, Final, Literal

from fastapi import Query, Request, Response

from api.access.gate import Principal
from api.delivery.parts import Parts
from api.dialects import Dialect
from api.dialects.native import NATIVE
from api.dialects.text import TEXT_VIEW
from api.intake.body import read_json
from api.intake.filters import tags_asked_for
from api.intake.negotiate import EVENT_STREAM, JSON, idempotency_key, negotiate
from api.intake.problems import ABOUT_STORAGE, Code, Problem
from api.routes import views
from api.routes.accepting import accepted_from, has_waited
from api.routes.asking import (
    ABOUT_ONE,
    ABOUT_SUBMITTING,
    KEPT,
    MESSAGES,
    NO_STORE,
    SUBMITTED,
    CellsOf,
    Chunk,
    Counted,
    Id,
    ServiceOf,
    WhoCancels,
    WhoSubmits,
    WhoViews,
    as_json,
    guarded,
    paces,
)
from api.routes.auditing import journal_of
from api.routes.cancelling import cancel_for
from api.routes.cells import Cells
from api.routes.following import follow, follow_submitted, refuse_if_full
from api.routes.merging import Part, Place
from api.routes.openapi import STREAM, VIEWS, described
from api.routes.service import Service
from api.viewing.waiting import LONGEST_SECONDS
from broker.record import Record, State
from broker.request import GenerationRequest

_DIALECTS: Final[Mapping[str, Dialect]] = {"native": NATIVE, "text": TEXT_VIEW}
_LIST_CURSOR: Final = re.compile(r"([0-9]{1,16})\.(gen_[0-9A-Z]{26})", re.ASCII)

router = guarded()


# -- submit, follow


@router.post(
    "/generations",
    **described(
        {202: views.Summary, 200: STREAM}, ABOUT_SUBMITTING, scopes=("submit",), body=GenerationRequest,
        takes=("Idempotency-Key",), sends={202: KEPT, 200: SUBMITTED},
        example={"model": "sim-1", "messages": MESSAGES},
    ),
)  # fmt: skip
async def submit(who: WhoSubmits, request: Request, cells: CellsOf) -> Response:
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
    """What a submit is answered with, in the form that was asked for: its record, or its events, for those who may view."""
    if form == EVENT_STREAM:
        who.refuse_without("view")
        refuse_if_full(cells.admissions, who)
    accepted = await accepted_from(request, cells, who, asked, key)
    id_ = accepted.id
    service = cells.of(id_)
    location = f"/v1/generations/{id_}"
    if form == EVENT_STREAM:
        return await follow_submitted(request, service, who, accepted)
    record = accepted.record or service.shown(await service.logs.record(id_))
    return as_json(views.summary(record), 202, {"location": location, **paces(service, who, accepted)})


@router.get(
    "/generations/{id:generation}/events",
    **described(
        {200: VIEWS, 204: None},
        (
            *ABOUT_ONE,
            Code.ARCHIVE_UNAVAILABLE,
            Code.PAYLOAD_UNREADABLE,
            Code.NOT_ACCEPTABLE,
            Code.INVALID_REQUEST,
            Code.TOO_MANY_STREAMS,
        ),
        scopes=("view",),
        links=True,
        takes=("Last-Event-ID",),
    ),
)
async def events(
    who: WhoViews,
    request: Request,
    service: ServiceOf,
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
    return await follow(
        request, service, who, id_, cursor,
        dialect=_DIALECTS[view], chunk=chunk, snapshot=from_ == "snapshot", new=not given,
    )  # fmt: skip


# -- read, list, cancel


@router.get(
    "/generations/{id:generation}",
    **described(
        {200: views.Whole},
        (
            *ABOUT_ONE,
            Code.ARCHIVE_UNAVAILABLE,
            Code.PAYLOAD_UNREADABLE,
            Code.NOT_ACCEPTABLE,
            Code.INVALID_REQUEST,
            Code.TOO_MANY_STREAMS,
        ),
        scopes=("view",),
        links=True,
    ),
)
async def read(
    who: WhoViews,
    _: Counted,
    service: ServiceOf,
    id_: Id,
    request: Request,
    wait: Annotated[
        float,
        Query(ge=0, le=LONGEST_SECONDS, allow_inf_nan=False, description="Seconds to wait for the end, if need be."),
    ] = 0,
) -> Response:
    """The record, and everything that was produced so far; with `wait`, when the generation has ended or that time is over."""
    negotiate(request.headers, (JSON,))
    if wait and not await has_waited(request, service, who, id_, wait):
        return Response(status_code=204, headers=NO_STORE)  # to nobody
    record, told = await service.whole(id_, who)
    journal_of(request).note("view", who, id_)
    wait_yet = await service.wait_of(record)
    body = views.whole(record, told.pieces, redacted=who.redacted, wait=wait_yet)
    return Parts(body, headers=NO_STORE, media_type=JSON)


@router.get(
    "/generations",
    **described(
        {200: views.Listing},
        (Code.NOT_ACCEPTABLE, Code.INVALID_REQUEST, Code.RATE_LIMITED, *ABOUT_STORAGE),
        scopes=("view",),
        takes=("label", "external_id"),
    ),
)
async def listing(
    who: WhoViews,
    _: Counted,
    cells: CellsOf,
    request: Request,
    state: State | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[
        str | None,
        Query(
            description="A page's `next_cursor`: the page behind it.",
            json_schema_extra={"pattern": f"^{_LIST_CURSOR.pattern}$"},
        ),
    ] = None,
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
    journal_of(request).note("list", who)
    next_cursor = None if page.behind is None else f"{page.behind[0]}.{page.behind[1]}"
    missing = {"missing_cells": page.missing} if partial_ else {}
    return as_json({"data": [views.summary(record) for record in page.records], "next_cursor": next_cursor, **missing})


@router.post(
    "/generations/{id:generation}/cancel",
    **described(
        {200: views.Summary, 202: views.Summary},
        (*ABOUT_ONE, Code.NOT_ACCEPTABLE, Code.ALREADY_ENDED, Code.CROSS_SITE, Code.RATE_LIMITED),
        scopes=("cancel",),
    ),
)
async def cancel(who: WhoCancels, _: Counted, service: ServiceOf, id_: Id, request: Request) -> Response:
    """Asks for the end. 200 with the record if nobody ran it, so that it has ended here, or had before; 202 if its worker has
    been told, who may have ended it by the time that the record is read; 409 if it has ended otherwise."""
    negotiate(request.headers, (JSON,))
    record, cancelled = await cancel_for(service, journal_of(request), who, id_)
    return as_json(views.summary(record), 200 if cancelled else 202)
