"""The ring of a feed, entry by entry: what is kept, what leaves, what each place is called, and who is written to."""

from typing import cast

from api.feed import Feed, Loan, chunk
from api.pages import Page, Pages
from api.viewer import Viewer
from broker.events import END, TEXT, Entry, frame
from broker.ids import BEGINNING, EntryId

SIZE = len(frame(b"5-0", TEXT, b"x"))
"""Bytes of each frame below."""


class NoLog:
    def after(self, id_: str, cursor: EntryId) -> Page:
        return Page([], cursor, ended=False, full=False)


class Socket:
    """Takes `room` bytes; what it does not take is `left` to the transport."""

    def __init__(self, feed: Feed, room: int = 1_000_000) -> None:
        self.room, self.sent, self.left, self.woken = room, b"", b"", 0
        self.broken = False
        self.viewer = Viewer("gen_x", feed, cast(Pages, NoLog()), BEGINNING)
        self.viewer.wake = self._wake
        feed.viewers[self.viewer] = None

    def follow(self, feed: Feed) -> "Socket":
        self.viewer.position = feed.shown
        self.viewer.lend(Loan(self._send, self._write))
        feed.following[self.viewer] = Loan(self._send, self._write)
        return self

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


def entry(attempt: int, seq: int, kind: bytes = TEXT) -> Entry:
    return Entry(EntryId(attempt, seq), kind, b"{}" if kind == END else b"x")


def run(attempt: int, *seqs: int) -> list[Entry]:
    return [entry(attempt, seq) for seq in seqs]


def ring_of(entries: list[Entry], most: int = 1_000_000) -> Feed:
    feed = Feed("gen_x", most, 0.0)
    feed.synced = True
    feed.add(entries)
    return feed


def frames(entries: list[Entry]) -> list[bytes]:
    return [frame(str(each.id).encode(), each.kind, each.value) for each in entries]


ENTRIES = [*run(5, 0, 1, 2), *run(9, 0, 1), *run(12, 0)]


def test_every_place_has_the_id_of_the_entry_before_it_and_every_id_its_place() -> None:
    feed = ring_of(ENTRIES)
    for place, each in enumerate(ENTRIES, 1):
        assert feed.id_before(place) == each.id
        assert feed.join(each.id) == place
    assert feed.id_before(0) == BEGINNING
    assert feed.join(BEGINNING) == 0


def test_an_id_that_is_not_in_the_ring_has_no_place() -> None:
    feed = ring_of(ENTRIES)
    for attempt, seq in ((4, 0), (5, 3), (7, 0), (9, 2), (9, 3), (12, 1), (13, 0)):
        assert feed.join(EntryId(attempt, seq)) is None
    feed.synced = False
    assert feed.join(EntryId(5, 1)) is None


def test_a_hole_within_an_attempt_moves_no_place() -> None:
    feed = ring_of([*run(5, 0, 1), *run(5, 4, 5)])
    assert [feed.join(EntryId(5, seq)) for seq in (0, 1, 2, 4, 5)] == [1, 2, None, 3, 4]


def test_an_attempt_costs_one_run_however_long_it_is() -> None:
    assert len(ring_of(run(5, *range(1000)))._runs) == 2


def test_a_ring_keeps_its_places_and_names_when_its_front_leaves() -> None:
    entries = [*run(5, 0, 1, 2, 3, 4), *run(9, 0, 1, 2, 3)]
    feed = ring_of(entries[:8], 4 * SIZE)
    assert (feed.base, len(feed.frames)) == (0, 8), "twice its bound is not over it"
    feed.add(entries[8:])
    assert (feed.base, feed.frames) == (5, frames(entries[5:]))
    assert [feed.id_before(place) for place in range(5, 10)] == [each.id for each in entries[4:]]
    assert feed.join(entries[3].id) is None
    assert feed.join(entries[4].id) == 5
    feed.add(run(12, 0))
    assert feed.base == 5


def test_runs_in_front_of_the_ring_are_forgotten() -> None:
    feed = Feed("gen_x", 4 * SIZE, 0.0)
    for attempt in range(10, 90):
        feed.add(run(attempt, 0))
        assert len(feed._runs) <= len(feed.frames) + 1
        assert feed._runs[1][0] >= feed.base


def test_the_latest_entry_stays_however_large_it_is() -> None:
    feed = ring_of([entry(5, 0)], SIZE // 3)
    assert (feed.base, len(feed.frames)) == (0, 1)
    feed.add([entry(5, 1)])
    assert (feed.base, feed.frames) == (1, frames(run(5, 1)))


def test_who_is_at_what_leaves_reads_the_log_from_there_and_who_is_behind_it_stays() -> None:
    entries = run(5, *range(9))
    feed = Feed("gen_x", 4 * SIZE, 0.0)
    feed.add(entries[:8])
    viewers = [Socket(feed).viewer for _ in range(3)]
    for viewer, place in zip(viewers, (4, 5, 8), strict=True):
        viewer.position = place
    feed.add(entries[8:])
    assert feed.base == 5
    assert [viewer.position for viewer in viewers] == [None, 5, 8]
    assert viewers[0].cursor == EntryId(5, 3)


def test_a_new_start_empties_the_ring_and_counts_on() -> None:
    feed = ring_of(run(5, 0, 1, 2), 4 * SIZE)
    viewer = Socket(feed).viewer
    viewer.position = 2
    feed.start(EntryId(9, 0), ended=False)
    assert viewer.cursor == EntryId(5, 1)
    assert (feed.base, feed.end, feed.shown, feed.ended, feed.last) == (3, 3, 3, False, EntryId(9, 0))
    assert (feed.join(EntryId(9, 0)), feed.join(EntryId(5, 2)), feed.id_before(3)) == (3, None, EntryId(9, 0))
    feed.add(run(9, *range(1, 9)))
    assert feed.base == 3
    feed.start(EntryId(20, 0), ended=True)
    assert feed.ended


def test_a_write_takes_about_as_much_as_it_should_and_at_least_one() -> None:
    entries = run(5, *range(6))
    feed, all_ = ring_of(entries), frames(entries)
    assert feed.take(0, 2 * SIZE) == (b"".join(all_[:2]), 2)
    assert feed.take(0, 2 * SIZE + 1) == (b"".join(all_[:3]), 3)
    assert feed.take(1, 10 * SIZE) == (b"".join(all_[1:]), 6)
    assert feed.take(4, 10 * SIZE) == (b"".join(all_[4:]), 6)
    assert feed.take(5, 10 * SIZE) == (all_[5], 6)
    later = ring_of(run(5, *range(9)), 4 * SIZE)
    assert later.take(6, 2 * SIZE) == (b"".join(frames(run(5, 6, 7))), 8)


def test_a_chunk_tells_its_length_in_hexadecimal() -> None:
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"


def test_who_follows_is_sent_one_chunk_and_not_woken_and_the_others_are_woken() -> None:
    feed = ring_of([])
    follower, other = Socket(feed).follow(feed), Socket(feed)
    feed.add(run(5, 0, 1))
    feed.show()
    assert follower.sent == chunk(b"".join(frames(run(5, 0, 1))))
    assert (follower.left, follower.woken) == (b"", 0)
    assert (other.sent, other.woken) == (b"", 1)
    feed.add(run(5, 2))
    feed.show()
    assert follower.sent.endswith(chunk(frames(run(5, 2))[0]))
    assert follower.viewer in feed.following
    assert feed.shown == 3


def test_who_follows_gets_what_is_new_however_much_has_left_the_ring() -> None:
    feed = ring_of(run(5, *range(9)), 4 * SIZE)
    assert feed.base == 5
    feed.show()
    follower = Socket(feed).follow(feed)
    feed.add(run(6, 0, 1))
    feed.show()
    assert follower.sent == chunk(b"".join(frames(run(6, 0, 1))))


def test_what_a_socket_does_not_take_or_breaks_on_is_the_transports() -> None:
    feed = ring_of([])
    narrow, broken = Socket(feed, room=4).follow(feed), Socket(feed).follow(feed)
    broken.broken = True
    feed.add(run(5, 0))
    feed.show()
    whole = chunk(frames(run(5, 0))[0])
    assert (narrow.sent, narrow.left) == (whole[:4], whole[4:])
    assert (broken.sent, broken.left) == (b"", whole)


def test_an_end_is_not_sent_behind_a_viewers_back() -> None:
    feed = ring_of(run(5, 0))
    feed.show()
    follower = Socket(feed).follow(feed)
    feed.add([entry(6, 0, END)])
    feed.show()
    assert feed.following == {}
    assert (follower.sent, follower.woken, follower.viewer.position) == (b"", 1, 1)


def test_nothing_new_is_nothing_to_send() -> None:
    feed = ring_of(run(5, 0))
    feed.show()
    follower = Socket(feed).follow(feed)
    feed.show()
    assert follower.sent == b""


def test_who_follows_what_is_left_to_the_log_does_not_follow_any_more() -> None:
    feed = ring_of(run(5, *range(8)), 4 * SIZE)
    feed.show()
    follower = Socket(feed).follow(feed)
    feed.start(EntryId(9, 0), ended=False)
    assert feed.following == {}
    assert follower.viewer.cursor == EntryId(5, 7)


def test_a_new_feed_is_not_synced_and_holds_what_it_hears() -> None:
    feed = Feed("gen_x", 1000, 7.0)
    assert (feed.synced, feed.missed, feed.ended, feed.changed_at, feed.left_at) == (False, False, False, 7.0, 7.0)
    assert (feed.base, feed.shown, feed.end, feed.place) == (0, 0, 0, None)
