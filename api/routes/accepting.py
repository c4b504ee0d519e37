"""Accepting a generation for whoever asks, and waiting for its whole: what routes of all vocabularies share."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple

from fastapi import Request
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from api.access.gate import Principal
from api.intake.problems import Code, FieldError, Problem
from api.routes.auditing import journal_of
from api.routes.cells import Cells
from api.routes.service import Service
from api.viewing.admissions import Closed
from api.viewing.transcripts import Form
from api.viewing.waiting import wait_for_end
from broker.errors import UnknownGeneration
from broker.record import TERMINAL, Record
from broker.request import GenerationRequest
from broker.store.accepting import First, Submitted

LONGEST_ANSWER_SECONDS: Final = 3600.0
"""How long an answer that is no stream may be waited for: as long as a generation may take."""
_ROUNDS: Final = 5
_NO_KEY: Final[FieldError] = {
    "parameter": "Idempotency-Key", "code": "missing",
    "detail": "is required with Last-Event-ID: it says which generation is resumed",
}  # fmt: skip
_NOT_MADE: Final = (
    "This Idempotency-Key has made no generation that could be resumed. Without Last-Event-ID it makes one."
)


class Ended(NamedTuple):
    """A generation behind its end: its record, and what was produced, in the form that was asked for."""

    record: Record
    pieces: tuple[bytes, ...]


async def accepted_from(
    request: HTTPConnection,
    cells: Cells,
    who: Principal,
    asked: GenerationRequest,
    key: str | None,
    first: First | None = None,
) -> Submitted:
    """Accepts what was asked for, with this idempotency key, and notes that. `first`: as Submissions.accept. Raises Problem,
    and as Cells.accept."""
    cells.refuse_unless_accepting()
    accepted = await cells.accept(asked, key, who.owner, who.key, first)
    journal_of(request).note("submit", who, accepted.id)
    return accepted


def cursor_of(headers: Headers, key: str | None) -> str:
    """The entry behind which a submit is to be resumed; empty if it is none. Raises Problem (422) if nothing says of what."""
    cursor = ", ".join(headers.getlist("last-event-id"))
    if cursor and key is None:
        raise Problem(Code.INVALID_REQUEST, errors=[_NO_KEY])
    return cursor


async def accepted_or_resumed(
    request: Request, cells: Cells, who: Principal, asked: GenerationRequest, key: str | None, cursor: str
) -> Submitted:
    """As `accepted_from`; with a cursor what this key has made before: whoever has seen a part of it starts no second one.
    Raises Problem (404) if it has made nothing."""
    if not cursor or key is None:
        return await accepted_from(request, cells, who, asked, key)
    try:
        return await cells.made_before(asked, key, who.owner)
    except UnknownGeneration:
        raise Problem(Code.NOT_FOUND, _NOT_MADE) from None


def naming(id_: str) -> Mapping[str, str]:
    """The header by which every other vocabulary's answer says which generation it is: who has it may follow, resume or cancel
    it by our own routes."""
    return {"respool-generation": id_}


async def ended_from(
    request: Request, service: Service, who: Principal, id_: str, form: Form, seconds: float = LONGEST_ANSWER_SECONDS
) -> Ended | None:
    """Waits for the end; None if who asked has left meanwhile. It counts as somebody who watches. Raises as `has_waited`, and
    Problem: 503 if this process stops before, 504 if it takes longer than so many seconds."""
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    for _ in range(_ROUNDS):  # the hub lets go of all who wait where it has to begin anew
        if not await has_waited(request, service, who, id_, max(0.0, until - clock())):
            return None
        record, told = await service.whole(id_, who, form)
        if record.state in TERMINAL:
            journal_of(request).note("view", who, id_)
            return Ended(record, told.pieces)
        if service.hub.draining:
            raise Problem(Code.DRAINING, headers=naming(id_), generation=id_)
        if clock() >= until:
            break
    raise Problem(Code.NOT_ENDED_IN_TIME, headers=naming(id_), generation=id_)


async def has_waited(request: Request, service: Service, who: Principal, id_: str, seconds: float) -> bool:
    """Waits for the end; False if who asked has left meanwhile. Raises as `visit`, of what is not there for who asks, and
    Problem: 429 if that one has as many streams as it may, 401 if what let it in has ended meanwhile."""
    visit = await service.visit(id_, who)
    if visit.state in TERMINAL:
        return True
    if (full := service.hub.admissions.full(who, id_)) is not None:
        raise Problem(Code.TOO_MANY_STREAMS, limit=full)
    try:
        return await wait_for_end(service.hub, id_, visit, who, seconds, partial(left, request))
    except Closed:
        raise Problem(Code.UNAUTHENTICATED, "What let you in has ended.") from None


async def left(request: Request) -> None:
    """Returns when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
