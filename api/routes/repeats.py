"""Repeats that a client makes by itself, and gives no name to: which generation they get.

The SDKs of Anthropic and OpenAI send a POST again whose answer they did not get, without an idempotency key, and say the how
manieth try it is. Such a repeat is given a generation of the same request that nobody was shown: whose own asker lost its
connection before anything of what a model said was written to it. So it is of no account whether that was its own: no answer is
seen twice, however many ask the same at once. Where none is known the repeat is a generation of its own.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import orjson
from starlette.requests import HTTPConnection, Request

from api.access.gate import Principal
from api.intake.negotiate import tries_before
from api.routes.accepting import Ended, accepted_from, ended_from
from api.routes.cells import Cells
from api.routes.service import Service
from api.viewing.transcripts import Form
from api.viewing.viewer import Viewer
from broker.errors import BrokerError, ErasedGeneration, ExpiredGeneration, UnknownGeneration
from broker.events import EVENT, START, Entry
from broker.ids import BEGINNING, EntryId
from broker.request import GenerationRequest
from broker.store import unshown
from broker.store.accepting import Submitted
from broker.store.unshown import Asked
from broker.tasks import Tasks

_MOST_BEFORE: Final = 8
"""Entries: what stands before the first word of a model is fewer."""
_SAYS_NOTHING: Final = ("message", "retrying")


class Asker:
    """Whom a generation was accepted for. If it loses its connection before it was shown anything, a repeat of what it asked
    may have the generation. `asked` is None of one that makes no repeats, or names them."""

    def __init__(self, cells: Cells, id_: str, asked: Asked | None = None) -> None:
        self._service: Service = cells.of(id_)
        self._tasks: Tasks = cells.tasks
        self.id = id_
        self._asked = asked

    async def left(self) -> None:
        """It was shown nothing, and will be shown nothing. Where Redis is away that is not noted."""
        if self._asked is not None:
            with suppress(BrokerError):
                await unshown.note(self._asked, self.id).run(self._service.coordination.redis)

    @property
    def detach(self) -> Callable[[Viewer], None]:
        """As a hub's, for the viewer by which it is shown the generation."""
        return self._service.hub.detach if self._asked is None else self._detach

    def _detach(self, viewer: Viewer) -> None:
        place = viewer.place
        self._service.hub.detach(viewer)
        self._tasks.spawn(self._left_at(place))

    async def _left_at(self, place: EntryId) -> None:
        with suppress(BrokerError):
            if await self._was_shown_nothing(place):
                await self.left()

    async def _was_shown_nothing(self, place: EntryId) -> bool:
        if place == BEGINNING:
            return True
        shown = await self._service.logs.from_(self.id, BEGINNING, _MOST_BEFORE)
        return any(entry.id == place for entry in shown) and all(
            _says_nothing(entry) for entry in shown if entry.id <= place
        )


def _says_nothing(entry: Entry) -> bool:
    return entry.kind == START or (entry.kind == EVENT and orjson.loads(entry.value)["type"] in _SAYS_NOTHING)


async def accepted_or_joined(
    request: HTTPConnection, cells: Cells, who: Principal, asked: GenerationRequest, key: str | None
) -> tuple[Submitted, Asker]:
    """As `accepted_from`; for a repeat without a key one of the same request that nobody was shown, if there is one."""
    before = tries_before(request.headers) if key is None else None
    if before is None:
        accepted = await accepted_from(request, cells, who, asked, key)
        return accepted, Asker(cells, accepted.id)
    # 3 ms of 1 MiB; less than to keep such a request for as long as its stream
    call = Asked(who.owner, who.key, request.url.path, cells.digest_of(asked, who.owner))
    joined = await _unshown(cells, who, call) if before else None
    accepted = Submitted(joined, None) if joined else await accepted_from(request, cells, who, asked, None)
    return accepted, Asker(cells, accepted.id, call)


async def ended_for(asker: Asker, request: Request, service: Service, who: Principal, form: Form) -> Ended | None:
    """As `ended_from`, of what was accepted for this one; noted if it gets no answer."""
    try:
        ended = await ended_from(request, service, who, asker.id, form)
    except Exception:
        await asker.left()
        raise
    if ended is None:
        await asker.left()
    return ended


async def _unshown(cells: Cells, who: Principal, asked: Asked) -> str | None:
    """Of one that is there for who asks, and was not cancelled: nobody else gets it. A cell that is away is not waited for."""
    for service in cells.services.values():
        if not service.agreement.hears:
            continue
        with suppress(BrokerError):
            while (id_ := await unshown.take(service.coordination.redis, asked)) is not None:
                with suppress(UnknownGeneration, ExpiredGeneration, ErasedGeneration):
                    if (await service.visit(id_, who)).state != "cancelled":
                        return id_
    return None
