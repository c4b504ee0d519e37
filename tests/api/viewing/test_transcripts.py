"""What logs amount to, told to many: how much is read for it, who shares it, what is kept. The log is a list."""

import asyncio
import random
from collections.abc import Coroutine, Iterator
from typing import Any, cast

import pytest

from api.dialects.native import NATIVE
from api.dialects.text import TEXT_VIEW
from api.viewing.transcripts import Told, Transcripts
from broker.errors import StorageUnavailable
from broker.events import EVENT, TEXT, Entry, Run
from broker.ids import BEGINNING, EntryId
from broker.store.logs import Logs, runs_of
from broker.transcript import Transcript
from broker.turns import Turns
from tests.api.dialects.test_dialects import log_of
from tests.harness.clockwork import at_once

ID = "gen_" + "0" * 26
PIECE = 64 * 1024
START = Entry(EntryId(1, 0), EVENT, b'{"type":"block_start","index":0,"block":{"type":"text","text":""}}')


def run_of(count: int, size: int = 1) -> list[Entry]:
    return [START, *(Entry(EntryId(1, seq), TEXT, b"x" * size) for seq in range(1, count))]


class Log:
    """The same entries for each id. `away`: it cannot be read. A read waits while the log is held."""

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        self.read = 0
        self.away = False
        self.open = asyncio.Event()
        self.open.set()

    async def runs(self, _: str, first: EntryId, count: int) -> list[Run]:
        found = [each for each in self.entries if each.id >= first][:count]
        self.read += len(found)
        await self.open.wait()
        await asyncio.sleep(0)
        if self.away:
            raise StorageUnavailable
        return runs_of([(str(id_).encode(), (kind, value)) for id_, kind, value in found])


class Shelf:
    def __init__(self, entries: list[Entry], most: int = 1 << 20) -> None:
        self.log = Log(entries)
        self.transcripts = Transcripts(cast(Logs, self.log), most, Turns())

    async def native(self, id_: str = ID) -> Told:
        return await self.transcripts.told(id_, NATIVE.snapshot)

    def is_kept(self, id_: str) -> bool:
        return id_ in self.transcripts._known


def scene(work: Coroutine[Any, Any, None]) -> None:
    at_once(work)


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def whole(told: Told) -> bytes:
    return b"".join(told.pieces)


@pytest.mark.parametrize("count", [0, 1, 500, 3500])
def test_a_log_is_told_as_its_dialect_tells_it(count: int) -> None:
    async def tells() -> None:
        entries = log_of(random.Random(count), count)
        shelf, transcript = Shelf(entries), Transcript(entries)
        for form in (NATIVE.snapshot, TEXT_VIEW.snapshot):
            told = await shelf.transcripts.told(ID, form)
            assert whole(told) == b"".join(form(transcript))
            assert told[1:] == (transcript.cursor, transcript.last, entries[-1])

    scene(tells())


def test_who_asks_again_costs_a_look_and_gets_the_same_bytes() -> None:
    async def asks() -> None:
        shelf = Shelf(run_of(2500))
        first = await shelf.native()
        shelf.log.read = 0
        assert await shelf.native() is first
        assert shelf.log.read == 1, "the last entry, which is still there"
        shelf.log.entries = run_of(2600)
        assert (await shelf.native()).last == EntryId(1, 2599)
        assert shelf.log.read == 1 + 101

    scene(asks())


def test_many_who_ask_at_once_have_one_fold_and_one_copy() -> None:
    async def ask() -> None:
        shelf = Shelf(run_of(2500))
        told = await asyncio.gather(*(shelf.native() for _ in range(20)))
        assert len(set(map(id, told))) == 1
        assert shelf.log.read <= 2500 + 2 + 1
        assert not shelf.transcripts._under_way

    scene(ask())


def test_what_was_in_the_log_when_it_was_asked_for_is_told_though_it_was_being_read() -> None:
    async def ask() -> None:
        shelf = Shelf(run_of(10))
        shelf.log.open.clear()
        early = asyncio.create_task(shelf.native())
        await turns()
        shelf.log.entries = run_of(12)
        late = [asyncio.create_task(shelf.native()) for _ in range(3)]
        await turns()
        shelf.log.open.set()
        assert (await early).last == EntryId(1, 9)
        assert [(await each).last for each in late] == [EntryId(1, 11)] * 3
        assert shelf.transcripts.reads == 2

    scene(ask())


def test_one_who_leaves_does_not_take_it_from_the_others() -> None:
    async def ask() -> None:
        shelf = Shelf(run_of(1500))
        shelf.log.open.clear()
        asking = [asyncio.create_task(shelf.native()) for _ in range(3)]
        await turns()
        for each in asking[:2]:
            each.cancel()
        await turns()
        shelf.log.open.set()
        assert (await asking[2]).last == EntryId(1, 1499)

    scene(ask())


def test_a_log_that_has_lost_its_tail_is_told_as_it_is() -> None:
    async def ask() -> None:
        shelf = Shelf(run_of(1500))
        await shelf.native()
        shelf.log.entries = [*run_of(700), Entry(EntryId(9, 0), TEXT, b"y")]
        told = await shelf.native()
        assert whole(told) == b"".join(NATIVE.snapshot(Transcript(shelf.log.entries)))
        shelf.log.entries = []
        assert (await shelf.native()).last == BEGINNING

    scene(ask())


def test_a_redis_that_is_away_is_told_to_all_and_asked_again_by_the_next() -> None:
    async def ask() -> None:
        shelf = Shelf(run_of(1500))
        shelf.log.away = True
        failed = await asyncio.gather(*(shelf.native() for _ in range(3)), return_exceptions=True)
        assert [type(each) for each in failed] == [StorageUnavailable] * 3
        shelf.log.away = False
        assert (await shelf.native()).last == EntryId(1, 1499)

    scene(ask())


def test_what_was_not_asked_for_for_longest_leaves_first() -> None:
    async def ask() -> None:
        shelf = Shelf(run_of(100, 1000), most=700_000)  # one takes about 300,000: itself, and twice in its snapshot
        for id_ in ("a", "b", "a", "c"):
            await shelf.native(id_)
        assert [shelf.is_kept(id_) for id_ in "abc"] == [True, False, True]
        assert shelf.transcripts.bytes <= 700_000
        shelf.log.entries = run_of(400, 1000)
        await shelf.native("d")
        assert not any(shelf.is_kept(id_) for id_ in "abcd"), "alone it is more than there may be"
        assert shelf.transcripts.bytes == 0

    scene(ask())


def test_of_many_long_logs_a_few_are_folded_at_a_time() -> None:
    async def ask() -> None:
        shelf, folding, most = Shelf(run_of(10)), 0, 0

        def form(transcript: Transcript) -> Iterator[bytes]:
            nonlocal folding, most
            folding += 1
            most = max(most, folding)
            yield b"x" * 100_000
            folding -= 1

        shelf.log.open.clear()
        asking = [asyncio.create_task(shelf.transcripts.told(f"gen_{number}", form)) for number in range(20)]
        await turns()
        assert shelf.log.read == 4 * 10
        shelf.log.open.set()
        await asyncio.gather(*asking)
        assert most <= 4

    scene(ask())


def test_pieces_are_such_that_one_write_can_take_them() -> None:
    async def ask() -> None:
        told = await Shelf(run_of(1000, 300)).native()
        assert {len(piece) for piece in told.pieces[:-1]} == {PIECE}
        assert 0 < len(told.pieces[-1]) <= PIECE
        assert whole(told) == b"".join(NATIVE.snapshot(Transcript(run_of(1000, 300))))

    scene(ask())


def test_what_is_under_way_ends_with_its_owner() -> None:
    async def ask() -> None:
        shelf = Shelf(run_of(10))
        shelf.log.open.clear()
        asking = asyncio.create_task(shelf.native())
        await turns()
        shelf.transcripts.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()
        assert not shelf.transcripts._under_way

    scene(ask())
