"""Names in several cells: the latest generation of all cells is the one that a name stands for."""

import asyncio
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.routes import naming
from api.routes.cells import Cells
from broker import keys
from broker.errors import OutcomeUnknown, StorageUnavailable
from broker.ids import new_generation_id
from broker.record import Record
from broker.request import GenerationRequest
from broker.store.accepting import Submitted
from broker.store.names import Name

REQUEST = GenerationRequest.model_validate(
    {"model": "sim-1", "messages": [{"role": "user", "content": "Hi"}], "retention": 60}
)
CHAT = Name("chat", "c-1", "")


class Redis:
    """What a cell's coordination knows of names."""

    def __init__(self) -> None:
        self.value: bytes | None = None
        self.error: Exception | None = None

    async def get(self, _: str) -> bytes | None:
        if self.error is not None:
            raise self.error
        return self.value


def cell() -> Any:
    return SimpleNamespace(coordination=SimpleNamespace(redis=Redis()), agreement=SimpleNamespace(hears=True))


def named(*services: Any) -> str | None:
    cells = cast(Cells, SimpleNamespace(services=dict(enumerate(services))))
    return asyncio.run(naming.named(cells, CHAT))


def test_of_what_cells_know_the_latest_counts() -> None:
    one, two, three = cell(), cell(), cell()
    assert named(one, two, three) is None
    one.coordination.redis.value = b"900 gen_old"
    assert named(one, two, three) == "gen_old"
    two.coordination.redis.value = b"1000 gen_new"
    assert named(one, two, three) == "gen_new"


@pytest.mark.parametrize("heard", [True, False])
def test_while_a_cell_is_away_nobody_is_given_an_older_generation_of_another(heard: bool) -> None:
    one, two = cell(), cell()
    one.coordination.redis.value = b"900 gen_old"
    two.agreement.hears = heard
    two.coordination.redis.error = ConnectionResetError()
    with pytest.raises(StorageUnavailable):
        named(one, two)


@pytest.mark.parametrize("takes", [True, False])
def test_what_was_accepted_is_given_its_name_where_it_is_and_who_is_not_taken_up_is_told(takes: bool) -> None:
    id_ = new_generation_id()
    here = cell()
    here.submissions = SimpleNamespace(retention=1)
    given: list[tuple[object, ...]] = []

    async def execute_command(*words: object) -> int:
        given.append(words)
        if not takes:
            raise ConnectionResetError
        return 1

    here.coordination.redis.execute_command = execute_command
    accepted = Submitted(id_, Record.new(id_, "sim-1", 5, ""))
    told = nullcontext() if takes else pytest.raises(OutcomeUnknown)
    with told:
        asyncio.run(naming.give_name(here, CHAT, accepted, REQUEST))
    assert given[0][3:] == (CHAT.key, id_, 5, 60_000 + keys.NAME_SLACK_MS)
