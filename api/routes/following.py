"""A generation as an event stream: of what was accepted just now, or from behind a cursor."""

from collections.abc import Mapping

from fastapi import Request, Response

from api.access.gate import Principal
from api.delivery.asgi import Detach, EventStream, framing_of
from api.dialects import UNKNOWN, Dialect, State
from api.dialects.chunks import Size, in_chunks
from api.dialects.native import NATIVE
from api.dialects.redacted import redacted
from api.intake.negotiate import EVENT_STREAM_HEADERS
from api.intake.problems import Code, Problem
from api.routes.arriving import arrive
from api.routes.asking import NO_STORE, paces
from api.routes.auditing import journal_of
from api.routes.service import Service
from api.viewing.admissions import Admissions
from api.viewing.rendition import View
from broker.ids import BEGINNING
from broker.store.accepting import Submitted
from broker.waiting import Wait


async def follow_submitted(
    request: Request,
    service: Service,
    who: Principal,
    accepted: Submitted,
    *,
    cursor: str = "",
    dialect: Dialect = NATIVE,
    chunk: Size = "token",
    last: bytes = b"",
    told: Mapping[str, str] | None = None,
    before: bytes = b"",
    detach: Detach | None = None,
) -> Response:
    """A stream of what was accepted, from its beginning or from behind the cursor. Of what was made just now nothing need be
    asked. `told`: headers that tell which generation it is, in lower case; ours, if there are none. `before` and
    `detach` as in `follow`."""
    id_, view = accepted.id, view_of(request, who, dialect, chunk)
    named = told if told is not None else {"location": f"/v1/generations/{id_}", "generation-id": id_}
    headers = encoded({**named, **paces(service, who, accepted)})
    if accepted.record is None or service.hub.draining:
        return await follow(
            request,
            service,
            who,
            id_,
            cursor,
            dialect=dialect,
            chunk=chunk,
            headers=headers,
            last=last,
            before=before,
            detach=detach,
        )
    if service.hub.admissions.full(who, id_):
        return _turned_away(service, id_, view, headers)
    journal_of(request).note("view", who, id_)
    wait = await _wait_of(service, who.owner, accepted)
    viewer = service.hub.attach(
        id_, BEGINNING, view,
        who=who, ended=False, owner=who.owner, wait=wait, abandonable=accepted.abandonable,
    )  # fmt: skip
    first = b"" if wait is None else view.dialect.queued(wait)
    return EventStream(service.hub, viewer, first=before + first, last=last, headers=headers, detach=detach)


async def follow(
    request: Request,
    service: Service,
    who: Principal,
    id_: str,
    cursor: str | None,
    *,
    dialect: Dialect = NATIVE,
    chunk: Size = "token",
    snapshot: bool = False,
    new: bool = False,
    headers: list[tuple[bytes, bytes]] | None = None,
    last: bytes = b"",
    before: bytes = b"",
    state: State = UNKNOWN,
    detach: Detach | None = None,
) -> Response:
    """A stream from behind the cursor. `before`: frames that the reader lacks, and that are in front of all others, wherever
    those begin. `state`: that behind the cursor, if it is known. `detach`: what is done instead when the viewer is
    over, which has the hub detach it. Raises as `arrive`."""
    view = view_of(request, who, dialect, chunk)
    arrival = await arrive(service, journal_of(request), who, id_, cursor, view, snapshot=snapshot, new=new)
    if arrival is None:
        rest = before + last
        return (
            nothing_more(view.dialect.keep_alive + rest, headers)
            if rest
            else Response(status_code=204, headers=NO_STORE)
        )
    if arrival.turned_away:
        return EventStream(service.hub, arrival.viewer, headers=headers)
    if state is not UNKNOWN and arrival.viewer.cursor != BEGINNING:
        arrival.viewer.knows(state)
    return EventStream(
        service.hub,
        arrival.viewer,
        first=before + arrival.first,
        opening=arrival.opening,
        last=last,
        headers=headers,
        detach=detach,
    )


def encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """The headers of a stream, as `follow` takes them."""
    return [(name.encode(), value.encode()) for name, value in headers.items()]


async def _wait_of(service: Service, owner: str, accepted: Submitted) -> Wait | None:
    """What is known of the wait of what was accepted just now; Redis is asked only where others wait too."""
    if accepted.rank is None:
        return None
    waits = service.hub.waits
    if accepted.rank == 0 and accepted.alone:
        return waits.of_first(owner)
    return await waits.of(owner, accepted.rank)


def refuse_if_full(admissions: Admissions, who: Principal) -> None:
    """Raises Problem (429) if who is about to submit and follow has as many streams as it may: what was accepted is not
    answered so."""
    if (full := admissions.full(who, "")) is not None:
        raise Problem(Code.TOO_MANY_STREAMS, limit=full)


def view_of(request: Request, who: Principal, dialect: Dialect, chunk: Size) -> View:
    """How this reader is shown a log: whatever it asks for, text alone if that is all it may see."""
    shown = redacted(dialect) if who.redacted else dialect
    return View(in_chunks(shown, chunk), framing_of(request.scope))


def _turned_away(service: Service, id_: str, view: View, headers: list[tuple[bytes, bytes]] | None) -> Response:
    return EventStream(service.hub, service.hub.turn_away(id_, view), headers=headers)


def nothing_more(body: bytes, headers: list[tuple[bytes, bytes]] | None) -> Response:
    """For readers that wait for the last frame: a stream that has no other."""
    response = Response(body)
    response.raw_headers = [*EVENT_STREAM_HEADERS, *(headers or []), (b"content-length", b"%d" % len(body))]
    return response
