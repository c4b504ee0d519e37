"""A chat by the name that its client gave it, and its last generation, whatever its chunks travel on."""

import time
from typing import Final

from starlette.requests import HTTPConnection

from api.access.gate import Principal
from api.intake.asked.ui import Asked
from api.routes.accepting import accepted_from
from api.routes.cells import Cells
from api.routes.naming import give_name, named
from broker.errors import ExpiredGeneration, UnknownGeneration
from broker.ids import is_generation_id
from broker.replies import Visit
from broker.store.accepting import Submitted
from broker.store.names import Name

RESUMED_SECONDS: Final = 60
"""How long a chat that has ended is told to its end to who comes back: one that was cut while it ended. Later there is nothing
to resume, and a page that is opened is not shown its last answer again."""


async def accepted_chat(
    connection: HTTPConnection, cells: Cells, who: Principal, asked: Asked, key: str | None
) -> Submitted:
    """Accepts what a chat asks for, which is its last generation from now on. Raises as `accepted_from` and `give_name`."""
    accepted = await accepted_from(connection, cells, who, asked.request, key)
    if asked.chat is not None:
        await give_name(cells.of(accepted.id), Name("chat", asked.chat, who.owner), accepted, asked.request)
    return accepted


async def generation_of(cells: Cells, who: Principal, id_: str) -> str | None:
    """The generation that is meant; None if this is no chat's name. Whether it is there for who asks is not asked here."""
    return id_ if is_generation_id(id_) else await named(cells, Name("chat", id_, who.owner))


async def last_of(cells: Cells, who: Principal, id_: str) -> tuple[str, Visit] | None:
    """The generation that is meant, and what is known of it; None if there is none of a chat. Raises UnknownGeneration and
    ExpiredGeneration of one that is named by its own id."""
    generation = await generation_of(cells, who, id_)
    if generation is None:
        return None
    try:
        return generation, await cells.of(generation).visit(generation, who)
    except (UnknownGeneration, ExpiredGeneration):
        if generation == id_:
            raise
        return None


def is_over(visit: Visit) -> bool:
    """Whether it ended so long ago, by Redis's clock, that nobody resumes it."""
    return visit.terminal_id is not None and time.time() * 1000 - visit.terminal_id.attempt > RESUMED_SECONDS * 1000
