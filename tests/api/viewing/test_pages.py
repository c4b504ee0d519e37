"""What is read from logs for viewers who are not at the live end."""

import asyncio
from typing import cast

import pytest

from api.dialects import Dialect
from api.dialects.native import NATIVE, local_frame
from api.dialects.text import TEXT_VIEW
from api.viewing.pages import Page, Pages
from api.viewing.viewer import Viewer
from broker.events import END, TEXT, WITHDRAW, Entry, Run
from broker.ids import BEGINNING, EntryId
from broker.store.logs import Logs
from broker.store.strict_end import StrictEnds
from broker.turns import Turns
from tests.api.dialects.test_dialects import runs_of
from tests.api.viewing.test_feed import PLAIN, take


class List:
    """A log in a list, read as Redis reads it."""

    def __init__(self, *ids: tuple[int, int]) -> None:
        self.entries = [Entry(EntryId(*id_), TEXT, b"x") for id_ in ids]

    async def erased(self, id_: str) -> bool:
        return False

    async def from_(self, id_: str, first: EntryId, count: int) -> list[Entry]:
        return [entry for entry in self.entries if entry.id >= first][:count]

    async def runs(self, id_: str, first: EntryId, count: int) -> list[Run]:
        return runs_of(await self.from_(id_, first, count))


class Never:
    """No generation is strictly durable."""

    def holds(self, id_: str, newest: Entry) -> bool:
        return False


def pages_of(log: List) -> Pages:
    return Pages(cast(Logs, log), cast(StrictEnds, Never()), 1 << 20, Turns())


async def read(pages: Pages, cursor: EntryId) -> Page:
    page = pages.after("gen_x", NATIVE, cursor, None)
    return page if isinstance(page, Page) else await page


def test_a_page_is_what_follows_the_cursor() -> None:
    log = List((1, 0), (1, 1), (2, 0))
    for cursor, last, pieces in ((BEGINNING, (2, 0), 1), (EntryId(1, 1), (2, 0), 1), (EntryId(2, 0), (2, 0), 0)):
        page = asyncio.run(read(pages_of(log), cursor))
        assert (page.last, len(page.pieces), page.rewound) == (EntryId(*last), pieces, False)


def test_a_log_that_went_on_without_the_cursors_entry_is_no_continuation() -> None:
    """Redis came back without 1-2, and another attempt has written since."""
    page = asyncio.run(read(pages_of(List((1, 0), (1, 1), (2, 0))), EntryId(1, 2)))
    assert page.rewound
    assert not page.pieces


def withdrawn() -> List:
    log = List()
    log.entries = [
        Entry(EntryId(3, 0), WITHDRAW, b'{"type":"withdraw"}'),
        Entry(EntryId(4, 0), END, b'{"type":"error"}'),
    ]
    return log


@pytest.mark.parametrize("dialect", [NATIVE, TEXT_VIEW])
def test_whoever_comes_with_a_cursor_of_what_was_withdrawn_gets_what_stands_in_its_place(dialect: Dialect) -> None:
    async def asked(cursor: EntryId) -> list[bytes]:
        page = pages_of(withdrawn()).after("gen_x", dialect, cursor, dialect.behind(cursor))
        page = page if isinstance(page, Page) else await page
        assert (page.ended, page.rewound) == (True, False)
        return [piece for piece, _ in page.pieces]

    whole = asyncio.run(asked(BEGINNING))
    assert b"id: 3-0" in whole[0]
    assert asyncio.run(asked(EntryId(1, 7))) == whole
    assert b"id: 3-0" not in asyncio.run(asked(EntryId(3, 0)))[0]


def test_a_read_that_was_under_way_when_its_log_is_forgotten_is_not_kept() -> None:
    class Slow(List):
        async def erased(self, id_: str) -> bool:
            return False

        async def from_(self, id_: str, first: EntryId, count: int) -> list[Entry]:
            found = await super().from_(id_, first, count)
            await asyncio.sleep(0)
            return found

    async def run() -> None:
        log = Slow((1, 0), (1, 1))
        log.entries[-1] = Entry(EntryId(1, 1), END, b"{}")
        pages = pages_of(log)
        early = pages.after("gen_x", NATIVE, BEGINNING, None)
        await asyncio.sleep(0)
        pages.forget("gen_x")
        log.entries = withdrawn().entries
        late = pages.after("gen_x", NATIVE, BEGINNING, None)
        assert isinstance(early, asyncio.Task)
        assert isinstance(late, asyncio.Task)
        assert ((await early).last, (await late).last) == (EntryId(1, 1), EntryId(4, 0))
        assert (await read(pages, BEGINNING)).last == EntryId(4, 0)

    asyncio.run(run())


def test_a_viewer_ahead_of_a_log_that_went_on_is_told_and_begins_anew() -> None:
    async def watch() -> bytes:
        viewer = Viewer("gen_x", PLAIN, None, pages_of(List((1, 0), (1, 1), (2, 0))), EntryId(1, 2))
        more, got = asyncio.Event(), b""
        viewer.wake = more.set
        while b"id: 2-0" not in got:
            more.clear()
            if not (took := take(viewer)):
                await asyncio.wait_for(more.wait(), 5)
            got += took
        return got

    got = asyncio.run(watch())
    assert got.startswith(local_frame("gap", reason="rewound"))
    assert [line for line in got.split(b"\n") if line.startswith(b"id: ")] == [b"id: 1-0", b"id: 1-1", b"id: 2-0"]


def test_a_page_is_not_kept_when_redis_was_away() -> None:
    log = List((1, 0), (1, 1))
    log.entries[-1] = Entry(EntryId(1, 1), END, b"{}")
    pages = pages_of(log)
    assert asyncio.run(read(pages, EntryId(1, 0))).ended
    del log.entries[-1]
    assert asyncio.run(read(pages, EntryId(1, 0))).ended, "a full page or an end never changes, as long as Redis stays"
    pages.forget_all()
    assert not asyncio.run(read(pages, EntryId(1, 0))).ended
