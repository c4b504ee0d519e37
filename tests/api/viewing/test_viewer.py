"""One viewer, call by call: in which order it gets what it lacks, from where, and how its stream ends."""

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from api.dialects import Dialect, State
from api.dialects.native import NATIVE, local_frame
from api.dialects.sse import KEEP_ALIVE, RETRY
from api.viewing.feed import Feed
from api.viewing.pages import Page, Pages
from api.viewing.rendition import Loan
from api.viewing.viewer import Viewer
from broker.errors import StorageUnavailable
from broker.events import END, Entry
from broker.ids import BEGINNING, EntryId
from broker.vocabulary import GapReason
from tests.api.viewing.test_feed import PLAIN, Log, arrive, bytes_of, drain, entry, feed_of, native, new_feed, take
from tests.harness.clockwork import at_once

ID = "gen_x"
TOLD, TOO = local_frame("queued", position=2), local_frame("queued", position=1)


class Shelf:
    """What the log has behind each cursor; what is a future is still being read."""

    def __init__(self, **pages: Any) -> None:
        self.asked: list[EntryId] = []
        self.pages: dict[EntryId, Page | asyncio.Future[Page]] = {}

    def after(self, id_: str, dialect: Dialect, cursor: EntryId, state: State) -> Page | asyncio.Future[Page]:
        assert (id_, dialect, state) == (ID, NATIVE, None)
        self.asked.append(cursor)
        return self.pages.get(cursor, Page([], cursor, ended=False, full=False))

    def reads(self, cursor: EntryId) -> asyncio.Future[Page]:
        """A read that is under way from now on; the test says what it brings."""
        answer = asyncio.get_running_loop().create_future()

        async def read() -> Page:
            return cast(Page, await answer)

        self.pages[cursor] = asyncio.create_task(read())
        return answer


def page(*entries: Entry, ended: bool = False) -> Page:
    return Page([(bytes_of([each]), each.id) for each in entries], entries[-1].id, ended=ended, full=False)


class Seat:
    """A viewer that counts how often it is woken."""

    def __init__(self, feed: Feed | None = None, cursor: EntryId = BEGINNING, pages: object = None) -> None:
        self.woken = 0
        self.pages = cast(Shelf, pages or Shelf())
        if feed is not None:
            self.viewer = arrive(feed, cast(Pages, self.pages), cursor)
        else:
            self.viewer = Viewer(ID, PLAIN, None, cast(Pages, self.pages), cursor)
        self.viewer.wake = self._wake

    @property
    def follows(self) -> Loan | None:
        assert self.viewer.rendition is not None
        return self.viewer.rendition._following.get(self.viewer)

    def _wake(self) -> None:
        self.woken += 1

    def take(self) -> bytes:
        return self.viewer.take().replace(RETRY, b"")


def socket() -> Loan:
    return Loan(lambda data: len(data), lambda _: None)


def shown(*entries: Entry) -> Feed:
    feed = feed_of([])
    native(feed)
    feed.add(list(entries))
    feed.show(0.0)
    return feed


def scene(work: Coroutine[Any, Any, None]) -> None:
    at_once(work)


def test_nothing_of_what_was_lost_comes_behind_the_gap() -> None:
    log = Log()
    log.entries = [entry(1, seq) for seq in range(4)]
    feed = feed_of(log.entries)
    viewer = arrive(feed, log)
    assert take(viewer) == bytes_of(log.entries[:1]), "the rest of the page waits for the socket"
    log.entries = [entry(1, 0), entry(9, 0)]
    feed.start(log.entries[-1].id, ended=False)
    viewer.reset("rewound")
    assert drain(viewer) == local_frame("gap", reason="rewound") + bytes_of(log.entries)


def test_who_was_given_nothing_that_is_lost_reads_anew_and_is_told_of_no_gap() -> None:
    async def work() -> None:
        shelf, kept = Shelf(), [entry(1, seq) for seq in range(2)]
        lost = [*kept, entry(1, 2), entry(2, 0, kind=END)]
        feed = feed_of([])
        feed.start(lost[-1].id, ended=True)
        reading, taking = (Seat(feed, BEGINNING, shelf) for _ in range(2))
        shelf.pages[BEGINNING] = page(*lost, ended=True)
        assert taking.take() == bytes_of(kept[:1]), "the rest of the page waits for its socket"
        answer = shelf.reads(BEGINNING)
        assert reading.take() == b""
        feed.start(kept[-1].id, ended=False)
        feed.reset("rewound", kept[-1].id)
        answer.set_result(page(*lost, ended=True))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        shelf.pages = {BEGINNING: page(*kept), kept[0].id: page(kept[1])}
        assert [reading.take() for _ in range(3)] == [bytes_of(kept[:1]), bytes_of(kept[1:]), b""]
        assert [taking.take() for _ in range(2)] == [bytes_of(kept[1:]), b""]
        assert (reading.viewer.done, taking.viewer.done) == (None, None)
        feed.start(kept[0].id, ended=False)
        feed.reset("rewound", kept[0].id)
        assert taking.take() == local_frame("gap", reason="rewound"), "it has had the other one, too"

    scene(work())


# ── the frame that it is opened with ──


def opened(seat: Seat, *pieces: bytes, cursor: EntryId = BEGINNING) -> Seat:
    seat.viewer.open_with(pieces, cursor)
    return seat


def test_what_a_stream_is_opened_with_comes_whole_and_first_whatever_is_told_meanwhile() -> None:
    seat = opened(Seat(shown(entry(1, 0))), b"data: a", b"b", b"c\n\n")
    seat.viewer.tell(TOLD)
    assert seat.viewer.take() == RETRY + b"data: a"
    seat.viewer.tell(TOO)
    assert [seat.viewer.take() for _ in range(4)] == [b"b", b"c\n\n", TOLD + TOO, bytes_of([entry(1, 0)])]


def test_a_loss_is_told_behind_what_a_stream_is_opened_with() -> None:
    seat = opened(Seat(shown(entry(1, 0)), EntryId(1, 5)), b"data: a", b"b\n\n")
    assert seat.take() == b"data: a"
    seat.viewer.reset("rewound")
    assert (seat.take(), seat.take()) == (b"b\n\n", local_frame("gap", reason="rewound"))


def test_who_is_dropped_while_its_stream_is_opened_gets_the_rest_of_the_frame() -> None:
    seat = opened(Seat(), b"data: a", b"b\n\n")
    seat.viewer.drop()
    assert [seat.take() for _ in range(3)] == [b"data: a", b"b\n\n", b""]
    assert seat.viewer.done == "cut"


def test_nothing_in_hand_is_given_when_it_is_withdrawn() -> None:
    async def run() -> None:
        seat = Seat()
        pieces = [(b"one", EntryId(5, 0)), (b"two", EntryId(5, 1))]
        seat.pages.pages[BEGINNING] = Page(pieces, EntryId(5, 1), ended=False, full=False)
        seat.pages.pages[EntryId(5, 0)] = page(entry(6, 0))
        assert seat.take() == b"one"
        seat.viewer.withdraw()
        assert b"6-0" in seat.take(), "it reads on from what it was given"
        reading = Seat()
        answer = reading.pages.reads(BEGINNING)
        assert reading.take() == b""
        reading.viewer.withdraw()
        answer.set_result(page(entry(5, 0)))
        reading.pages.pages[BEGINNING] = page(entry(6, 0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert b"6-0" in reading.take()

    scene(run())


def test_a_frame_that_is_half_sent_when_it_is_withdrawn_is_never_ended() -> None:
    async def run() -> None:
        seat = opened(Seat(new_feed()), b"data: {", b"}\n\n")
        assert seat.take() == b"data: {"
        seat.viewer.withdraw()
        assert (seat.take(), seat.viewer.done) == (b"", "cut")
        before = opened(Seat(new_feed()), b"data: {", b"}\n\n")
        before.viewer.withdraw()
        assert (before.take(), before.viewer.done) == (b"", None)
        late = Seat(new_feed())
        late.viewer.withdraw()
        assert opened(late, b"data: {}\n\n").take() == b"", "what it says was made before"

    scene(run())


def test_who_was_told_of_a_loss_before_begins_anew_instead() -> None:
    seat = Seat(shown(entry(1, 0)))
    seat.viewer.reset("rewound")
    assert opened(seat, b"data: a\n\n", cursor=EntryId(1, 0)).take() == local_frame("gap", reason="rewound")
    assert (seat.viewer.cursor, seat.take()) == (BEGINNING, bytes_of([entry(1, 0)]))


def test_what_follows_a_stream_s_opening_is_what_is_behind_its_cursor() -> None:
    seat = opened(Seat(shown(entry(1, 0), entry(1, 1))), b"data: a\n\n", cursor=EntryId(1, 0))
    assert (seat.take(), seat.take(), seat.take()) == (b"data: a\n\n", bytes_of([entry(1, 1)]), b"")


def test_who_is_opened_with_nothing_begins_as_everybody() -> None:
    assert opened(Seat(shown(entry(1, 0)))).take() == bytes_of([entry(1, 0)])


# ── what it is told ──


def test_what_it_is_told_comes_first_and_at_once_and_eight_words_at_most() -> None:
    feed = shown(entry(1, 0))
    seat = Seat(feed)
    for word in range(10):
        seat.viewer.tell(local_frame("queued", position=word))
        assert seat.woken == word + 1
    assert seat.take() == b"".join(local_frame("queued", position=word) for word in range(8))
    assert seat.take() == bytes_of([entry(1, 0)])
    assert seat.take() == b""
    seat.viewer.tell(TOLD)
    assert seat.take() == TOLD


def test_who_is_dropped_gets_what_it_was_told_and_then_nothing_though_there_is_more() -> None:
    seat = Seat(shown(entry(1, 0)))
    seat.viewer.tell(TOLD)
    seat.viewer.drop()
    assert seat.woken == 2
    assert seat.viewer.done is None
    assert (seat.take(), seat.take()) == (TOLD, b"")
    assert seat.viewer.done == "cut"
    seat.viewer.tell(TOLD)
    assert seat.take() == b"", "it is over"


def test_the_first_event_of_a_stream_says_when_to_come_back_and_no_other() -> None:
    viewer = Seat(shown(entry(1, 0), entry(1, 1))).viewer
    viewer.tell(KEEP_ALIVE)
    assert viewer.take() == KEEP_ALIVE
    viewer.tell(KEEP_ALIVE)
    viewer.tell(TOLD)
    assert viewer.take() == KEEP_ALIVE + RETRY + TOLD
    assert viewer.begin(TOLD) == TOLD
    assert viewer.take() == bytes_of([entry(1, 0), entry(1, 1)])


@pytest.mark.parametrize(
    ("body", "begins"),
    [
        (TOLD + TOO, RETRY + TOLD + TOO),
        (b"", b""),
        (KEEP_ALIVE, KEEP_ALIVE),
        (TOLD, RETRY + TOLD),
        (b"\n" + TOLD, b"\n" + RETRY + TOLD),
    ],
)
def test_what_goes_before_a_stream_may_be_its_first_event(body: bytes, begins: bytes) -> None:
    viewer = Seat().viewer
    assert viewer.begin(body) == begins
    assert viewer.begin(TOLD) == (TOLD if RETRY in begins else RETRY + TOLD)


def test_a_reset_forgets_all_that_was_to_be_said_but_the_gap() -> None:
    feed = shown(entry(1, 0), entry(1, 1, kind=END))
    seat = Seat(feed, EntryId(1, 0))
    seat.take()
    for _ in range(8):
        seat.viewer.tell(TOLD)
    woken = seat.woken
    feed.start(BEGINNING, ended=False)
    seat.viewer.reset("rewound")
    assert seat.woken == woken + 1
    assert (seat.viewer.cursor, seat.viewer.position) == (BEGINNING, None)
    assert seat.take() == local_frame("gap", reason="rewound")
    assert (seat.take(), seat.viewer.done) == (b"", None)


def test_an_end_that_was_taken_back_is_no_end() -> None:
    shelf = Shelf()
    shelf.pages[BEGINNING] = page(entry(1, 0, kind=END), ended=True)
    seat = Seat(feed_of([]), EntryId(0, 0), shelf)
    seat.viewer.rendition = None
    assert seat.take() == bytes_of([entry(1, 0, kind=END)])
    shelf.pages[BEGINNING] = page(entry(2, 0))
    seat.viewer.reset("rewound")
    assert [seat.take(), seat.take()] == [local_frame("gap", reason="rewound"), bytes_of([entry(2, 0)])]
    assert seat.viewer.done is None


# ── the ring ──


def test_who_is_in_the_ring_gets_64_kib_a_write_and_the_end_behind_its_last() -> None:
    bare = len(bytes_of([entry(1, 0, 0)]))
    big = [entry(1, seq, 32 * 1024 - bare) for seq in range(3)]
    feed = new_feed(1 << 20)
    native(feed)
    feed.add([*big, entry(2, 0, kind=END)])
    seat = Seat(feed)
    assert seat.take() == bytes_of(big[:2])
    assert seat.take() == bytes_of([*big[2:], entry(2, 0, kind=END)])
    assert (seat.take(), seat.viewer.done) == (b"", "end")
    assert (seat.woken, seat.pages.asked) == (0, [])


def test_who_lacks_nothing_of_a_feed_that_goes_on_asks_nobody() -> None:
    seat = Seat(shown(entry(1, 0)), EntryId(1, 0))
    assert seat.take() == b""
    assert (seat.viewer.position, seat.viewer.done, seat.pages.asked) == (1, None, [])


def test_who_comes_back_behind_the_end_of_what_is_watched_has_it() -> None:
    seat = Seat(shown(entry(1, 0), entry(1, 1, kind=END)), EntryId(1, 1))
    assert (seat.take(), seat.viewer.done, seat.pages.asked) == (b"", "end", [])


def test_who_is_not_in_the_ring_reads_the_log_until_it_is() -> None:
    feed = feed_of([entry(1, 0), entry(1, 1)])
    shelf = Shelf()
    shelf.pages[BEGINNING] = page(entry(1, 0), entry(1, 1))
    seat = Seat(feed, BEGINNING, shelf)
    feed.add([entry(1, 2)])
    assert [seat.take(), seat.take()] == [bytes_of([entry(1, 0)]), bytes_of([entry(1, 1)])]
    assert seat.viewer.cursor == EntryId(1, 1)
    assert seat.take() == bytes_of([entry(1, 2)])
    assert shelf.asked == [BEGINNING]


def test_an_end_of_a_feed_is_no_end_of_who_is_still_in_the_log() -> None:
    feed = feed_of([])
    feed.start(EntryId(2, 0), ended=True)
    shelf = Shelf()
    shelf.pages[BEGINNING] = page(entry(1, 0))
    seat = Seat(feed, BEGINNING, shelf)
    assert (seat.take(), seat.viewer.done) == (bytes_of([entry(1, 0)]), None)
    assert (seat.take(), seat.viewer.done) == (b"", None)


# ── following ──


def test_whose_socket_lends_itself_follows_once_it_has_begun_and_lacks_nothing() -> None:
    feed = shown(entry(1, 0))
    seat, loan = Seat(feed), socket()
    seat.viewer.lend(loan)
    assert seat.follows is None
    assert seat.take() != b""
    assert seat.follows is None
    assert seat.take() == b""
    assert seat.follows is loan


def test_who_has_not_begun_or_lends_nothing_or_is_ahead_of_what_was_shown_does_not_follow() -> None:
    new = shown(entry(1, 0))
    silent = Seat(new, EntryId(1, 0))
    silent.viewer.lend(socket())
    assert silent.take() == b""
    assert silent.follows is None, "its first event must say when to come back"

    feed = shown(entry(1, 0))
    mean, ahead = Seat(feed), Seat(feed)
    for seat in (mean, ahead):
        seat.take()
    assert mean.take() == b""
    feed.add([entry(1, 1)])
    ahead.viewer.lend(socket())
    assert ahead.take() == bytes_of([entry(1, 1)])
    assert ahead.take() == b""
    assert (mean.follows, ahead.follows) == (None, None)


def test_who_follows_stands_where_the_feed_has_shown_when_it_does_no_more() -> None:
    for stop in ("lend", "halt", "take", "release", "reset"):
        feed = shown(entry(1, 0))
        seat = Seat(feed)
        seat.viewer.lend(socket())
        seat.take()
        seat.take()
        assert seat.follows
        feed.add([entry(1, 1), entry(1, 2)])
        feed.show(0.0)
        match stop:
            case "lend":
                seat.viewer.lend(None)
            case "halt":
                seat.viewer.halt()
            case "take":
                seat.viewer.tell(TOLD)
                seat.take()
            case "release":
                seat.viewer.release()
            case _:
                seat.viewer.reset("rewound")
        assert seat.follows is None
        assert seat.viewer.position == (None if stop == "reset" else 3)


def test_who_did_not_follow_is_not_moved() -> None:
    feed = shown(entry(1, 0), entry(1, 1))
    viewer = Seat(feed).viewer
    viewer.position = 1
    viewer.halt()
    assert viewer.position == 1
    alone = Seat().viewer
    alone.halt()
    assert alone.position is None


def test_who_is_released_is_woken_and_ended_no_more() -> None:
    seat = Seat()
    seat.viewer.abort = lambda: pytest.fail("it has no socket")
    seat.viewer.taken = lambda: 7
    seat.viewer.release()
    seat.viewer.wake()
    seat.viewer.abort()
    assert (seat.woken, seat.viewer.taken()) == (0, 0)


def test_a_new_viewer_has_no_socket_yet() -> None:
    viewer = Viewer(ID, PLAIN, None, cast(Pages, Shelf()), EntryId(1, 2))
    viewer.wake()
    viewer.abort()
    assert (viewer.taken(), viewer.blocked_since, viewer.position, viewer.done) == (0, None, None, None)
    assert (viewer.id, viewer.cursor, viewer.rendition) == (ID, EntryId(1, 2), None)


# ── stalling ──


def test_a_viewer_stalls_when_its_client_has_taken_nothing_for_longer_than_it_may() -> None:
    viewer = Seat().viewer
    assert viewer.stalls(1000.0, 30) is False
    viewer.blocked_since = 100.0
    assert not viewer.stalls(1000.0, 30), "what it had taken before is not known"
    assert not viewer.stalls(1030.0, 30)
    assert viewer.stalls(1030.5, 30)
    viewer.taken = lambda: 5
    assert not viewer.stalls(1060.0, 30)
    assert viewer.blocked_since == 1060.0
    assert viewer.stalls(1091.0, 30)


def test_a_client_that_has_taken_one_byte_is_not_one_that_took_nothing() -> None:
    viewer = Seat().viewer
    viewer.blocked_since, viewer.taken = 100.0, lambda: 1
    assert not viewer.stalls(1000.0, 30)


# ── the log ──


def test_a_page_that_is_still_read_wakes_who_waits_for_it_and_is_asked_for_once() -> None:
    async def work() -> None:
        shelf = Shelf()
        answer = shelf.reads(BEGINNING)
        seat = Seat(None, BEGINNING, shelf)
        assert (seat.take(), seat.take()) == (b"", b"")
        assert (shelf.asked, seat.woken) == ([BEGINNING], 0)
        answer.set_result(page(entry(1, 0), entry(2, 0, kind=END), ended=True))
        await asyncio.sleep(0.01)
        assert seat.woken == 1
        assert seat.take() == bytes_of([entry(1, 0)])
        assert seat.viewer.cursor == EntryId(1, 0)
        assert seat.take() == bytes_of([entry(2, 0, kind=END)])
        assert (seat.viewer.done, seat.take(), seat.viewer.done) == (None, b"", "end")
        assert shelf.asked == [BEGINNING]

    scene(work())


def test_who_reads_a_log_alone_waits_for_its_next_page_though_its_socket_lends_itself() -> None:
    async def work() -> None:
        shelf = Shelf()
        shelf.pages[BEGINNING] = page(entry(1, 0))
        shelf.reads(EntryId(1, 0)).set_result(page(entry(2, 0, kind=END), ended=True))
        seat = Seat(None, BEGINNING, shelf)
        seat.viewer.lend(socket())
        assert [seat.take(), seat.take()] == [bytes_of([entry(1, 0)]), b""]
        await asyncio.sleep(0.01)
        assert seat.take() == bytes_of([entry(2, 0, kind=END)])

    scene(work())


@pytest.mark.parametrize("how", ["away", "cancelled"])
def test_a_read_that_fails_is_tried_again_after_a_quarter_of_a_second(how: str) -> None:
    async def work() -> None:
        shelf = Shelf()
        answer = shelf.reads(BEGINNING)
        seat = Seat(None, BEGINNING, shelf)
        seat.take()
        if how == "away":
            answer.set_exception(StorageUnavailable())
        else:
            answer.cancel()
        await asyncio.sleep(0.01)
        assert (seat.woken, seat.take(), seat.viewer.done) == (1, b"", None)
        shelf.pages[BEGINNING] = page(entry(1, 0))
        begun = asyncio.get_running_loop().time()
        while seat.woken == 1:
            await asyncio.sleep(0.001)
        assert asyncio.get_running_loop().time() - begun == pytest.approx(0.25, abs=0.002)
        assert seat.take() == bytes_of([entry(1, 0)])

    scene(work())


def test_what_was_read_before_a_reset_is_not_shown_behind_it() -> None:
    async def work() -> None:
        shelf = Shelf()
        cursor = EntryId(1, 0)
        answer = shelf.reads(cursor)
        seat = Seat(feed_of([]), cursor, shelf)
        seat.viewer.rendition = None
        seat.take()
        seat.viewer.reset("rewound")
        shelf.pages[BEGINNING] = page(entry(9, 0))
        answer.set_result(page(entry(1, 1)))
        await asyncio.sleep(0.01)
        assert [seat.take(), seat.take()] == [local_frame("gap", reason="rewound"), bytes_of([entry(9, 0)])]

    scene(work())


def test_a_log_that_was_rewound_is_told_and_read_from_its_beginning() -> None:
    shelf = Shelf()
    cursor = EntryId(1, 5)
    shelf.pages = {
        cursor: Page([], cursor, ended=False, full=False, rewound=True),
        BEGINNING: page(entry(1, 0)),
    }
    seat = Seat(None, cursor, shelf)
    assert [seat.take(), seat.take()] == [local_frame("gap", reason="rewound"), bytes_of([entry(1, 0)])]


@pytest.mark.parametrize("gone", ["expired", "erased", None])
def test_a_log_that_had_ended_and_has_no_end_any_more_cuts_its_viewer(gone: GapReason | None) -> None:
    shelf = Shelf()
    shelf.pages[BEGINNING] = Page([], BEGINNING, ended=False, full=False, gone=gone)
    seat = Seat(None, BEGINNING, shelf)
    assert seat.take() == (local_frame("gap", reason=gone) if gone else b"")
    assert (seat.take(), seat.viewer.done) == (b"", "cut")
    assert shelf.asked == [BEGINNING]


def test_a_log_that_has_nothing_more_for_who_watches_a_feed_is_no_end() -> None:
    feed = feed_of([entry(1, 0)])
    feed.ring.synced = False
    shelf = Shelf()
    shelf.pages[EntryId(1, 0)] = Page([], EntryId(1, 0), ended=False, full=False, gone="expired")
    seat = Seat(feed, EntryId(1, 0), shelf)
    assert (seat.take(), seat.viewer.done, len(shelf.asked)) == (b"", None, 1)
    assert (seat.take(), seat.viewer.done, len(shelf.asked)) == (b"", None, 2)


def test_an_end_that_is_in_the_log_ends_who_watches_a_feed_that_has_not_heard_of_it() -> None:
    feed = feed_of([])
    feed.ring.synced = False
    shelf = Shelf()
    shelf.pages[BEGINNING] = page(entry(1, 0), entry(2, 0, kind=END), ended=True)
    seat = Seat(feed, BEGINNING, shelf)
    assert [seat.take(), seat.take(), seat.take()] == [
        bytes_of([each]) for each in (entry(1, 0), entry(2, 0, kind=END))
    ] + [b""]
    assert seat.viewer.done == "end"


def test_what_a_dialect_has_no_word_for_is_not_told() -> None:
    seat = Seat(shown(entry(1, 0)))
    seat.viewer.tell(b"")
    assert seat.take() == bytes_of([entry(1, 0)])


def closed_of(seat: Seat) -> bytes:
    """What comes of a viewer that was shut, to its end."""
    seat.viewer.shut("revoked")
    assert seat.woken
    said = b"".join(iter(seat.take, b""))
    assert seat.viewer.done == "cut"
    return said


def test_who_is_shut_out_gets_nothing_more_but_why_wherever_it_is() -> None:
    async def reads_the_ring() -> None:
        seat = Seat(shown(entry(1, 0), entry(1, 1)), EntryId(1, 0))
        assert closed_of(seat) == local_frame("closed", reason="revoked")

    async def follows() -> None:
        feed = shown(entry(1, 0))
        seat = Seat(feed)
        seat.take()
        seat.viewer.lend(socket())
        assert seat.take() == b""
        assert seat.follows is not None
        assert closed_of(seat) == local_frame("closed", reason="revoked")
        assert seat.follows is None
        feed.add([entry(1, 1)])
        feed.show(1.0)

    async def has_a_page_in_hand() -> None:
        seat = Seat()
        seat.pages.pages[BEGINNING] = page(entry(1, 0), entry(1, 1), ended=True)
        assert seat.take()
        assert closed_of(seat) == local_frame("closed", reason="revoked")

    async def has_all_but_the_end_of_the_stream() -> None:
        seat = Seat()
        seat.pages.pages[BEGINNING] = page(entry(1, 0), ended=True)
        assert seat.take()
        assert closed_of(seat) == local_frame("closed", reason="revoked")

    async def waits_for_a_page() -> None:
        seat = Seat()
        answer = seat.pages.reads(BEGINNING)
        assert seat.take() == b""
        said = closed_of(seat)
        answer.set_result(page(entry(1, 0)))
        await asyncio.sleep(0)
        assert said == local_frame("closed", reason="revoked")
        assert seat.take() == b""

    async def was_told_something() -> None:
        seat = Seat()
        seat.viewer.tell(TOLD)
        assert closed_of(seat) == local_frame("closed", reason="revoked")

    async def is_in_the_middle_of_a_frame() -> None:
        seat = Seat()
        seat.viewer.open_with([b"data: half", b" of it\n\n"], EntryId(1, 0))
        assert seat.take() == b"data: half"
        assert closed_of(seat) == b""

    for each in (
        reads_the_ring, follows, has_a_page_in_hand, has_all_but_the_end_of_the_stream, waits_for_a_page,
        was_told_something, is_in_the_middle_of_a_frame,
    ):  # fmt: skip
        scene(each())


def test_who_is_shut_out_and_takes_nothing_is_not_waited_for() -> None:
    async def play(*, blocked: bool) -> None:
        seat, aborted = Seat(), list[bool]()
        seat.viewer.abort = lambda: aborted.append(True)
        seat.viewer.blocked_since = 1.0 if blocked else None
        seat.viewer.shut("expired")
        assert aborted == [True] * blocked

    scene(play(blocked=True))
    scene(play(blocked=False))
