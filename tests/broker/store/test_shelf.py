"""What was read from the archive and is kept: read once, within a bound, and true."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import pytest

from broker.errors import ArchiveUnavailable
from broker.events import TEXT, Run
from broker.ids import BEGINNING, EntryId
from broker.packing import digest, pack
from broker.store.archive import Archive, Missing, name_of, new_mark
from broker.store.shelf import Shelf
from broker.turns import Turns
from tests.harness.clockwork import at_once

T = TypeVar("T")


class Store(Archive):
    """Objects in a dictionary; `gate` is what each read waits for."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.reads = 0
        self.gate: asyncio.Event | None = None

    async def get(self, name: str) -> bytes:
        self.reads += 1
        if self.gate is not None:
            await self.gate.wait()
        if name not in self.objects:
            raise Missing("no")
        return self.objects[name]


async def keep(store: Store, id_: str, text: bytes) -> str:
    """Puts a log there; its mark."""

    async def log() -> AsyncIterator[list[Run]]:
        yield [Run(EntryId(1, 0), [(TEXT, text)])]

    data = await pack(id_, {}, log(), Turns())
    mark = new_mark(await digest(data, Turns()))
    store.objects[name_of(id_, mark)] = data
    return mark


def do(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def test_a_crowd_costs_one_read_and_the_next_who_asks_none() -> None:
    async def play() -> None:
        store = Store()
        store.gate = asyncio.Event()
        shelf = Shelf(store, 10_000, Turns())
        mark = await keep(store, "one", b"text")
        crowd = [asyncio.create_task(shelf.get("one", mark)) for _ in range(5)]
        await asyncio.sleep(0)
        crowd[0].cancel()
        store.gate.set()
        _, *others = await asyncio.gather(*crowd, return_exceptions=True)
        assert len({id(each) for each in others}) == 1
        assert await (await shelf.get("one", mark)).runs(BEGINNING, 9, Turns()) == [
            Run(EntryId(1, 0), [(TEXT, b"text")])
        ]
        assert (store.reads, shelf.reads) == (1, 1)

    do(play())


def test_what_was_not_asked_for_for_longest_leaves_first_and_the_latest_stays() -> None:
    async def play() -> None:
        store = Store()
        marks = {id_: await keep(store, id_, b"text") for id_ in ("one", "two", "six")}
        size = len(next(iter(store.objects.values())))
        shelf = Shelf(store, 2 * size, Turns())
        for id_ in ("one", "two", "one", "six", "one"):
            await shelf.get(id_, marks[id_])
        assert (store.reads, shelf.bytes) == (3, 2 * size)
        await shelf.get("two", marks["two"])
        assert store.reads == 4
        none = Shelf(store, 0, Turns())
        for _ in range(3):
            await none.get("one", marks["one"])
        assert none.reads == 1

    do(play())


@pytest.mark.parametrize("damage", ["missing", "another", "cut", "a bit"])
def test_what_is_not_what_the_stub_names_is_not_read_nor_asked_for_again_at_once(damage: str) -> None:
    async def play() -> None:
        store = Store()
        shelf = Shelf(store, 10_000, Turns())
        mark, other = await keep(store, "one", b"text"), await keep(store, "two", b"text")
        name = name_of("one", mark)
        whole = store.objects.pop(name)
        damaged = bytes([*whole[:-1], whole[-1] ^ 1])
        found = {"another": store.objects[name_of("two", other)], "cut": whole[:-1], "a bit": damaged}.get(damage)
        if found is not None:
            store.objects[name] = found
        for _ in range(3):
            with pytest.raises(ArchiveUnavailable):
                await shelf.get("one", mark)
        assert store.reads == 1
        store.objects[name] = whole
        await asyncio.sleep(1)
        assert (await shelf.get("one", mark)).entries == 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("broker.store.shelf.monotonic", lambda: asyncio.get_running_loop().time())
        at_once(play())


def test_failures_are_remembered_within_a_bound() -> None:
    async def play() -> None:
        shelf = Shelf(Store(), 10_000, Turns())
        for number in range(1100):
            with pytest.raises(ArchiveUnavailable):
                await shelf.get(f"gen_{number}", new_mark("0"))
        assert len(shelf._failed) == 1000

    do(play())


def test_a_read_that_nobody_waits_for_ends_with_the_shelf() -> None:
    async def play() -> None:
        store = Store()
        store.gate = asyncio.Event()
        shelf = Shelf(store, 10_000, Turns())
        asking = asyncio.create_task(shelf.get("one", new_mark("0")))
        await asyncio.sleep(0)
        shelf.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert shelf._reads == {}

    do(play())
