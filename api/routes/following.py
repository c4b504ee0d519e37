"""A generation as an event stream: of what was accepted just now, or from behind a cursor."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Final

from fastapi import Request, Response

from api.access.gate import Principal
from api.delivery.asgi import EventStream, framing_of
from api.dialects import Dialect
from api.dialects.chunks import Size, in_chunks
from api.dialects.native import NATIVE
from api.dialects.redacted import redacted
from api.intake.negotiate import EVENT_STREAM_HEADERS
from api.intake.problems import Code, Problem
from api.routes.asking import NO_STORE, paces
from api.routes.auditing import journal_of
from api.routes.service import Service
from api.viewing.admissions import Admissions
from api.viewing.rendition import View
from broker.errors import ArchiveUnavailable, PayloadUnreadable, StorageUnavailable
from broker.ids import BEGINNING, EntryId
from broker.record import TERMINAL
from broker.replies import Visit
from broker.store.accepting import Submitted
from broker.waiting import Wait

_VISIT_SECONDS: Final = 6.0
"""How long a viewer that arrives waits for Redis before it is sent away: so long that one dead connection is got over."""


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
) -> Response:
    """A stream of what was accepted, from its beginning or from behind the cursor. Of what was made just now nothing need be
    asked. `told`: headers that tell which generation it is, in lower case; ours, if there are none. `before` as in `follow`."""
    id_, view = accepted.id, _view(request, who, dialect, chunk)
    named = told if told is not None else {"location": f"/v1/generations/{id_}", "generation-id": id_}
    headers = encoded({**named, **paces(service, who, accepted)})
    if accepted.record is None or service.hub.draining:
        return await follow(
            request, service, who, id_, cursor, dialect=dialect, chunk=chunk, headers=headers, last=last, before=before
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
    return EventStream(service.hub, viewer, first=before + first, last=last, headers=headers)


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
) -> Response:
    """A stream from behind the cursor; one that points at nothing in the log is answered with a `gap` and a replay. `before`:
    frames that the reader lacks, and that are in front of all others, wherever those begin. Raises
    Problem (429) if who asks has as many streams as it may, and `new` says that it has not just lost one of them: who comes
    back is sent away for a moment, as its old connection may not be known to be dead yet."""
    view = _view(request, who, dialect, chunk)
    dialect = view.dialect
    after = EntryId.parse(cursor) if cursor else None
    try:
        async with asyncio.timeout(_VISIT_SECONDS):
            visit, known = await _visit(service, who, id_, after)
    except (ArchiveUnavailable, PayloadUnreadable):
        raise  # it has ended: nobody waits for more of it; or it takes an operator to read it
    except (StorageUnavailable, TimeoutError):
        # Anything but 200 would make an EventSource stop for ever.
        return _turned_away(service, id_, view, headers)
    if service.hub.draining:
        return _turned_away(service, id_, view, headers)
    ended = visit.state in TERMINAL
    if visit.withdrawn:
        service.hub.pages.forget(id_)
    if after is not None and after == visit.terminal_id:
        rest = before + last
        return (
            _nothing_more(dialect.keep_alive + rest, headers) if rest else Response(status_code=204, headers=NO_STORE)
        )
    first, wait, opening = b"", None, None
    if cursor and not known:
        first = dialect.gap("bad_cursor" if after is None else "unknown_cursor")
        after = None
    elif visit.state == "queued":
        (rank,) = await service.coordination.ranks([(id_, visit.owner)])
        if rank is not None:
            wait = await service.hub.waits.of(visit.owner, rank)
        if rank is not None or not visit.later:
            first = dialect.queued(wait or Wait(0))
    elif after is None and snapshot:
        opening = partial(service.hub.transcripts.told, id_, dialect.snapshot)
    if (full := service.hub.admissions.full(who, id_)) is not None:
        if new:
            raise Problem(Code.TOO_MANY_STREAMS, limit=full)
        return _turned_away(service, id_, view, headers)
    journal_of(request).note("view", who, id_)
    viewer = service.hub.attach(
        id_, after or BEGINNING, view,
        who=who, ended=ended, owner=visit.owner, wait=wait, abandonable=visit.abandonable,
    )  # fmt: skip
    return EventStream(service.hub, viewer, first=before + first, opening=opening, last=last, headers=headers)


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


def _view(request: Request, who: Principal, dialect: Dialect, chunk: Size) -> View:
    """How this reader is shown a log: whatever it asks for, text alone if that is all it may see."""
    shown = redacted(dialect) if who.redacted else dialect
    return View(in_chunks(shown, chunk), framing_of(request.scope))


def _turned_away(service: Service, id_: str, view: View, headers: list[tuple[bytes, bytes]] | None) -> Response:
    return EventStream(service.hub, service.hub.turn_away(id_, view), headers=headers)


def _nothing_more(body: bytes, headers: list[tuple[bytes, bytes]] | None) -> Response:
    """For readers that wait for the last frame: a stream that has no other."""
    response = Response(body)
    response.raw_headers = [*EVENT_STREAM_HEADERS, *(headers or []), (b"content-length", b"%d" % len(body))]
    return response


async def _visit(service: Service, who: Principal, id_: str, after: EntryId | None) -> tuple[Visit, bool]:
    """What is known of a generation that is there for the one who asks, and whether its log has this entry. What the archive
    cannot give, or nobody here can read, is found out before a stream begins. Raises as Logs.visit, ArchiveUnavailable and
    PayloadUnreadable."""
    visit = await service.visit(id_, who, after)
    if visit.sealed:  # what is published is opened without asking anybody
        await service.logs.vault.of(id_, visit.owner, visit.sealed)
    if visit.archived and (after is None or after != visit.terminal_id):
        return visit, await service.logs.has(id_, after or BEGINNING)
    # A cursor in what was withdrawn names nothing that is there, and is answered with what stands in its place.
    withdrawn = visit.withdrawn and after is not None and visit.terminal_id is not None and after < visit.terminal_id
    return visit, visit.cursor_known or withdrawn
