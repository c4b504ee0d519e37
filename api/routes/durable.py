"""`/v1/generations/{id}/stream`: the read side of the Durable Streams protocol, for its clients.

A generation is a stream of JSON messages that is closed by its end. Who reads gets a page, waits for more (`live=long-poll`),
or follows (`live=sse`); nobody writes here.
"""

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Final, Literal

from fastapi import Query, Request, Response

from api.access.gate import Principal
from api.delivery.parts import Parts
from api.dialects.durable import ARRAY, DURABLE, OFFSET, caught_up, closed_behind, offset_behind, parse_offset
from api.intake.negotiate import EVENT_STREAM, JSON
from api.intake.problems import Code, Problem
from api.routes.accepting import left
from api.routes.arriving import visited
from api.routes.asking import ABOUT_ONE, NO_STORE, Counted, Id, ServiceOf, WhoViews, guarded
from api.routes.auditing import journal_of
from api.routes.following import follow, nothing_more, view_of
from api.routes.openapi import Answer, Nothing, described
from api.routes.service import Service
from api.viewing.pages import Page
from api.viewing.waiting import wait_for_more
from broker.ids import BEGINNING, EntryId
from broker.record import TERMINAL
from broker.replies import Visit

LONG_POLL_SECONDS: Final = 20.0
_SAFE_SECONDS: Final = 6.0
"""How long a reader waits for a strictly durable end to be safe, before it is told to come again."""
_CURSOR_SECONDS: Final = 20
_CURSORS_SINCE: Final = 1728432000
"""Seconds: 9 October 2024, from which on the protocol counts intervals."""
_LONGEST_CURSOR: Final = 32
_SENDS: Final = ("Stream-Next-Offset", "Stream-Up-To-Date", "Stream-Closed", "Stream-Cursor", "ETag")
_MESSAGE: Final = {"type": "object", "required": ["type", "id"]}
_READ: Final = Answer("Messages behind the offset, as many as one page has.", JSON, {
    "schema": {"type": "array", "items": _MESSAGE},
}, _SENDS)  # fmt: skip

router = guarded()


def _described() -> Mapping[str, object]:
    problems = (
        *ABOUT_ONE, Code.OFFSET_INVALID, Code.OFFSET_GONE, Code.INVALID_REQUEST, Code.ARCHIVE_UNAVAILABLE,
        Code.PAYLOAD_UNREADABLE, Code.TOO_MANY_STREAMS, Code.RATE_LIMITED, Code.DRAINING,
    )  # fmt: skip
    answers = {
        200: _READ,
        204: Nothing("Of `live=long-poll`: nothing came meanwhile, or nothing ever will."),
        304: Nothing("`If-None-Match` names what the answer would be."),
    }
    said = described(
        answers, problems, scopes=("view",), links=True, sends={204: _SENDS[:4], 304: _SENDS},
    )  # fmt: skip
    said["responses"][200]["content"][EVENT_STREAM] = {"itemSchema": {"type": "object"}}
    return said


@router.get("/generations/{id:generation}/stream", **_described())  # type: ignore[arg-type]  # as `described` has it
async def read(
    who: WhoViews,
    _: Counted,
    request: Request,
    service: ServiceOf,
    id_: Id,
    offset: Annotated[
        str | None,
        Query(description="Where to begin: `-1`, `now`, or an offset of this stream.",
              json_schema_extra={"pattern": f"^(-1|now|{OFFSET})$"}),
    ] = None,
    live: Annotated[Literal["sse", "long-poll"] | None, Query(description="Follow, or wait for more.")] = None,
    cursor: Annotated[str | None, Query(description="The `Stream-Cursor` of the answer before.")] = None,
) -> Response:  # fmt: skip
    """A generation as a durable stream of JSON messages (https://github.com/durable-streams/durable-streams)."""
    if live is not None and offset is None:
        raise Problem(Code.OFFSET_INVALID)
    after, visit = await _place(service, who, id_, offset)
    if live == "sse":
        return await _followed(request, service, who, id_, after, visit)
    journal_of(request).note("view", who, id_)
    if live is None:
        if offset == "now":
            return _nothing(after, visit, b"[]")
        return _answer(request, id_, after, visit, await _page(request, service, who, id_, after, visit))
    told = _cursor(cursor)
    if after == visit.terminal_id:
        return _nothing(after, visit, cursor=told)
    page = await _page(request, service, who, id_, after, visit)
    if not page.pieces and visit.state not in TERMINAL:
        await _wait_for_more(request, service, who, id_, after, visit)
        page = await _page(request, service, who, id_, after, visit)
    if not page.pieces:
        return _nothing(after, visit, cursor=told)
    return _answer(request, id_, after, visit, page, told)


@router.head(
    "/generations/{id:generation}/stream",
    **described(
        {200: Nothing("It is there. `Stream-Next-Offset` is that behind its newest message.")},
        (*ABOUT_ONE, Code.ARCHIVE_UNAVAILABLE, Code.PAYLOAD_UNREADABLE, Code.RATE_LIMITED),
        scopes=("view",), links=True, sends={200: ("Stream-Next-Offset", "Stream-Closed")},
    ),
)  # fmt: skip
async def look(who: WhoViews, _: Counted, service: ServiceOf, id_: Id) -> Response:
    """Whether the stream is there, whether it is closed, and the offset behind its newest message."""
    after, visit = await _place(service, who, id_, "now")
    return Response(headers={**_told(after, closed=after == visit.terminal_id), "content-type": JSON})


async def _place(service: Service, who: Principal, id_: str, offset: str | None) -> tuple[EntryId, Visit]:
    """The entry behind which the reader is, and what is known of the generation. Raises Problem: 400 of what is no offset, 410
    of one that the stream does not have."""
    if offset == "now":
        visit, _ = await visited(service, who, id_, None)
        return await _newest(service, id_), visit
    after = BEGINNING if offset in (None, "-1") else parse_offset(offset or "")
    if after is None:
        raise Problem(Code.OFFSET_INVALID)
    visit, known = await visited(service, who, id_, after if after != BEGINNING else None)
    if after not in (BEGINNING, visit.terminal_id) and not known:
        raise Problem(Code.OFFSET_GONE)
    return after, visit


async def _newest(service: Service, id_: str) -> EntryId:
    """The newest entry that may be shown, BEGINNING of a log that has none. An end that is not safe yet is waited for."""
    entry, _ = await service.logs.newest(id_)
    if entry is None:
        return BEGINNING
    if service.hub.strict_ends.holds(id_, entry):
        try:
            async with asyncio.timeout(_SAFE_SECONDS):
                await service.hub.strict_ends.safe(id_, entry.id)
        except TimeoutError:
            raise service.busy_or_away() from None
    return entry.id


async def _followed(
    request: Request, service: Service, who: Principal, id_: str, after: EntryId, visit: Visit
) -> Response:
    """A stream from behind the entry. It is told at once if it lacks nothing."""
    if after == visit.terminal_id:
        return nothing_more(DURABLE.keep_alive + closed_behind(after), None)
    before = b"" if visit.state in TERMINAL or after != await _newest(service, id_) else caught_up(after)
    cursor = str(after) if after != BEGINNING else None
    return await follow(request, service, who, id_, cursor, dialect=DURABLE, before=before)


async def _wait_for_more(
    request: Request, service: Service, who: Principal, id_: str, after: EntryId, visit: Visit
) -> None:
    """Until the log has something behind the entry, or for LONG_POLL_SECONDS. Raises Problem: 429 if who asks has as many
    streams as it may, 401 if what let it in has ended meanwhile, 503 if this process is about to go."""
    if (full := service.hub.admissions.full(who, id_)) is not None:
        raise Problem(Code.TOO_MANY_STREAMS, limit=full)
    if service.hub.draining:
        raise Problem(Code.DRAINING)
    view, gone = view_of(request, who, ARRAY, "token"), partial(left, request)
    if not await wait_for_more(service.hub, id_, after, view, visit, who, LONG_POLL_SECONDS, gone):
        if service.hub.draining:
            raise Problem(Code.DRAINING)
        await service.visit(id_, who)
        raise Problem(Code.UNAUTHENTICATED, "What let you in has ended.")


async def _page(request: Request, service: Service, who: Principal, id_: str, after: EntryId, visit: Visit) -> Page:
    """What is behind the entry, up to a page of it. Raises Problem (410) if the log is not what it was."""
    dialect = view_of(request, who, ARRAY, "token").dialect
    found = service.hub.pages.after(id_, dialect, after, dialect.behind(after))
    page = found if isinstance(found, Page) else await asyncio.shield(found)
    if page.rewound or (page.gone is not None and after != BEGINNING):
        raise Problem(Code.OFFSET_GONE)
    if page.gone is not None and visit.state in TERMINAL:
        await service.visit(id_, who)
        raise Problem(Code.EXPIRED)
    return page


def _answer(request: Request, id_: str, after: EntryId, visit: Visit, page: Page, cursor: str = "") -> Response:
    """The page as a JSON array; 304 if who asks has it."""
    closed = page.ended or page.last == visit.terminal_id
    tag = f'"{id_}:{offset_behind(after)}:{offset_behind(page.last)}"'
    headers = {**_told(page.last, closed=closed, cursor=cursor, up_to_date=closed or not page.full), "etag": tag}
    if tag in {given.strip() for given in request.headers.get("if-none-match", "").split(",")}:
        return Response(status_code=304, headers=headers)
    body = b"".join(piece for piece, _ in page.pieces)
    return Parts([b"[", body[:-1], b"]"], headers=headers, media_type=JSON)


def _nothing(after: EntryId, visit: Visit, body: bytes = b"", *, cursor: str = "") -> Response:
    """Nothing is behind the entry: 200 with this body, 204 without one."""
    headers = _told(after, closed=after == visit.terminal_id, cursor=cursor)
    return Response(body, 200 if body else 204, headers, JSON if body else None)


def _told(last: EntryId, *, closed: bool, cursor: str = "", up_to_date: bool = True) -> dict[str, str]:
    """The headers of an answer that reaches up to this entry."""
    return {
        **NO_STORE,
        "stream-next-offset": offset_behind(last),
        **({"stream-up-to-date": "true"} if up_to_date else {}),
        **({"stream-closed": "true"} if closed else {}),
        **({"stream-cursor": cursor} if cursor else {}),
    }


def _cursor(given: str | None) -> str:
    """By which nobody gets a cached answer twice: the number of this interval, or one more than what was given."""
    now = (int(time.time()) - _CURSORS_SINCE) // _CURSOR_SECONDS
    if given is None or not given.isascii() or not given.isdigit() or len(given) > _LONGEST_CURSOR:
        return str(now)
    return str(max(now, int(given) + 1))
