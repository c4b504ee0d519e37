"""Generations by the names that clients give them, in all cells: a chat's, a thread's.

A name is kept in the cell of its generation, so that it comes and goes with that. Which of the cells has the latest one is not
known before all have answered.
"""

import asyncio
from typing import Final, NamedTuple

from api.routes.cells import Cells
from api.routes.service import Service
from broker.errors import BrokerError, OutcomeUnknown, StorageUnavailable
from broker.request import GenerationRequest
from broker.store import names
from broker.store.accepting import Submitted
from broker.store.names import Name, Named

_LOOK_SECONDS: Final = 3.0


async def give_name(service: Service, name: Name, accepted: Submitted, request: GenerationRequest) -> None:
    """Has the name stand for what was accepted just now in this cell, unless something later was accepted under it. Raises
    OutcomeUnknown if Redis does not take it: the generation runs, and who has no id of it will not find it."""
    try:
        record = accepted.record or await service.logs.record(accepted.id)
        retention = request.options().retention or service.submissions.retention
        await names.give(name, Named(record.created_ms, accepted.id), retention * 1000).run(service.coordination.redis)
    except BrokerError:
        raise OutcomeUnknown(accepted.id) from None


class Standing(NamedTuple):
    """What a name stands for: the latest of all cells, and what its home has, the cell in which it is claimed."""

    latest: Named | None
    at_home: Named | None


def home_of(cells: Cells) -> int:
    """The cell in which names are claimed, wherever their generations are: the first, which more cells do not move."""
    return min(cells.services)


async def standing(cells: Cells, name: Name) -> Standing:
    """Raises StorageUnavailable while a cell is away: it may have the last one."""
    alone = len(cells.services) == 1
    looked = (_look_in(each, name, alone=alone) for each in cells.services.values())
    found = dict(zip(cells.services, await asyncio.gather(*looked), strict=True))
    known = [each for each in found.values() if each is not None]
    return Standing(max(known, key=lambda each: each.made_ms) if known else None, found[home_of(cells)])


async def named(cells: Cells, name: Name) -> str | None:
    """The id of what was accepted last under this name; None if nothing is known of one. Whether it is there for who asks is
    not asked here. Raises as `standing`."""
    latest = (await standing(cells, name)).latest
    return None if latest is None else latest.id


async def _look_in(service: Service, name: Name, *, alone: bool) -> Named | None:
    """Where there are others, one that is known to be away is not waited for, and any other not for long."""
    if alone:
        return await names.look_up(service.coordination.redis, name)
    if not service.agreement.hears:
        raise StorageUnavailable
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            return await names.look_up(service.coordination.redis, name)
    except TimeoutError:
        raise StorageUnavailable("silent") from None
