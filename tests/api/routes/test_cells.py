"""Which cell a request goes to, cell by cell: what is asked, and what is left unasked."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.intake.problems import Code, Problem
from api.routes.cells import Cells, OneCell
from api.routes.merging import Part, Place
from api.routes.readiness import states
from api.routes.service import Service
from broker.errors import (
    BrokerError,
    IdempotencyMismatch,
    OutcomeUnknown,
    StorageFull,
    StorageUnavailable,
    TooBusy,
    UnknownGeneration,
    UnsafeStorage,
)
from broker.ids import new_generation_id
from broker.placing import Weights, home, written
from broker.record import Record
from broker.request import GenerationRequest
from broker.store.shares import Shares
from tests.harness.clockwork import at_once

REQUEST = GenerationRequest.model_validate({"model": "sim-1", "messages": [{"role": "user", "content": "Hi"}]})
EVEN = {0: 1.0, 1: 1.0, 2: 1.0}
KEYS = [f"key {number}" for number in range(60)]


class Fake:
    """A cell that remembers what it has accepted, or raises `error` at every submit."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.error: Exception | None = None
        self.keys: set[str] = set()
        self.accepted = self.asked = 0
        self.agreement = SimpleNamespace(hears=True, apart=False)
        self.hub = SimpleNamespace(draining=False)
        self.submissions = self
        self.crowded = False
        self.ready_seconds = self.list_seconds = 0.0
        self.rows: list[tuple[Place, Any]] = []

    @property
    def takes_submits(self) -> bool:
        return bool(self.agreement.hears)

    def refuse_unless_accepting(self) -> None:
        if self.agreement.apart:
            raise Problem(Code.STORAGE_MISMATCH)

    def refuse_if_crowded(self) -> None: ...

    async def accept(self, _: object, key: str | None, *__: str) -> int:
        self.accepted += 1
        if self.error is not None:
            raise self.error
        if key is not None:
            self.keys.add(key)
        return self.number

    async def knows(self, _: object, key: str, __: str) -> bool:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return key in self.keys

    async def ready(self) -> None:
        await asyncio.sleep(self.ready_seconds)
        if self.error is not None:
            raise self.error

    async def list(self, before: Place | None, limit: int) -> Part[Record]:
        await asyncio.sleep(self.list_seconds)
        if self.error is not None:
            raise self.error
        left = [row for row in self.rows if before is None or row[0] < before][:limit]
        return Part(left, left[-1][0] if len(left) == limit else None)


class Town:
    """Cells by their weights. `heard`: what each coordination remembers of weights, as one."""

    def __init__(self, weights: Weights, *former: Weights) -> None:
        self.fakes = {number: Fake(number) for number in weights}
        heard = frozenset(map(written, (weights, *former)))
        shares = cast(Shares, SimpleNamespace(heard=heard))
        self.cells = Cells(
            {number: OneCell(cast(Service, fake), weights[number], shares) for number, fake in self.fakes.items()}
        )

    def submit(self, key: str | None = None) -> int:
        return cast(int, asyncio.run(self.cells.accept(REQUEST, key, "")))


# -- whose it is


def test_an_id_is_its_cell_s_and_of_one_that_is_not_listed_nothing_is_known(caplog: pytest.LogCaptureFixture) -> None:
    town = Town({0: 1.0, 3: 1.0})
    for number in (0, 3):
        assert cast(Any, town.cells.of(new_generation_id(number))) is town.fakes[number]
    with caplog.at_level(logging.WARNING):
        for id_ in (new_generation_id(4), new_generation_id(4), new_generation_id(5), "gen_", "gen_U" + "0" * 25):
            with pytest.raises(UnknownGeneration):
                town.cells.of(id_)
    assert [record.getMessage().split(",")[0][-6:] for record in caplog.records] == ["cell 4", "cell 5"]


# -- without a key


def test_submits_go_by_weight_and_none_to_a_cell_that_drains() -> None:
    town = Town({0: 1.0, 1: 3.0, 2: 0.0})
    found = Counter(town.submit() for _ in range(400))
    assert found.keys() == {0, 1}
    assert abs(found[1] - 300) < 5


@pytest.mark.parametrize("error", [StorageUnavailable("unreachable"), StorageFull(), TooBusy()])
def test_what_a_cell_cannot_take_another_takes(error: Exception) -> None:
    town = Town(EVEN)
    town.fakes[1].error = error
    assert {town.submit() for _ in range(30)} == {0, 2}
    tried = town.fakes[1].accepted
    assert tried == 1 if type(error) is StorageUnavailable else tried > 1, "one that is away is left alone"


def test_what_a_cell_may_have_taken_no_other_takes() -> None:
    town = Town(EVEN)
    for fake in town.fakes.values():
        fake.error = OutcomeUnknown("gen")
    with pytest.raises(OutcomeUnknown):
        town.submit()
    assert sum(fake.accepted for fake in town.fakes.values()) == 1


def test_where_all_are_away_the_client_is_told_and_one_is_tried() -> None:
    town = Town(EVEN)
    for fake in town.fakes.values():
        fake.error, fake.agreement.hears = StorageUnavailable(), False
    with pytest.raises(StorageUnavailable):
        town.submit()
    assert sum(fake.accepted for fake in town.fakes.values()) == 1
    for fake in town.fakes.values():
        fake.error = None
    assert town.submit() in EVEN


# -- with a key


def test_a_key_goes_to_its_home_and_is_refused_while_that_is_away() -> None:
    town = Town(EVEN)
    for key in KEYS:
        assert town.submit(key) == home(EVEN, key)
    assert not any(fake.asked for fake in town.fakes.values()), "weights have not changed"
    town.fakes[1].error = StorageUnavailable()
    for key in KEYS:
        if home(EVEN, key) == 1:
            with pytest.raises(StorageUnavailable):
                town.submit(key)
        else:
            town.submit(key)
    town.fakes[0].agreement.apart = True
    with pytest.raises(Problem, match="storage_mismatch"):
        town.submit(next(key for key in KEYS if home(EVEN, key) == 0))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({0: 1.0, 1: 1.0}, {0: 1.0, 1: 0.0}),
        ({0: 1.0, 1: 0.0}, {0: 1.0, 1: 1.0}),
        ({0: 1.0, 1: 1.0}, {0: 1.0, 1: 3.0}),
    ],
    ids=["drained", "added", "weighted"],
)
def test_what_a_key_made_is_found_where_it_was_at_home_before_weights_changed(before: Weights, after: Weights) -> None:
    town = Town(after, before)
    for key in KEYS[::2]:
        town.fakes[home(before, key)].keys.add(key)
    for key in KEYS[::2]:
        assert town.submit(key) == home(before, key)
    moved = [key for key in KEYS if home(before, key) != home(after, key)]
    assert moved
    for key in KEYS[1::2]:
        assert town.submit(key) == home(after, key)
    assert sum(fake.asked for fake in town.fakes.values()) == len(moved), "and nobody is asked in vain"
    for key in moved:
        town.fakes[home(before, key)].error = StorageUnavailable()
        with pytest.raises(StorageUnavailable):
            town.submit(key)
        town.fakes[home(before, key)].error = None


def test_of_a_cell_that_has_left_the_list_nothing_is_asked() -> None:
    town = Town({0: 1.0, 2: 1.0}, {0: 1.0, 1: 1.0})
    assert {town.submit(key) for key in KEYS} == {0, 2}


def test_a_key_with_another_body_is_a_mismatch_where_it_was_at_home_too() -> None:
    town = Town({0: 1.0, 1: 0.0}, {0: 1.0, 1: 1.0})
    town.fakes[1].error = IdempotencyMismatch()
    with pytest.raises(IdempotencyMismatch):
        town.submit(next(key for key in KEYS if home({0: 1.0, 1: 1.0}, key) == 1))


def test_before_any_cell_has_told_how_submits_were_shared_out_a_key_is_refused() -> None:
    town = Town(EVEN)
    for shares in town.cells._shares:
        shares.heard = None
    with pytest.raises(StorageUnavailable):
        town.submit("key")
    assert town.submit() in EVEN


# -- the whole


def listed(town: Town, *, partial: bool = False, run: Callable[[Any], Any] = asyncio.run) -> Any:
    async def list_in(service: Service, before: Place | None, limit: int) -> Part[Record]:
        return await cast(Fake, service).list(before, limit)

    return run(town.cells.list(list_in, None, 10, partial=partial))


def test_a_list_without_a_cell_is_refused_unless_a_part_will_do_and_says_which_is_missing() -> None:
    town = Town(EVEN)
    for number, fake in town.fakes.items():
        fake.rows = [((10 + number, "a"), number)]
    assert listed(town).records == [2, 1, 0]
    assert listed(town).missing == []
    town.fakes[1].error = StorageUnavailable("LOADING")
    with pytest.raises(Problem) as caught:
        listed(town)
    assert (caught.value.code, caught.value.extensions) == ("storage_loading", {"missing_cells": [1]})
    page = listed(town, partial=True)
    assert (page.records, page.missing) == ([2, 0], [1])
    town.fakes[0].agreement.hears = town.fakes[2].agreement.hears = False
    with pytest.raises(Problem) as caught:
        listed(town, partial=True)
    assert caught.value.extensions == {"missing_cells": [0, 1, 2]}


def test_a_cell_that_does_not_answer_is_waited_for_once_and_not_for_long_and_one_alone_for_as_long_as_it_takes() -> (
    None
):
    town = Town(EVEN)
    town.fakes[1].list_seconds = 1000.0
    assert listed(town, partial=True, run=at_once).missing == [1]
    assert not town.fakes[1].agreement.hears
    assert listed(town, partial=True).missing == [1], "without a wait"
    alone = Town({0: 1.0})
    alone.fakes[0].list_seconds = 10.0
    assert listed(alone, run=at_once).missing == []


def test_one_cell_alone_is_asked_whatever_is_known_of_it_and_fails_in_its_own_words() -> None:
    town = Town({0: 1.0})
    town.fakes[0].agreement.hears = False
    assert listed(town).records == []
    town.fakes[0].error = StorageUnavailable()
    for partial in (False, True):
        with pytest.raises(StorageUnavailable):
            listed(town, partial=partial)
    town.fakes[0].error = ValueError("a fault of ours")
    with pytest.raises(ValueError, match="ours"):
        listed(town)


def test_a_process_is_ready_while_any_cell_takes_submits_and_tells_how_each_is() -> None:
    town = Town({0: 1.0, 1: 2.0, 2: 0.0})
    town.fakes[0].error = UnsafeStorage()
    found = asyncio.run(town.cells.ready())
    assert [state.shown() for state in found] == [
        {"cell": 0, "weight": 1.0, "status": "unsafe_storage"},
        {"cell": 1, "weight": 2.0, "status": "ready"},
        {"cell": 2, "weight": 0.0, "status": "ready"},
    ]
    town.fakes[1].error = StorageUnavailable()
    with pytest.raises(Problem) as caught:
        asyncio.run(town.cells.ready())
    assert caught.value.code == "unsafe_storage"
    shown = cast(list[dict[str, Any]], caught.value.extensions["cells"])
    assert [cell["status"] for cell in shown] == ["unsafe_storage", "redis_unavailable", "ready"]


def test_a_cell_that_does_not_answer_holds_up_nobody_who_asks_whether_another_is_ready() -> None:
    town = Town(EVEN)
    town.fakes[2].ready_seconds = 1000.0

    async def timed() -> tuple[float, list[str]]:
        began = asyncio.get_running_loop().time()
        found = await states(town.cells.services, town.cells.weights)
        return asyncio.get_running_loop().time() - began, [state.shown()["status"] for state in found]

    seconds, found = at_once(timed())
    assert found == ["ready", "ready", "redis_unavailable"]
    assert seconds < 0.3
    for fake in town.fakes.values():
        fake.error, fake.ready_seconds = StorageUnavailable(), 2.0
    seconds, found = at_once(timed())
    assert found == ["redis_unavailable"] * 3, "each look has a bound of its own"
    assert seconds < 2.1


@pytest.mark.parametrize("error", [BrokerError(), ValueError()])
def test_a_fault_of_ours_is_no_cell_that_is_away(error: Exception) -> None:
    town = Town(EVEN)
    town.fakes[0].error = error
    with pytest.raises(type(error) if isinstance(error, ValueError) else Problem):
        listed(town)
