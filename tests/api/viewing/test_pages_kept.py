"""Pages of logs, one by one: what is in a page, which are kept and for how long, who shares a read."""

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from api.dialects.native import NATIVE
from api.viewing.pages import Page, Pages
from broker.errors import StorageUnavailable
from broker.events import END, TEXT, Entry
from broker.ids import BEGINNING, EntryId
from broker.store.logs import Logs
from broker.store.strict_end import StrictEnds
from broker.turns import Turns
from tests.api.viewing.test_feed import bytes_of
from tests.harness.clockwork import at_once

ID, OTHER = "gen_" + "0" * 26, "gen_" + "1" * 26
PAGE = 1000
"""Entries of a page that is full."""
PIECE = 128 * 1024
"""Bytes at which a piece of a page is whole."""
BESIDES = 200
"""Bytes that a kept page counts besides its frames."""


def entry(seq: int, size: int = 1, kind: bytes = TEXT, attempt: int = 1) -> Entry:
    return Entry(EntryId(attempt, seq), kind, b"{}" if kind == END else b"x" * size)


def run(count: int) -> list[Entry]:
    return [entry(seq) for seq in range(count)]


def ended(count: int) -> list[Entry]:
    return [*run(count), entry(0, kind=END, attempt=2)]


class Log:
    """The same entries for each id. `away`: it cannot be read. A read waits while the log is held."""

    def __init__(self, *entries: Entry) -> None:
        self.entries = list(entries)
        self.reads: list[tuple[EntryId, int]] = []
        self.away = False
        self.open = asyncio.Event()
        self.open.set()

    async def erased(self, id_: str) -> bool:
        return False

    async def from_(self, _: str, first: EntryId, count: int) -> list[Entry]:
        self.reads.append((first, count))
        await self.open.wait()
        if self.away:
            raise StorageUnavailable
        return [each for each in self.entries if each.id >= first][:count]


class Held:
    """Ends that are not safe before they are let go."""

    def __init__(self, *, holds: bool = False) -> None:
        self.held = holds
        self.let_go = asyncio.Event()
        self.asked: list[tuple[str, EntryId]] = []

    def holds(self, _: str, entry: Entry) -> bool:
        return self.held and entry.kind == END

    async def safe(self, id_: str, end: EntryId) -> None:
        self.asked.append((id_, end))
        await self.let_go.wait()
        self.held = False


class Shelf:
    def __init__(self, *entries: Entry, most: int = 1 << 20, holds: bool = False) -> None:
        self.log, self.strict_ends = Log(*entries), Held(holds=holds)
        self.pages = Pages(cast(Logs, self.log), cast(StrictEnds, self.strict_ends), most, Turns())

    async def page(self, cursor: EntryId = BEGINNING, id_: str = ID) -> Page:
        page = self.pages.after(id_, NATIVE, cursor, None)
        return page if isinstance(page, Page) else await page

    def kept(self, cursor: EntryId = BEGINNING, id_: str = ID) -> bool:
        return (id_, NATIVE, cursor) in self.pages._kept


def scene(work: Coroutine[Any, Any, None]) -> None:
    at_once(work)


@pytest.mark.parametrize(
    ("entries", "cursor", "behind", "full", "at_end", "gone"),
    [
        ([], BEGINNING, 0, False, False, True),
        ([], EntryId(1, 4), 0, False, False, True),
        (run(3), BEGINNING, 3, False, False, False),
        (run(3), EntryId(1, 0), 2, False, False, False),
        (run(3), EntryId(1, 2), 0, False, False, False),
        (run(PAGE - 1), BEGINNING, PAGE - 1, False, False, False),
        (run(PAGE), BEGINNING, PAGE, True, False, False),
        (run(PAGE + 1), BEGINNING, PAGE, True, False, False),
        (run(PAGE), EntryId(1, 0), PAGE - 1, False, False, False),
        (run(PAGE + 1), EntryId(1, 0), PAGE, True, False, False),
        (ended(2), BEGINNING, 3, False, True, False),
        (ended(PAGE - 1), BEGINNING, PAGE, True, True, False),
    ],
)
def test_a_page_has_what_follows_its_cursor_up_to_a_thousand_entries(
    entries: list[Entry], cursor: EntryId, behind: int, *, full: bool, at_end: bool, gone: bool
) -> None:
    async def read() -> None:
        shelf = Shelf(*entries)
        page = await shelf.page(cursor)
        there = [each for each in entries if each.id > cursor][:behind]
        assert b"".join(piece for piece, _ in page.pieces) == bytes_of(there)
        last = there[-1].id if there else cursor
        assert page == Page(page.pieces, last, at_end, full, rewound=False, gone="expired" if gone else None)
        assert [cursor for _, cursor in page.pieces[-1:]] == [last] * bool(there)
        assert shelf.log.reads == [(cursor, PAGE + 1)]

    scene(read())


def test_a_log_that_goes_on_without_the_cursors_entry_is_rewound_and_nothing_else() -> None:
    async def read() -> None:
        shelf = Shelf(*run(2), entry(0, attempt=2))
        assert await shelf.page(EntryId(1, 2)) == Page(
            [], EntryId(1, 2), ended=False, full=False, rewound=True, gone=None
        )
        assert not shelf.kept(EntryId(1, 2))

    scene(read())


def test_a_page_is_cut_into_pieces_that_one_write_can_take() -> None:
    bare = len(bytes_of([entry(0, size=0)]))
    half = PIECE // 2 - bare
    sizes = [half, half - 1, 1, half, half, half, half - 1, 1, 1]
    entries = [entry(seq, size) for seq, size in enumerate(sizes)]

    async def read() -> None:
        pieces = (await Shelf(*entries).page()).pieces
        cuts = [(0, 3), (3, 5), (5, 8), (8, 9)]
        assert pieces == [(bytes_of(entries[start:stop]), EntryId(1, stop - 1)) for start, stop in cuts]

    scene(read())


def test_a_full_page_and_an_end_are_read_once_and_what_may_grow_is_read_again() -> None:
    async def read() -> None:
        for entries, times in ((run(PAGE + 1), 1), (ended(2), 1), (run(2), 2)):
            shelf = Shelf(*entries)
            assert await shelf.page() == await shelf.page()
            assert len(shelf.log.reads) == times
            assert shelf.kept() is (times == 1)

    scene(read())


def test_who_asks_for_the_same_page_meanwhile_shares_the_read_and_who_asks_for_another_does_not() -> None:
    async def read() -> None:
        shelf = Shelf(*ended(2))
        assert (shelf.pages.hits, shelf.pages.reads, shelf.pages.bytes) == (0, 0, 0)
        first, *same = [shelf.pages.after(ID, NATIVE, BEGINNING, None) for _ in range(3)]
        assert isinstance(first, asyncio.Task)
        assert same == [first] * 2
        others = [shelf.pages.after(OTHER, NATIVE, BEGINNING, None), shelf.pages.after(ID, NATIVE, EntryId(1, 0), None)]
        assert all(isinstance(other, asyncio.Task) and other is not first for other in others)
        page = await first
        assert shelf.pages.after(ID, NATIVE, BEGINNING, None) is page
        assert (shelf.pages.hits, shelf.pages.reads) == (3, 3)
        await asyncio.sleep(0)
        assert shelf.pages._reads == {}

    scene(read())


def size(entries: list[Entry]) -> int:
    return len(bytes_of(entries)) + BESIDES


def test_the_page_that_was_not_asked_for_for_longest_leaves_first() -> None:
    async def read() -> None:
        log = ended(5)
        cursors = [BEGINNING, EntryId(1, 0), EntryId(1, 1)]
        sizes = [size(log), size(log[1:]), size(log[2:])]
        shelf = Shelf(*log, most=sum(sizes) - 1)
        for cursor in cursors[:2]:
            await shelf.page(cursor)
        assert shelf.kept(cursors[0])
        await shelf.page(cursors[0])
        await shelf.page(cursors[2])
        assert [shelf.kept(cursor) for cursor in cursors] == [True, False, True]
        assert shelf.pages.bytes == sizes[0] + sizes[2]

    scene(read())


@pytest.mark.parametrize(("less", "fits"), [(0, 2), (1, 1)])
def test_pages_are_kept_up_to_the_bound_and_not_beyond_it(less: int, fits: int) -> None:
    async def read() -> None:
        log = ended(5)
        shelf = Shelf(*log, most=size(log) * 2 - less)
        for id_ in (ID, OTHER):
            await shelf.page(id_=id_)
        assert len(shelf.pages._kept) == fits
        assert shelf.kept(id_=OTHER)

    scene(read())


@pytest.mark.parametrize(("less", "kept"), [(0, True), (1, False)])
def test_a_page_that_is_larger_than_the_whole_cache_drives_nothing_out_of_it(less: int, *, kept: bool) -> None:
    async def read() -> None:
        log = ended(5)
        shelf = Shelf(*log, most=size(log) - less)
        await shelf.page(EntryId(1, 3))
        await shelf.page()
        assert (shelf.kept(), shelf.kept(EntryId(1, 3))) == (kept, not kept)

    scene(read())


def test_the_pages_of_a_log_that_has_gone_are_forgotten_and_their_room_is_free() -> None:
    async def read() -> None:
        log = ended(5)
        later = EntryId(1, 0)
        shelf = Shelf(*log, most=size(log) + size(log[1:]))
        await shelf.page()
        await shelf.page(later, OTHER)
        shelf.pages.forget(ID)
        assert (shelf.kept(), shelf.kept(later, OTHER)) == (False, True)
        assert shelf.pages.bytes == size(log[1:])
        await shelf.page()
        assert (shelf.kept(), shelf.kept(later, OTHER)) == (True, True)
        shelf.pages.forget_all()
        assert (shelf.pages._kept, shelf.pages.bytes) == ({}, 0)
        await shelf.page()
        await shelf.page(later, OTHER)
        assert (shelf.kept(), shelf.kept(later, OTHER)) == (True, True)

    scene(read())


def test_a_read_that_fails_is_told_to_its_reader_and_the_next_one_reads_anew() -> None:
    async def read() -> None:
        shelf = Shelf(*ended(2))
        shelf.log.away = True
        with pytest.raises(StorageUnavailable):
            await shelf.page()
        shelf.log.away = False
        assert (await shelf.page()).ended

    scene(read())


def test_a_read_that_fails_when_its_readers_are_gone_is_no_error_of_anybody() -> None:
    async def read() -> None:
        shelf, told = Shelf(), list[Any]()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        shelf.log.away = True
        shelf.pages.after(ID, NATIVE, BEGINNING, None)
        for _ in range(5):
            await asyncio.sleep(0)
        assert shelf.pages._reads == {}
        assert told == []

    scene(read())


def test_reads_end_with_the_cache() -> None:
    async def read() -> None:
        shelf, told = Shelf(*run(2)), list[Any]()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        shelf.log.open.clear()
        reads = [shelf.pages.after(id_, NATIVE, BEGINNING, None) for id_ in (ID, OTHER)]
        await asyncio.sleep(0)
        shelf.pages.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert all(isinstance(read, asyncio.Task) and read.cancelled() for read in reads)
        assert shelf.pages._reads == {}
        assert told == []

    scene(read())


def test_an_end_that_is_not_safe_is_left_out_of_the_page_before_it() -> None:
    async def read() -> None:
        shelf = Shelf(*ended(2), holds=True)
        page = await shelf.page()
        assert page == Page([(bytes_of(run(2)), EntryId(1, 1))], EntryId(1, 1), ended=False, full=False)
        assert shelf.strict_ends.asked == []
        assert not shelf.kept()

    scene(read())


def test_an_end_that_is_not_safe_is_a_page_of_its_own_which_is_waited_for_and_then_read_anew() -> None:
    async def read() -> None:
        shelf = Shelf(*ended(2), holds=True)
        reading = shelf.pages.after(ID, NATIVE, EntryId(1, 1), None)
        assert isinstance(reading, asyncio.Task)
        await asyncio.sleep(1)
        assert not reading.done()
        assert shelf.strict_ends.asked == [(ID, EntryId(2, 0))]
        shelf.log.entries[-1:] = [entry(2), entry(0, kind=END, attempt=3)]
        shelf.strict_ends.let_go.set()
        page = await reading
        assert (page.last, page.ended) == (EntryId(3, 0), True)
        assert [read for read, _ in shelf.log.reads] == [EntryId(1, 1)] * 2

    scene(read())
