"""Borders, one by one: which states are remembered, for how long, and what it takes to find one out again."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any, cast

import pytest

from api.dialects import UNKNOWN
from api.viewing.borders import Borders
from broker.events import TEXT, Entry
from broker.ids import BEGINNING, EntryId
from broker.store.logs import Logs
from broker.turns import Turns
from tests.api.dialects.test_dialects import ID, Counting, Log
from tests.harness.clockwork import at_once

DIALECT = Counting()
OTHERS = 2000
"""So many logs are remembered."""


class Shelf:
    """Borders of a log with as many texts; the state behind one is how many there are up to it."""

    def __init__(self, count: int = 0, text: bytes = b"x") -> None:
        self.log = Log([Entry(EntryId(5, seq), TEXT, text) for seq in range(count)])
        self.borders = Borders(cast(Logs, self.log), Turns())

    def note(self, seq: int, id_: str = ID) -> None:
        self.borders.note(id_, DIALECT, EntryId(5, seq), seq + 1)

    async def read(self, seq: int, id_: str = ID) -> tuple[object, int]:
        """The state behind an entry, and how many entries were read for it."""
        self.log.read = 0
        state = await self.borders.state(id_, DIALECT, EntryId(5, seq))
        return state, self.log.read

    def noted(self, id_: str = ID) -> list[int]:
        return [cursor.seq for cursor, _ in self.borders._known.get((id_, DIALECT), [])]


def scene(work: Coroutine[Any, Any, None]) -> None:
    at_once(work)


def test_a_log_is_folded_from_the_border_before_the_cursor() -> None:
    async def reads() -> None:
        shelf = Shelf(2500)
        for seq in (2000, 500, 1000):
            shelf.note(seq)
        assert shelf.noted() == [500, 1000, 2000]
        assert await shelf.read(500) == (501, 0)
        assert await shelf.read(501) == (502, 2)
        assert await shelf.read(1999) == (2000, 1000)
        assert await shelf.read(2400) == (2401, 401)
        assert await shelf.read(499) == (500, 1000)

    scene(reads())


def test_what_is_folded_on_the_way_is_noted_page_by_page_and_once() -> None:
    async def reads() -> None:
        shelf = Shelf(3500)
        state, read = await shelf.read(3400)
        assert (state, read) == (3401, 1000 + 2402)
        assert shelf.noted() == [999, 1999, 2999]
        for seq in (999, 2999):
            shelf.note(seq)
        assert shelf.noted() == [999, 1999, 2999]
        assert await shelf.read(2999) == (3000, 0)

    scene(reads())


@pytest.mark.parametrize(("each", "trips"), [(20, 4), (200, 7), (5000, 12)])
def test_what_is_far_away_is_read_in_few_trips_of_bounded_size(each: int, trips: int) -> None:
    async def reads() -> None:
        shelf = Shelf(12_000, b"x" * each)
        state, read = await shelf.read(11_999)
        assert (state, read) == (12_000, 12_000 + shelf.log.reads - 1), "every entry once, and the border of each trip"
        assert shelf.log.reads == trips
        assert shelf.noted() == [*range(999, 12_000, 1000)]

    scene(reads())


def test_entries_of_many_attempts_are_folded_once_each() -> None:
    async def reads() -> None:
        shelf = Shelf()
        shelf.log.entries += [
            Entry(EntryId(attempt, seq), TEXT, b"x") for attempt in range(5, 5005, 5) for seq in range(attempt % 17 + 1)
        ]
        ids = [entry.id for entry in shelf.log.entries]
        for at in (len(ids) - 1, len(ids) // 2, 3, len(ids) // 2 + 7):
            assert await shelf.borders.state(ID, DIALECT, ids[at]) == at + 1
        assert [ids.index(cursor) for cursor, _ in shelf.borders._known[ID, DIALECT]] == [*range(999, len(ids), 1000)]

    scene(reads())


def test_what_a_dialect_knows_another_does_not() -> None:
    async def reads() -> None:
        shelf = Shelf(10)
        shelf.borders.note(ID, Counting(), EntryId(5, 5), 77)
        assert await shelf.read(6) == (7, 10)

    scene(reads())


def test_the_beginning_has_the_state_with_which_a_dialect_begins() -> None:
    async def reads() -> None:
        shelf = Shelf(0)
        assert await shelf.borders.state(ID, DIALECT, BEGINNING) == 0
        assert await shelf.read(3) == (UNKNOWN, 0)

    scene(reads())


@pytest.mark.parametrize("left", [0, 3])
def test_a_border_that_the_log_does_not_have_is_forgotten(left: int) -> None:
    async def reads() -> None:
        shelf = Shelf(10)
        shelf.note(2)
        shelf.note(7)
        del shelf.log.entries[left:]
        shelf.log.entries += [Entry(EntryId(9, seq), TEXT, b"y") for seq in range(4)] if left else []
        state = await shelf.borders.state(ID, DIALECT, EntryId(9, 2))
        assert state == (left + 3 if left else UNKNOWN)
        assert shelf.noted() == []

    scene(reads())


def test_a_cursor_that_the_log_does_not_have_has_no_state() -> None:
    async def reads() -> None:
        shelf = Shelf(10)
        assert await shelf.read(10) == (UNKNOWN, 10 + 1)
        shelf.note(9)
        assert (await shelf.read(12))[0] is UNKNOWN

    scene(reads())


def test_the_log_that_was_not_asked_for_for_longest_leaves_first() -> None:
    async def reads() -> None:
        shelf = Shelf(10)
        names = [f"gen_{number}" for number in range(OTHERS + 2)]
        for name in names[:OTHERS]:
            shelf.note(5, name)
        shelf.note(6, names[0])  # one more of the first, and a look at the second
        assert await shelf.read(5, names[1]) == (6, 0)
        assert len(shelf.borders._known) == OTHERS
        for name in names[OTHERS:]:
            shelf.note(5, name)
        assert len(shelf.borders._known) == OTHERS
        assert [bool(shelf.noted(name)) for name in names[:5]] == [True, True, False, False, True]

    scene(reads())


def test_what_is_forgotten_is_found_out_again() -> None:
    async def reads() -> None:
        shelf = Shelf(10)
        for forget in (partial(shelf.borders.forget, ID), shelf.borders.forget_all):
            shelf.note(5)
            shelf.note(5, "gen_other")
            forget()
            assert shelf.noted() == []
            assert await shelf.read(5) == (6, 10)
        assert shelf.noted("gen_other") == []

    scene(reads())


def test_who_asks_while_another_does_gets_the_same() -> None:
    async def reads() -> None:
        shelf = Shelf(2500)
        states = await asyncio.gather(*(shelf.borders.state(ID, DIALECT, EntryId(5, 2400)) for _ in range(3)))
        assert states == [2401] * 3
        assert shelf.noted() == [999, 1999]

    scene(reads())


def test_many_who_come_back_at_many_cursors_have_the_log_folded_once() -> None:
    async def reads() -> None:
        shelf = Shelf(5500)
        cursors = [*range(100, 5500, 270), 5400]
        states = await asyncio.gather(*(shelf.borders.state(ID, DIALECT, EntryId(5, seq)) for seq in cursors))
        assert states == [seq + 1 for seq in cursors]
        assert shelf.noted() == [999, 1999, 2999, 3999, 4999]
        assert shelf.log.read <= 1001 * (5 + len(cursors)), "a page each, and those between them once"
        assert not shelf.borders._folding

    scene(reads())
