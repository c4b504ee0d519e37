"""The seam between history and live, without a server: a log that grows, a feed that hears of it or does not, viewers who come
and go and are slow."""

import asyncio
import random
from functools import partial
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.dialects import Dialect, State
from api.dialects.native import NATIVE, local_frame
from api.dialects.sse import KEEP_ALIVE, RETRY
from api.viewing.feed import Feed, fits
from api.viewing.framing import chunk, plain
from api.viewing.pages import Page, Pages
from api.viewing.rendition import Loan, Rendition, View
from api.viewing.viewer import Viewer
from broker.events import END, EVENT, TEXT, Append, Entry
from broker.ids import BEGINNING, EntryId

# Speed is not what is tested: a busy machine must not fail it.
examples = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])

RING_BYTES = 450
PLAIN, CHUNKED = View(NATIVE, plain), View(NATIVE, chunk)


def entry(attempt: int, seq: int, size: int = 3, kind: bytes = TEXT) -> Entry:
    value = b'{"type":"stream_end"}' if kind == END else b"x" * size
    return Entry(EntryId(attempt, seq), kind, value)


def following(entries: list[Entry], rng: random.Random, size: int) -> Entry:
    """One of the same attempt, or of the next."""
    if not entries:
        return entry(1, 0, size)
    attempt, seq = entries[-1].id
    return entry(attempt, seq + 1, size) if rng.random() < 0.8 else entry(attempt + rng.randrange(1, 9), 0, size)


def bytes_of(entries: list[Entry]) -> bytes:
    return b"".join(frames_of(entries))


def frames_of(entries: list[Entry]) -> list[bytes]:
    return NATIVE.fold(None, entries)[1]


def append(prev: tuple[int, int], *ids: tuple[int, int]) -> Append:
    return Append(EntryId(*prev), [entry(*id_) for id_ in ids])


# ── how what is published joins a copy of the log ──


@pytest.mark.parametrize(
    ("last", "published", "seen", "new"),
    [
        ((0, 0), append((0, 0), (5, 0)), "added", [(5, 0)]),
        ((5, 0), append((5, 0), (5, 1), (5, 2)), "added", [(5, 1), (5, 2)]),
        ((5, 2), append((5, 2), (9, 0)), "added", [(9, 0)]),
        ((5, 2), append((5, 0), (5, 1), (5, 2)), "known", []),
        ((5, 2), append((5, 1), (5, 2)), "known", []),
        ((9, 0), append((5, 1), (5, 2)), "known", []),
        ((5, 2), append((5, 0), (5, 1), (5, 2), (5, 3)), "added", [(5, 3)]),
        ((5, 2), append((5, 1), (5, 2), (5, 3)), "added", [(5, 3)]),
        ((5, 2), append((5, 3), (5, 4)), "hole", []),
        ((5, 2), append((5, 4), (9, 0)), "hole", []),
        ((0, 0), append((5, 0), (5, 1)), "hole", []),
        ((5, 4), append((5, 2), (9, 0)), "rewound", []),
        ((5, 4), append((0, 0), (9, 0)), "rewound", []),
    ],
)
def test_what_is_published_goes_on_overlaps_leaves_a_hole_or_shows_that_the_log_was_rewound(
    last: tuple[int, int], published: Append, seen: str, new: list[tuple[int, int]]
) -> None:
    assert fits(EntryId(*last), published) == (seen, [entry(*id_) for id_ in new])


@examples
@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.data())
def test_a_copy_that_takes_what_fits_is_always_a_beginning_of_the_log(counts: list[int], data: st.DataObject) -> None:
    """Appends may be missed, repeated and late; what is not `added` is answered by reading the log."""
    log = [entry(attempt, seq) for attempt, count in enumerate(counts, 1) for seq in range(count)]
    copy: list[Entry] = []
    for _ in range(12):
        begin = data.draw(st.integers(0, len(log) - 1))
        same = [each for each in log[begin:] if each.id.attempt == log[begin].id.attempt]
        entries = same[: data.draw(st.integers(1, len(same)))]
        prev = log[begin - 1].id if begin else BEGINNING
        seen, new = fits(copy[-1].id if copy else BEGINNING, Append(prev, entries))
        copy += new
        if seen == "hole":
            copy = log[: begin + len(entries)]
        assert seen != "rewound"
        assert copy == log[: len(copy)]


# ── what a feed makes of it ──


def take_of(feed: Feed, prev: tuple[int, int] | None, *ids: tuple[int, int]) -> list[tuple[int, int]] | None:
    """The ids of what it says is new."""
    new = feed.take(prev and EntryId(*prev), [entry(*id_) for id_ in ids])
    return None if new is None else [each.id for each in new]


@pytest.mark.parametrize(
    ("prev", "ids", "new"),
    [
        (None, [(5, 3), (5, 4)], [(5, 3), (5, 4)]),
        ((5, 2), [(9, 0)], [(9, 0)]),
        (None, [(5, 2), (5, 3)], [(5, 3)]),
        (None, [(5, 1)], []),
        ((4, 7), [(5, 0), (5, 1)], []),
        (None, [(5, 4)], None),
        (None, [(9, 1)], None),
        ((5, 1), [(5, 3)], None),
        ((4, 7), [(9, 0)], None),
    ],
)
def test_a_feed_takes_what_follows_its_last_entry_and_falls_behind_with_what_does_not(
    prev: tuple[int, int] | None, ids: list[tuple[int, int]], new: list[tuple[int, int]] | None
) -> None:
    feed = feed_of([entry(5, 2)])
    assert take_of(feed, prev, *ids) == new
    assert feed.ring.synced is (new is not None)
    assert feed.ring.last == (5, 2), "it is not put into the ring yet"
    assert (feed.caught_up() is None) is (new is None)


def test_what_a_feed_fell_behind_with_joins_what_is_read_of_the_log() -> None:
    feed = feed_of([entry(5, 2)])
    assert take_of(feed, None, (5, 4)) is None
    assert [take_of(feed, None, id_) for id_ in ((5, 3), (5, 5))] == [[], []], "they are held"
    feed.reading()
    feed.add([entry(5, 3)])
    assert feed.caught_up() == [entry(5, 4), entry(5, 5)]
    assert feed.ring.synced


def test_a_new_feed_has_missed_nothing() -> None:
    feed = Feed("gen_x", "", RING_BYTES, 0.0, lambda *_: None)
    assert feed.caught_up() == []
    assert feed.ring.synced


# ── the ring ──


class Log(Pages):
    """Pages of a list; the log's end may be behind what was published, never ahead."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def after(self, id_: str, dialect: Dialect, cursor: EntryId, state: State) -> Page | asyncio.Task[Page]:
        found = [each for each in self.entries if each.id > cursor][:5]
        pieces = [(bytes_of([each]), each.id) for each in found]
        ended = bool(found) and found[-1].kind == END
        last = found[-1].id if found else cursor
        return Page(pieces, last, ended, len(found) == 5, gone=None if self.entries else "expired")


def new_feed(most_bytes: int = RING_BYTES, id_: str = "gen_x") -> Feed:
    """A feed that is synced."""
    feed = Feed(id_, "", most_bytes, 0.0, lambda *_: None)
    feed.ring.synced = True
    return feed


def feed_of(log: list[Entry]) -> Feed:
    feed = new_feed()
    if log:
        feed.start(log[-1].id, ended=False)
    return feed


def native(feed: Feed, view: View = PLAIN) -> Rendition:
    return feed.rendition(view, 0.0)


def arrive(feed: Feed, log: Pages, cursor: EntryId = BEGINNING, view: View = PLAIN) -> Viewer:
    rendition = native(feed, view)
    viewer = Viewer(feed.id, view, rendition, log, cursor)
    rendition.viewers[viewer] = None
    return viewer


def take(viewer: Viewer) -> bytes:
    """The next bytes to send, without the `retry:` of the stream's first event."""
    return viewer.take().replace(RETRY, b"")


def drain(viewer: Viewer) -> bytes:
    return b"".join(iter(lambda: take(viewer), b""))


@examples
@given(st.integers(0, 2**32), st.integers(0, 30))
def test_every_viewer_gets_exactly_what_is_behind_its_cursor(seed: int, before: int) -> None:
    """Entries of any size come in; viewers of any speed come at any moment, with any cursor; the ring overflows."""
    rng, log = random.Random(seed), Log()
    log.entries = [entry(1, seq, rng.choice((1, 3, 50))) for seq in range(before)]
    feed = feed_of(log.entries)
    viewers: list[tuple[Viewer, EntryId, list[bytes]]] = []
    for _ in range(60):
        if rng.random() < 0.6:
            new: list[Entry] = []
            for _ in range(rng.randrange(1, 6)):
                new.append(following([*log.entries, *new], rng, rng.choice((1, 3, 50, 2000))))
            log.entries += new
            feed.add(new)
            feed.show(0.0)
        if rng.random() < 0.3:
            cursor = rng.choice([BEGINNING, *(each.id for each in log.entries)])
            viewers.append((arrive(feed, log, cursor), cursor, []))
        for viewer, _, got in viewers:
            for _ in range(rng.choice((0, 0, 1, 100))):
                got.append(take(viewer))
    end = [entry(max([0, *(each.id.attempt for each in log.entries)]) + 1, 0, kind=END)]
    log.entries += end
    feed.add(end)
    feed.show(0.0)
    for viewer, cursor, got in viewers:
        got.append(drain(viewer))
        assert b"".join(got) == bytes_of([each for each in log.entries if each.id > cursor])
        assert viewer.done == "end"


@examples
@given(st.integers(0, 2**32))
def test_viewers_whose_socket_lends_itself_see_the_same(seed: int) -> None:
    """Sockets take all of a chunk, or a part of it and no more for a while, or nothing."""
    rng, log = random.Random(seed), Log()
    feed = feed_of([])
    wire: dict[Viewer, bytearray] = {}
    taking: dict[Viewer, bool] = {}

    def attach(viewer: Viewer) -> None:
        def write() -> None:
            while taking[viewer] and (body := viewer.take()):
                wire[viewer] += body

        viewer.wake = write
        wire[viewer] = bytearray()
        takes(viewer, True)

    def takes(viewer: Viewer, more: bool) -> None:
        taking[viewer] = more
        viewer.lend(Loan(partial(send, viewer), partial(write, viewer)) if more else None)
        if more:
            viewer.wake()

    def send(viewer: Viewer, ready: bytes) -> int:
        if rng.random() < 0.1:
            raise BlockingIOError
        taken = len(ready) if rng.random() < 0.8 else rng.randrange(len(ready))
        wire[viewer] += ready[:taken]
        return taken

    def write(viewer: Viewer, rest: bytes) -> None:
        wire[viewer] += rest
        takes(viewer, False)

    for _ in range(40):
        new = [following(log.entries, rng, rng.choice((1, 3, 300)))]
        log.entries += new
        feed.add(new)
        if rng.random() < 0.7:
            feed.show(0.0)
        if rng.random() < 0.3:
            attach(arrive(feed, log, view=CHUNKED))
        for viewer in wire:
            if rng.random() < 0.2:
                takes(viewer, not taking[viewer])
            if rng.random() < 0.1:
                viewer.tell(KEEP_ALIVE)
    feed.show(0.0)
    for viewer, got in wire.items():
        whole = unchunked(bytes(got) + b"".join(iter(viewer.take, b"")))
        assert whole.replace(KEEP_ALIVE, b"").replace(RETRY, b"") == bytes_of(log.entries)


def unchunked(wire: bytes) -> bytes:
    bodies = []
    while wire:
        size, _, rest = wire.partition(b"\r\n")
        end = int(size, 16)
        assert rest[end : end + 2] == b"\r\n"
        bodies.append(rest[:end])
        wire = rest[end + 2 :]
    return b"".join(bodies)


def test_one_entry_that_is_larger_than_the_ring_is_not_skipped() -> None:
    log = Log()
    feed = feed_of([])
    slow = arrive(feed, log)
    assert slow.take() == b""
    for seq, size in enumerate((5 * RING_BYTES, 3, 5 * RING_BYTES, 3)):
        log.entries.append(entry(1, seq, size, EVENT))
        feed.add(log.entries[-1:])
    assert drain(slow) == bytes_of(log.entries)


def test_a_ring_is_bounded() -> None:
    feed = feed_of([])
    shown = native(feed)
    for seq in range(5000):
        feed.add([entry(1, seq, 20)])
    assert sum(map(len, shown.frames)) <= 2 * RING_BYTES + 100
    assert shown.end == feed.ring.end == 5000
    assert feed.ring.id_before(shown.base) == EntryId(1, shown.base - 1)


def test_a_viewer_at_the_rings_end_is_not_carried_over_what_was_missed() -> None:
    log = Log()
    feed = feed_of([])
    viewer = arrive(feed, log)
    assert viewer.take() == b""
    log.entries = [entry(1, seq) for seq in range(20)]
    feed.start(EntryId(1, 19), ended=False)
    log.entries.append(entry(1, 20))
    feed.add(log.entries[-1:])
    assert drain(viewer) == bytes_of(log.entries)


def test_a_feed_that_is_not_synced_lets_nobody_join() -> None:
    feed = feed_of([])
    assert feed.has(BEGINNING, PLAIN) is False, "it is not shown so yet"
    native(feed)
    assert feed.has(BEGINNING, PLAIN)
    feed.ring.synced = False
    assert feed.has(BEGINNING, PLAIN) is False


def test_a_viewer_ahead_of_what_was_published_waits_for_it_in_the_log() -> None:
    log = Log()
    log.entries = [entry(1, seq) for seq in range(4)]
    feed = feed_of(log.entries[:2])
    viewer = arrive(feed, log)
    assert drain(viewer) == bytes_of(log.entries)
    feed.add(log.entries[2:])
    assert viewer.take() == b""
    log.entries.append(entry(1, 4))
    feed.add(log.entries[4:])
    assert drain(viewer) == bytes_of(log.entries[4:])


# ── a log that is not what it was ──


def test_a_reset_says_gap_first_and_begins_anew_however_much_was_told_before() -> None:
    log = Log()
    log.entries = [entry(1, seq) for seq in range(3)]
    feed = feed_of(log.entries)
    viewer = arrive(feed, log)
    drain(viewer)
    for _ in range(100):
        viewer.tell(KEEP_ALIVE)
    log.entries = log.entries[:1]
    feed.start(log.entries[-1].id, ended=False)
    viewer.reset("rewound")
    got = drain(viewer).replace(KEEP_ALIVE, b"")
    assert got == local_frame("gap", reason="rewound") + bytes_of(log.entries)


def test_an_end_that_redis_has_lost_is_no_end() -> None:
    log = Log()
    log.entries = [entry(1, 0), entry(1, 1, kind=END)]
    feed = feed_of([])
    viewer = arrive(feed, log)
    feed.add(log.entries)
    log.entries = log.entries[:1]
    feed.start(EntryId(1, 0), ended=False)
    viewer.reset("rewound")
    drain(viewer)
    assert viewer.done is None, "the stream stays open for the next attempt"
    log.entries += [entry(9, 0, kind=EVENT), entry(9, 1, kind=END)]
    feed.add(log.entries[1:])
    assert drain(viewer) == bytes_of(log.entries[1:])
    assert viewer.done == "end"


def test_a_viewer_that_is_dropped_hears_why_and_does_not_look_finished() -> None:
    feed = feed_of([])
    viewer = arrive(feed, Log())
    viewer.tell(local_frame("drain"))
    viewer.drop()
    assert drain(viewer) == local_frame("drain")
    assert viewer.done == "cut"


def test_a_log_that_expires_while_it_is_read_is_told_and_cut() -> None:
    log = Log()
    log.entries = [entry(1, seq) for seq in range(8)]
    viewer = Viewer("gen_x", PLAIN, None, log, BEGINNING)
    viewer.take()
    log.entries = []
    assert drain(viewer).endswith(local_frame("gap", reason="expired"))
    assert viewer.done == "cut"


def test_a_page_that_could_not_be_read_is_asked_for_again() -> None:
    class Away(Log):
        tries = 0

        def after(self, id_: str, dialect: Dialect, cursor: EntryId, state: State) -> Page | asyncio.Task[Page]:
            self.tries += 1
            if self.tries > 2:
                return super().after(id_, dialect, cursor, state)

            async def fail() -> Page:
                raise ConnectionError

            return asyncio.get_running_loop().create_task(fail())

    async def run() -> bytes:
        log = Away()
        log.entries = [entry(1, 0), entry(1, 1, kind=END)]
        viewer = Viewer("gen_x", PLAIN, None, log, BEGINNING)
        woken = asyncio.Event()
        viewer.wake = cast(Any, woken.set)
        got = b""
        async with asyncio.timeout(5):
            while viewer.done is None:
                woken.clear()
                if body := take(viewer):
                    got += body
                elif viewer.done is None:
                    await woken.wait()
        return got

    assert asyncio.run(run()) == bytes_of([entry(1, 0), entry(1, 1, kind=END)])
