"""Somebody arrives to follow a generation: what must be found out before there is a viewer, whatever its frames travel on."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NamedTuple

from api.access.gate import Principal
from api.audit.journal import Journal
from api.intake.problems import Code, Problem
from api.routes.service import Service
from api.viewing.rendition import View
from api.viewing.transcripts import Told
from api.viewing.viewer import Viewer
from broker.errors import ArchiveUnavailable, PayloadUnreadable, StorageUnavailable
from broker.ids import BEGINNING, EntryId
from broker.record import TERMINAL
from broker.replies import Visit
from broker.waiting import Wait

_VISIT_SECONDS: Final = 6.0
"""How long a viewer that arrives waits for Redis before it is sent away: so long that one dead connection is got over."""


class Arrival(NamedTuple):
    """A viewer that is attached, or turned away. `first` is to be said before its frames; `opening` makes the frame that stands
    for what is before them."""

    viewer: Viewer
    first: bytes = b""
    opening: Callable[[], Awaitable[Told]] | None = None
    turned_away: bool = False


async def arrive(
    service: Service,
    journal: Journal,
    who: Principal,
    id_: str,
    cursor: str | None,
    view: View,
    *,
    snapshot: bool = False,
    new: bool = False,
) -> Arrival | None:
    """A viewer from behind the cursor on; one that points at nothing in the log is told of a `gap` and sees it from its
    beginning. None: nothing is behind the cursor, and never will be. Raises Problem (429) if who asks has as many streams as it
    may, and `new` says that it has not just lost one of them: who comes back is sent away for a moment, as its old connection
    may not be known to be dead yet. Raises UnknownGeneration, ExpiredGeneration, ErasedGeneration, ArchiveUnavailable,
    PayloadUnreadable."""
    hub, dialect = service.hub, view.dialect
    after = EntryId.parse(cursor) if cursor else None
    try:
        async with asyncio.timeout(_VISIT_SECONDS):
            visit, known = await visited(service, who, id_, after)
    except (ArchiveUnavailable, PayloadUnreadable):
        raise  # it has ended: nobody waits for more of it; or it takes an operator to read it
    except (StorageUnavailable, TimeoutError):
        # Anything but a stream would make an EventSource stop for ever.
        return Arrival(hub.turn_away(id_, view), turned_away=True)
    if hub.draining:
        return Arrival(hub.turn_away(id_, view), turned_away=True)
    if visit.withdrawn:
        hub.pages.forget(id_)
    if after is not None and after == visit.terminal_id:
        return None
    first, wait, opening = b"", None, None
    if cursor and not known:
        first = dialect.gap("bad_cursor" if after is None else "unknown_cursor")
        after = None
    elif visit.state == "queued":
        wait = await _wait_of(service, id_, visit)
        if wait is not None or not visit.later:
            first = dialect.queued(wait or Wait(0))
    elif after is None and snapshot:
        opening = partial(hub.transcripts.told, id_, dialect.snapshot)
    if (full := hub.admissions.full(who, id_)) is not None:
        if new:
            raise Problem(Code.TOO_MANY_STREAMS, limit=full)
        return Arrival(hub.turn_away(id_, view), turned_away=True)
    journal.note("view", who, id_)
    viewer = hub.attach(
        id_, after or BEGINNING, view,
        who=who, ended=visit.state in TERMINAL, owner=visit.owner, wait=wait, abandonable=visit.abandonable,
    )  # fmt: skip
    return Arrival(viewer, first, opening)


async def _wait_of(service: Service, id_: str, visit: Visit) -> Wait | None:
    """Of a generation that waits for a worker; None of one that has no place in the queue."""
    (rank,) = await service.coordination.ranks([(id_, visit.owner)])
    return None if rank is None else await service.hub.waits.of(visit.owner, rank)


async def visited(service: Service, who: Principal, id_: str, after: EntryId | None) -> tuple[Visit, bool]:
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
