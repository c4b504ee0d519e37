"""A rendition, frame by frame: what is kept, what leaves, and who is written to."""

from typing import cast

import pytest

from api.viewing.feed import Feed
from api.viewing.pages import Page, Pages
from api.viewing.rendition import Loan, Rendition, View
from api.viewing.viewer import Viewer
from broker.events import END, Entry
from broker.ids import BEGINNING, EntryId
from broker.waiting import Wait
from tests.api.viewing.test_feed import CHUNKED, PLAIN, frames_of, new_feed
from tests.api.viewing.test_ring import entry, run

SIZE = len(frames_of([entry(5, 0)])[0]) + 8
"""Of each frame below, with its place."""


class NoLog:
    def after(self, id_: str, dialect: object, cursor: EntryId, state: object) -> Page:
        return Page([], cursor, ended=False, full=False)


class Socket:
    """Takes `room` bytes; what it does not take is `left` to the transport."""

    def __init__(self, shown: Rendition, room: int = 1_000_000) -> None:
        self.room, self.sent, self.left, self.woken = room, b"", b"", 0
        self.broken = False
        self.viewer = Viewer("gen_x", shown.view, shown, cast(Pages, NoLog()), BEGINNING)
        self.viewer.wake = self._wake
        shown.viewers[self.viewer] = None

    def follow(self) -> "Socket":
        shown = self.viewer.rendition
        assert shown is not None
        self.viewer.position = shown.shown
        loan = Loan(self._send, self._write)
        self.viewer.lend(loan)
        shown.follow(self.viewer, loan)
        return self

    @property
    def follows(self) -> bool:
        """Asking ends it."""
        assert self.viewer.rendition is not None
        return self.viewer.rendition.halt(self.viewer)

    def _send(self, data: bytes) -> int:
        if self.broken:
            raise BrokenPipeError
        self.sent += data[: self.room]
        return min(len(data), self.room)

    def _write(self, data: bytes) -> None:
        assert data
        self.left += data

    def _wake(self) -> None:
        self.woken += 1


class Scene:
    """A feed that is shown in one view."""

    def __init__(self, entries: list[Entry], most: int = 1_000_000, view: View = CHUNKED) -> None:
        self.feed: Feed = new_feed(most)
        self.shown = self.feed.rendition(view, 0.0)
        if entries:
            self.feed.add(entries)

    def show(self, *entries: Entry, now: float = 0.0) -> "Scene":
        if entries:
            self.feed.add(list(entries))
        self.feed.show(now)
        return self

    def joins(self, cursor: EntryId) -> int | None:
        return self.shown.position_behind(cursor, None)


def chunk_of(entries: list[Entry]) -> bytes:
    body = b"".join(frames_of(entries))
    return b"%x\r\n%b\r\n" % (len(body), body)


# ── what is kept ──


def test_a_ring_keeps_its_places_and_names_when_its_front_leaves() -> None:
    entries = [*run(5, 0, 1, 2, 3, 4), *run(9, 0, 1, 2, 3)]
    here = Scene(entries[:8], 4 * SIZE)
    assert (here.shown.base, len(here.shown.frames)) == (0, 8), "twice its bound is not over it"
    here.feed.add(entries[8:])
    assert (here.shown.base, here.shown.frames) == (5, frames_of(entries[5:]))
    assert here.joins(entries[3].id) is None
    assert here.joins(entries[4].id) == 5
    assert here.joins(entries[8].id) == here.shown.end == 9
    here.feed.add(run(12, 0))
    assert here.shown.base == 5


def test_the_latest_entry_stays_however_large_it_is() -> None:
    here = Scene([entry(5, 0)], SIZE // 3)
    assert (here.shown.base, len(here.shown.frames)) == (0, 1)
    here.feed.add([entry(5, 1)])
    assert (here.shown.base, here.shown.frames) == (1, frames_of(run(5, 1)))


def test_ids_in_front_of_all_renditions_are_forgotten() -> None:
    here = Scene([], 4 * SIZE)
    other = here.feed.rendition(PLAIN, 0.0)
    for attempt in range(10, 300):
        here.feed.add(run(attempt, 0))
    assert other.base == here.shown.base > 200
    ring = here.feed.ring
    assert len(ring.runs) <= ring.end - here.shown.base + 10
    assert here.joins(ring.id_before(here.shown.base)) == here.shown.base


def test_who_is_at_what_leaves_reads_the_log_from_there_and_who_is_behind_it_stays() -> None:
    entries = run(5, *range(9))
    here = Scene(entries[:8], 4 * SIZE)
    viewers = [Socket(here.shown).viewer for _ in range(3)]
    for viewer, place in zip(viewers, (4, 5, 8), strict=True):
        viewer.position = place
    here.feed.add(entries[8:])
    assert here.shown.base == 5
    assert [viewer.position for viewer in viewers] == [None, 5, 8]
    assert viewers[0].cursor == EntryId(5, 3)


def test_a_new_start_empties_it_and_counts_on() -> None:
    here = Scene(run(5, 0, 1, 2), 4 * SIZE)
    viewer = Socket(here.shown).viewer
    viewer.position = 2
    here.feed.start(EntryId(9, 0), ended=False)
    assert viewer.cursor == EntryId(5, 1)
    assert (here.shown.base, here.shown.end, here.shown.shown, here.shown.ended) == (3, 3, 3, False)
    assert (here.joins(EntryId(9, 0)), here.joins(EntryId(5, 2))) == (3, None)
    here.feed.add(run(9, *range(1, 9)))
    assert here.shown.base == 3
    here.feed.start(EntryId(20, 0), ended=True)
    assert here.shown.ended


def test_a_write_takes_about_as_much_as_it_should_and_at_least_one() -> None:
    entries = run(5, *range(6))
    here, all_ = Scene(entries), frames_of(entries)
    size = len(all_[0])
    assert here.shown.take(0, 2 * size) == (b"".join(all_[:2]), 2)
    assert here.shown.take(0, 2 * size + 1) == (b"".join(all_[:3]), 3)
    assert here.shown.take(1, 10 * size) == (b"".join(all_[1:]), 6)
    assert here.shown.take(4, 10 * size) == (b"".join(all_[4:]), 6)
    assert here.shown.take(5, 10 * size) == (all_[5], 6)
    later = Scene(run(5, *range(9)), 4 * SIZE).shown
    assert later.take(6, 2 * size) == (b"".join(frames_of(run(5, 6, 7))), 8)


def test_a_view_that_is_asked_for_later_begins_with_what_comes_next() -> None:
    here = Scene(run(5, *range(100)))
    late = here.feed.rendition(PLAIN, 0.0)
    assert here.feed.rendition(PLAIN, 1.0) is late
    assert (late.base, late.end, late.shown, late.frames) == (100, 100, 100, [])
    assert (late.position_behind(EntryId(5, 98), None), late.position_behind(EntryId(5, 99), None)) == (None, 100)
    here.show(*run(5, 100))
    assert (late.base, late.shown, late.frames) == (100, 101, frames_of(run(5, 100)))
    assert (late.position_behind(EntryId(5, 98), None), late.position_behind(EntryId(5, 99), None)) == (None, 100)


# ── who is written to ──


def test_who_follows_is_sent_one_write_and_not_woken_and_the_others_are_woken() -> None:
    here = Scene([])
    follower, other = Socket(here.shown).follow(), Socket(here.shown)
    here.show(*run(5, 0, 1))
    assert follower.sent == chunk_of(run(5, 0, 1))
    assert (follower.left, follower.woken) == (b"", 0)
    assert (other.sent, other.woken) == (b"", 1)
    here.show(*run(5, 2))
    assert follower.sent == chunk_of(run(5, 0, 1)) + chunk_of(run(5, 2))
    assert here.shown.shown == 3
    assert follower.follows


def test_each_view_is_framed_in_its_own_way() -> None:
    here = Scene([], view=CHUNKED)
    chunked, plain = Socket(here.shown).follow(), Socket(here.feed.rendition(PLAIN, 0.0)).follow()
    here.show(*run(5, 0, 1))
    assert chunked.sent == chunk_of(run(5, 0, 1))
    assert plain.sent == b"".join(frames_of(run(5, 0, 1)))


def test_who_follows_gets_what_is_new_however_much_has_left_the_ring() -> None:
    here = Scene(run(5, *range(9)), 4 * SIZE).show()
    assert here.shown.base == 5
    follower = Socket(here.shown).follow()
    here.show(*run(6, 0, 1))
    assert follower.sent == chunk_of(run(6, 0, 1))


def test_what_a_socket_does_not_take_or_breaks_on_is_the_transports() -> None:
    here = Scene([])
    narrow, broken = Socket(here.shown, room=4).follow(), Socket(here.shown).follow()
    broken.broken = True
    here.show(*run(5, 0))
    whole = chunk_of(run(5, 0))
    assert (narrow.sent, narrow.left) == (whole[:4], whole[4:])
    assert (broken.sent, broken.left) == (b"", whole)


def test_an_end_is_not_sent_behind_a_viewers_back() -> None:
    here = Scene(run(5, 0)).show()
    follower = Socket(here.shown).follow()
    here.show(entry(6, 0, END))
    assert not follower.follows
    assert (follower.sent, follower.woken, follower.viewer.position) == (b"", 1, 1)


def test_nothing_new_is_nothing_to_send() -> None:
    here = Scene(run(5, 0)).show()
    follower = Socket(here.shown).follow()
    here.show()
    assert follower.sent == b""


def test_who_follows_what_is_left_to_the_log_does_not_follow_any_more() -> None:
    here = Scene(run(5, *range(8)), 4 * SIZE).show()
    follower = Socket(here.shown).follow()
    here.feed.start(EntryId(9, 0), ended=False)
    assert not follower.follows
    assert follower.viewer.cursor == EntryId(5, 7)


# ── what depends on time ──


def test_a_keep_alive_is_for_those_to_whom_nothing_was_sent() -> None:
    here = Scene([])
    socket = Socket(here.shown).follow()
    here.show(*run(5, 0), now=10.0)
    assert here.feed.changed_at == here.shown.sent_at == 10.0
    here.feed.keep_alive(9.9, 20.0)
    assert socket.woken == 0
    here.feed.keep_alive(10.0, 20.0)
    assert (socket.woken, here.shown.sent_at, here.feed.changed_at) == (1, 20.0, 10.0)
    here.show(now=30.0)
    assert here.shown.sent_at == 20.0, "nothing was new"


def test_a_view_that_nobody_has_asked_for_for_a_while_is_given_up() -> None:
    here = Scene([])
    one, two = Socket(here.shown).viewer, Socket(here.shown).viewer
    other = here.feed.rendition(PLAIN, 3.0)
    assert here.feed.forget_left(2.0) is False
    here.shown.leave(one, 5.0)
    assert here.feed.forget_left(9.0) is False, "one is left"
    assert here.feed.rendition(PLAIN, 9.0) is not other
    here.shown.leave(two, 10.0)
    here.shown.leave(two, 10.0)
    assert here.feed.forget_left(10.0) is False
    assert here.feed.forget_left(10.1) is True
    assert here.feed.viewers == []


def test_places_in_the_queue_are_told_once() -> None:
    here = Scene([])
    socket = Socket(here.shown)
    here.feed.know_wait(Wait(3))
    for place in (3, 2, 2, 0):
        here.feed.tell_wait(Wait(place))
    assert socket.woken == 2


@pytest.mark.parametrize(
    ("told", "now", "again"),
    [
        (Wait(1, 9000), Wait(1, 9000), False),
        (Wait(1, 9000), Wait(1, 7000), False),
        (Wait(1, 9000), Wait(1, 6750), True),
        (Wait(1, 9000), Wait(1, 12_000), True),
        (Wait(1, 900), Wait(1, 0), False),
        (Wait(1, 900), Wait(0, 900), True),
        (Wait(1, None), Wait(1, 0), True),
        (Wait(1, 0), Wait(1, None), True),
        (Wait(1, None), Wait(1, None), False),
    ],
)
def test_how_long_it_waits_is_told_again_where_that_is_much_longer_or_shorter(
    told: Wait, now: Wait, again: bool
) -> None:
    assert now.differs(told) is again


def test_a_new_feed_is_not_synced_and_holds_what_it_hears() -> None:
    feed = Feed("gen_x", "", 1000, 7.0, lambda *_: pytest.fail("nothing is noted"))
    assert (feed.ring.synced, feed.changed_at, feed.viewers) == (False, 7.0, [])
    shown = feed.rendition(PLAIN, 8.0)
    assert (shown.base, shown.shown, shown.end, shown.left_at, shown.sent_at) == (0, 0, 0, 8.0, 8.0)
