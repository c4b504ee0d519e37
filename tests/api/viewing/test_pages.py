"""What is read from logs for viewers who are not at the live end."""

import asyncio
from typing import cast

from api.dialects.native import NATIVE, local_frame
from api.viewing.pages import Page, Pages
from api.viewing.viewer import Viewer
from broker.events import END, TEXT, Entry
from broker.ids import BEGINNING, EntryId
from broker.store.logs import Logs
from broker.store.strict_end import StrictEnds
from broker.turns import Turns
from tests.api.viewing.test_feed import PLAIN, take


class List:
    """A log in a list, read as Redis reads it."""

    def __init__(self, *ids: tuple[int, int]) -> None:
        self.entries = [Entry(EntryId(*id_), TEXT, b"x") for id_ in ids]

    async def from_(self, id_: str, first: EntryId, count: int) -> list[Entry]:
        return [entry for entry in self.entries if entry.id >= first][:count]


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
