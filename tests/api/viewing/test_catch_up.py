"""A feed and its log, without a server: what is missed is read, what is lost is told, and nothing is shown that the log has
not. The log is a list; a read may be held up, so that much can happen while it is under way."""

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from api.viewing import catch_up as module
from api.viewing.catch_up import CatchUp
from api.viewing.feed import Feed
from api.viewing.pages import Pages
from broker.errors import StorageUnavailable
from broker.events import END, START, TEXT, WITHDRAW, Append, Entry
from broker.ids import BEGINNING, EntryId
from broker.replies import Newest
from broker.store.logs import Logs
from broker.store.vault import Vault
from broker.turns import Turns
from tests.api.viewing.test_feed import arrive
from tests.harness.clockwork import at_once

ID = "gen_" + "0" * 26


def entry(attempt: int, seq: int, kind: bytes = TEXT) -> Entry:
    return Entry(EntryId(attempt, seq), START if seq == 0 and kind == TEXT else kind, f"{attempt}-{seq}".encode())


def entries(attempt: int, *seqs: int) -> list[Entry]:
    return [entry(attempt, seq) for seq in seqs]


def append(*of: Entry, prev: EntryId | None = None) -> Append:
    first = of[0].id
    return Append(prev or EntryId(first.attempt, first.seq - 1), list(of))


class FakeLog:
    """One log, as Logs gives it. `there`: the record is. `hold` makes reads wait for `let_go`."""

    def __init__(self, *of: Entry) -> None:
        self.entries = list(of)
        self.there = True
        self.vault = Vault()
        self.fails = 0
        self.reads = 0
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        self._open.clear()

    def let_go(self) -> None:
        self._open.set()

    async def _read(self) -> None:
        self.reads += 1
        await self._open.wait()
        await asyncio.sleep(0)
        if self.fails:
            self.fails -= 1
            raise StorageUnavailable

    async def newest(self, id_: str) -> Newest:
        found = self.entries[-1:]
        await self._read()
        return Newest(found[0] if found else None, self.there)

    async def erased(self, id_: str) -> bool:
        return False

    async def from_(self, id_: str, first: EntryId, count: int) -> list[Entry]:
        found = [each for each in self.entries if each.id >= first][:count]
        await self._read()
        return found


class FakePages:
    def __init__(self) -> None:
        self.forgotten: list[str] = []

    def forget(self, id_: str) -> None:
        self.forgotten.append(id_)


class Scene:
    """One feed, its log, and a viewer whose socket takes nothing but notes what it is told."""

    def __init__(self, *of: Entry) -> None:
        self.log, self.pages = FakeLog(*of), FakePages()
        self.catch_up = CatchUp(cast(Logs, self.log), cast(Pages, self.pages), Turns(), self._add, lambda *_: None)
        self.feed = Feed(ID, "", 100_000, 0.0, lambda *_: None)
        self.feed.live = True
        self.added: list[Entry] = []
        self.woken = 0
        self.viewer = arrive(self.feed, cast(Pages, self.pages))
        self.viewer.wake = self._wake

    def _wake(self) -> None:
        self.woken += 1

    def _add(self, feed: Feed, new: list[Entry]) -> None:
        assert feed is self.feed
        assert new
        self.added += new
        feed.add(new)

    def hear(self, append: Append) -> None:
        """As the hub does with what is published."""
        new = self.feed.take(append.prev, append.entries)
        if new:
            self._add(self.feed, new)
        elif new is None:
            self.catch_up.sync(self.feed)

    async def settled(self) -> None:
        """Until no read is under way."""
        for _ in range(100):
            await asyncio.sleep(0)

    async def synced(self) -> "Scene":
        self.catch_up.sync(self.feed)
        await self.settled()
        assert self.feed.ring.synced
        return self


def run(scene: Coroutine[Any, Any, None]) -> None:
    at_once(scene)


def test_a_feed_begins_behind_the_newest_entry_and_wakes_its_viewers() -> None:
    async def scene() -> None:
        here = await Scene(*entries(5, 0, 1)).synced()
        assert (here.feed.ring.last, here.feed.ring.ended, here.added) == (EntryId(5, 1), False, [])
        assert here.woken == 1

    run(scene())


def test_a_feed_of_a_log_that_has_ended_knows_it() -> None:
    async def scene() -> None:
        here = await Scene(*entries(5, 0), entry(6, 0, END)).synced()
        assert here.feed.ring.ended

    run(scene())


def test_a_feed_waits_for_the_first_entry_of_what_is_queued() -> None:
    async def scene() -> None:
        here = await Scene().synced()
        here.hear(append(entry(5, 0), prev=BEGINNING))
        assert here.added == entries(5, 0)

    run(scene())


def test_what_is_published_while_the_log_is_read_joins_behind_it() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0))
        here.log.hold()
        here.catch_up.sync(here.feed)
        here.hear(append(*entries(5, 1)))
        here.hear(append(*entries(5, 2)))
        assert here.added == []
        here.log.let_go()
        await here.settled()
        assert here.feed.ring.synced
        assert here.added == entries(5, 1, 2)
        assert (here.feed._held, here.log.reads) == ([], 1)

    run(scene())


def test_one_entry_that_was_missed_while_the_log_was_read_is_read_too() -> None:
    async def scene() -> None:
        here = await Scene(*entries(5, 0)).synced()
        here.log.hold()
        here.catch_up.sync(here.feed)
        await asyncio.sleep(0)
        here.hear(append(*entries(5, 2)))
        here.log.entries += entries(5, 1, 2)
        here.log.let_go()
        await here.settled()
        assert here.added == entries(5, 1, 2)
        assert here.feed.ring.synced

    run(scene())


def test_a_hole_is_read_from_the_log_and_nothing_twice() -> None:
    async def scene() -> None:
        here = await Scene(*entries(5, 0)).synced()
        here.log.entries += entries(5, 1, 2, 3)
        here.hear(append(*entries(5, 2)))
        assert not here.feed.ring.synced
        here.hear(append(*entries(5, 3)))
        await here.settled()
        assert here.added == entries(5, 1, 2, 3)
        assert here.feed.ring.synced

    run(scene())


def test_what_is_known_already_is_no_reason_to_read() -> None:
    async def scene() -> None:
        here = await Scene(*entries(5, 0, 1)).synced()
        reads = here.log.reads
        here.hear(append(*entries(5, 1)))
        await here.settled()
        assert (here.feed.ring.synced, here.log.reads, here.added) == (True, reads, [])

    run(scene())


def test_a_second_reason_to_read_while_a_read_is_under_way_makes_one_more() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0))
        here.log.hold()
        here.catch_up.sync(here.feed)
        await asyncio.sleep(0)
        here.hear(append(*entries(5, 1)))
        here.catch_up.sync(here.feed)
        await asyncio.sleep(0)
        assert here.log.reads == 1
        here.log.entries += entries(5, 1, 2)
        here.log.let_go()
        await here.settled()
        assert here.feed.ring.synced
        assert here.feed not in here.catch_up._reading
        assert here.feed.ring.last == EntryId(5, 2)
        assert here.catch_up.repairs == 2

    run(scene())


def test_while_the_live_connection_is_down_nothing_is_synced() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0))
        here.log.hold()
        here.catch_up.sync(here.feed)
        await asyncio.sleep(0)
        here.hear(append(*entries(5, 1)))
        here.feed.live = False
        here.log.let_go()
        await here.settled()
        assert not here.feed.ring.synced
        assert here.feed not in here.catch_up._reading
        assert here.feed._held == []
        here.feed.live = True
        await here.synced()

    run(scene())


def test_a_redis_that_is_away_is_asked_again_five_times_a_second() -> None:
    async def scene() -> None:
        begun = asyncio.get_running_loop().time()
        here = Scene(*entries(5, 0))
        here.log.fails = 3
        here.catch_up.sync(here.feed)
        await asyncio.sleep(0.59)
        assert not here.feed.ring.synced
        await asyncio.sleep(0.02)
        assert (here.feed.ring.synced, here.log.reads) == (True, 4)
        assert asyncio.get_running_loop().time() - begun < 0.7

    run(scene())


def test_what_is_known_and_was_held_is_no_reason_to_read_again() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0, 1))
        here.log.hold()
        here.catch_up.sync(here.feed)
        await asyncio.sleep(0)
        here.hear(append(*entries(5, 1)))
        here.log.let_go()
        await here.settled()
        assert (here.feed.ring.synced, here.log.reads, here.added) == (True, 1, [])

    run(scene())


def test_nothing_is_synced_before_it_is_heard() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0))
        here.feed = Feed(ID, "", 100_000, 0.0, lambda *_: None)
        assert not here.feed.live
        here.catch_up.sync(here.feed)
        await here.settled()
        assert (here.log.reads, here.feed.ring.synced, here.feed in here.catch_up._reading) == (0, False, False)
        assert (here.catch_up.repairs, here.catch_up.rewound) == (0, 0)

    run(scene())


def test_a_record_that_has_gone_while_its_log_has_not_is_a_loss_and_no_end() -> None:
    async def scene() -> None:
        here = await Scene(*entries(5, 0, 1)).synced()
        here.viewer.move(EntryId(5, 1))
        here.log.entries, here.log.there = entries(5, 0), False
        here.catch_up.sync(here.feed)
        await here.settled()
        assert b'"reason":"rewound"' in here.viewer.take()

    run(scene())


def test_a_log_that_goes_while_too_much_is_read_of_it_changes_nothing_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RESYNC_ENTRIES", 2)

    async def scene() -> None:
        here = await Scene(*entries(5, 0)).synced()
        here.log.entries += entries(5, 1, 2)

        async def gone(_: str) -> Newest:
            return Newest(None, False)

        vars(here.log)["newest"] = gone
        await here.synced()
        assert here.feed.ring.last == EntryId(5, 0)

    run(scene())


def test_entries_that_were_shown_and_are_lost_are_told_as_a_gap_to_whom_they_were_shown() -> None:
    async def scene() -> None:
        here = await Scene(*entries(5, 0, 1, 2)).synced()
        here.viewer.move(EntryId(5, 2))
        pages = cast(Pages, here.pages)
        stands = [arrive(here.feed, pages, EntryId(5, at)) for at in (0, 1)]
        here.log.entries = entries(5, 0, 1)
        here.catch_up.sync(here.feed)
        await here.settled()
        assert b'"reason":"rewound"' in here.viewer.take()
        assert [each.cursor for each in stands] == [EntryId(5, 0), EntryId(5, 1)], "they have lost nothing"
        assert (here.pages.forgotten, here.catch_up.rewound) == ([ID], 1)
        assert here.feed.ring.last == EntryId(5, 1)
        assert here.viewer.done is None
        here.log.entries = entries(5, 0)
        await here.synced()
        assert (here.feed.ring.last, here.catch_up.rewound) == (EntryId(5, 0), 2)
        assert [each.cursor for each in stands] == [EntryId(5, 0), BEGINNING]

    run(scene())


def test_a_log_that_has_expired_is_told_and_its_viewers_are_sent_away() -> None:
    async def scene() -> None:
        here = await Scene(*entries(5, 0, 1)).synced()
        here.log.entries, here.log.there = [], False
        here.catch_up.sync(here.feed)
        await here.settled()
        assert b'"reason":"expired"' in here.viewer.take()
        assert (here.viewer.take(), here.viewer.done) == (b"", "cut")

    run(scene())


def test_a_log_that_lost_everything_but_its_record_is_rewound_not_expired() -> None:
    async def scene() -> None:
        here = await Scene(*entries(5, 0, 1)).synced()
        here.viewer.move(EntryId(5, 1))
        here.log.entries = []
        here.catch_up.sync(here.feed)
        await here.settled()
        assert b'"reason":"rewound"' in here.viewer.take()
        assert (here.feed.ring.last, here.feed.ring.synced, here.feed.ring.ended) == (BEGINNING, True, False)
        assert (here.viewer.take(), here.viewer.done) == (b"", None)

    run(scene())


def test_what_was_never_made_is_told_as_expired() -> None:
    async def scene() -> None:
        here = Scene()
        here.log.there = False
        await here.synced()
        assert b'"reason":"expired"' in here.viewer.take()

    run(scene())


def test_too_much_to_hold_is_left_to_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RESYNC_ENTRIES", 3)

    async def scene() -> None:
        here = await Scene(*entries(5, 0)).synced()
        here.log.entries += entries(5, 1)
        await here.synced()
        assert here.added == entries(5, 1)
        here.log.entries += entries(5, 2, 3, 4)
        await here.synced()
        assert here.added == entries(5, 1)
        assert here.feed.ring.last == EntryId(5, 4)

    run(scene())


def test_a_log_that_was_withdrawn_is_no_loss_and_what_is_kept_of_it_goes() -> None:
    async def scene() -> None:
        here = await Scene(*entries(5, 0, 1)).synced()
        instead = [entry(6, 0, WITHDRAW), entry(7, 0, END)]
        here.log.entries = instead
        here.catch_up.check(here.feed)
        await here.settled()
        assert (here.added, here.catch_up.rewound) == (instead, 0)

    run(scene())


def test_a_feed_that_begins_when_its_log_was_withdrawn_leaves_nothing_in_the_cache() -> None:
    async def scene() -> None:
        end = Entry(EntryId(7, 0), END, b'{"withdrawn":true}')
        here = await Scene(entry(6, 0, WITHDRAW), end).synced()
        assert (here.feed.ring.last, here.feed.ring.ended, here.pages.forgotten) == (end.id, True, [ID])

    run(scene())


def test_a_safety_read_finds_what_was_not_published_and_leaves_the_rest_alone() -> None:
    async def scene() -> None:
        here = await Scene(*entries(5, 0)).synced()
        here.catch_up.check(here.feed)
        await here.settled()
        reads = here.log.reads
        assert reads == 2
        here.log.entries += entries(5, 1)
        here.catch_up.check(here.feed)
        await here.settled()
        assert here.added == entries(5, 1)

    run(scene())


def test_a_safety_read_of_what_is_queued_finds_its_first_entry() -> None:
    async def scene() -> None:
        here = await Scene().synced()
        here.catch_up.check(here.feed)
        await here.settled()
        assert (here.feed.ring.synced, here.woken) == (True, 1)
        here.log.entries = entries(5, 0)
        here.catch_up.check(here.feed)
        await here.settled()
        assert here.feed.ring.last == EntryId(5, 0)

    run(scene())


def test_a_safety_read_of_what_is_queued_finds_that_it_has_gone() -> None:
    async def scene() -> None:
        here = await Scene().synced()
        here.log.there = False
        here.catch_up.check(here.feed)
        await here.settled()
        assert b'"reason":"expired"' in here.viewer.take()

    run(scene())


def test_a_safety_read_that_finds_what_was_heard_meanwhile_or_nothing_at_all_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene() -> None:
        here = await Scene(*entries(5, 0)).synced()
        here.log.hold()
        here.log.entries += entries(5, 1)
        here.catch_up.check(here.feed)
        await asyncio.sleep(0)
        here.hear(append(*entries(5, 1)))
        here.log.let_go()
        await here.settled()
        assert here.log.reads == 2
        here.log.fails = 1
        here.catch_up.check(here.feed)
        await here.settled()
        assert here.feed.ring.synced
        assert here.log.reads == 3
        assert caplog.records == []

    run(scene())


def test_more_messages_than_are_held_are_read_from_the_log() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0))
        here.log.hold()
        here.catch_up.sync(here.feed)
        await asyncio.sleep(0)
        for seq in range(1, 1002):
            here.hear(append(*entries(5, seq)))
        assert (len(here.feed._held), here.feed._missed) == (1000, True)
        here.log.entries += entries(5, *range(1, 1002))
        here.log.let_go()
        await here.settled()
        assert here.feed.ring.last == EntryId(5, 1001)

    run(scene())
