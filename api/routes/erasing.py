"""`DELETE /v1/generations/{id}`, and of all that have some labels: nothing of them stays."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from fastapi import Query, Request, Response
from typing_extensions import TypedDict

from api.access.gate import Principal
from api.audit.journal import Journal
from api.intake.filters import tags_asked_for
from api.intake.negotiate import JSON, negotiate
from api.intake.problems import ABOUT_STORAGE, Code, Problem
from api.routes.asking import ABOUT_ONE, CellsOf, Id, ServiceOf, WhoCancels, as_json, guarded
from api.routes.auditing import journal_of
from api.routes.cells import Cells
from api.routes.merging import Part, Place
from api.routes.openapi import described
from api.routes.service import Service
from broker.errors import BrokerError, ExpiredGeneration, UnknownGeneration
from broker.record import Record, State
from broker.store.erasing import Receipt

_AT_ONCE: Final = 8
_MOST: Final = 500
_NO_FILTER: Final = "At least one of `label.<name>` and `external_id` says what is erased."

router = guarded()


class Erasure(TypedDict):
    """That a generation was erased. `was`: its state before, null if it had been erased before. `complete` is false while the
    archive has its text yet. `durable`: where the storage says that it will not come back."""

    object: Literal["erasure"]
    id: str
    was: State | None
    complete: bool
    durable: Literal["disk", "replica"] | None


class Erasures(TypedDict):
    """How many were `matched` by the filter, how many of these were `erased`, how many are not complete, or failed. `more`:
    there are others, which the same request erases next."""

    object: Literal["erasures"]
    dry_run: bool
    matched: int
    erased: int
    incomplete: int
    failed: int
    more: bool


@router.delete(
    "/generations/{id:generation}",
    **described(
        {200: Erasure, 202: Erasure},
        (*ABOUT_ONE, Code.NOT_ACCEPTABLE, Code.CROSS_SITE, Code.ENCRYPTION_UNAVAILABLE),
        scopes=("cancel",),
    ),
)
async def erase(who: WhoCancels, service: ServiceOf, id_: Id, request: Request) -> Response:
    """Erases a generation: cancels it, and leaves nothing of it that can be read. 200 with a receipt, also if it was erased
    before; 202 while the archive, which does not answer, has its text yet."""
    negotiate(request.headers, (JSON,))
    await service.refuse_unless_there(id_, who)
    receipt = await service.erasing.erase(id_)
    note_erasure(journal_of(request), who, receipt)
    shown = Erasure(object="erasure", id=id_, was=receipt.was, complete=receipt.complete, durable=receipt.durable)
    return as_json(shown, 200 if receipt.complete else 202)


@router.delete(
    "/generations",
    **described(
        {200: Erasures},
        (Code.NOT_ACCEPTABLE, Code.INVALID_REQUEST, Code.CROSS_SITE, *ABOUT_STORAGE),
        scopes=("cancel",),
        takes=("label", "external_id"),
    ),
)
async def erase_all(
    who: WhoCancels,
    cells: CellsOf,
    request: Request,
    limit: Annotated[int, Query(ge=1, le=_MOST, description="The most that this request erases.")] = 100,
    dry_run: Annotated[bool, Query(description="Only counts what would be erased.")] = False,
) -> Response:
    """Erases generations that have all these labels, the newest first, up to `limit`. Repeat it while it says `more`."""
    negotiate(request.headers, (JSON,))
    tags = tags_asked_for(request.query_params.multi_items())
    if not tags:
        raise Problem(Code.INVALID_REQUEST, _NO_FILTER)

    async def list_in(service: Service, before: Place | None, limit: int) -> Part[Record]:
        return await service.list(who, None, before, limit, tags)

    page = await cells.list(list_in, None, limit)
    receipts: list[Receipt] = []
    if not dry_run:
        receipts = await _erase(cells, who, [record.id for record in page.records], journal_of(request))
    shown = Erasures(
        object="erasures", dry_run=dry_run, matched=len(page.records), erased=len(receipts),
        incomplete=sum(not receipt.complete for receipt in receipts),
        failed=0 if dry_run else len(page.records) - len(receipts), more=page.behind is not None,
    )  # fmt: skip
    return as_json(shown)


async def _erase(cells: Cells, who: Principal, ids: Sequence[str], journal: Journal) -> list[Receipt]:
    """A few at a time. One that fails stops no other: what was begun of it a sweeper completes."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(id_: str) -> Receipt | None:
        async with room:
            try:
                receipt = await cells.of(id_).erasing.erase(id_, confirm=False)
            except (UnknownGeneration, ExpiredGeneration):  # it has expired meanwhile
                return None
            except BrokerError as error:
                journal.note("erase", who, id_, type(error).__name__)
                return None
        note_erasure(journal, who, receipt)
        return receipt

    found = await asyncio.gather(*(one(id_) for id_ in ids))
    return [receipt for receipt in found if receipt is not None]


def note_erasure(journal: Journal, who: Principal, receipt: Receipt) -> None:
    """The receipt that stays."""
    again = "again" if receipt.was is None else "erased"
    journal.note("erase", who, receipt.id, again if receipt.complete else "incomplete")
