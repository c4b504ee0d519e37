"""What holds for every dialect, whatever it remembers: who resumes behind any entry gets, byte for byte, what who was never
away gets. In the fold alone, and through feed, rendition, pages and viewer, with a log in a list."""

import asyncio
import random
from collections.abc import Sequence
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.dialects import UNKNOWN, Dialect, State
from api.dialects.as_messages import in_messages
from api.dialects.chat import CHAT_FORM
from api.dialects.chat_text import CHAT_TEXT
from api.dialects.completions import COMPLETIONS_WITH_USAGE
from api.dialects.durable import ARRAY, DURABLE
from api.dialects.langgraph import MODES, LangGraph
from api.dialects.messages import MESSAGES
from api.dialects.native import NATIVE, Native
from api.dialects.redacted import redacted
from api.dialects.responses.fold import Responses
from api.dialects.responses.head import Head
from api.dialects.text import TEXT_VIEW
from api.dialects.ui import UI
from api.dialects.ui.numbered import NUMBERED
from api.viewing.feed import Feed
from api.viewing.framing import plain
from api.viewing.pages import Page, Pages
from api.viewing.rendition import Rendition, View
from api.viewing.viewer import Viewer
from broker.events import DELTAS, END, EVENT, START, TEXT, THINKING, Entry, Run, event
from broker.ids import BEGINNING, EntryId
from broker.store.logs import Logs
from broker.store.strict_end import StrictEnds
from broker.turns import Turns
from tests.harness.clockwork import at_once

# Speed is not what is tested: a busy machine must not fail it.
examples = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

ID = "gen_" + "0" * 26


class Counting(Native):
    """Numbers what it shows, without holes: only text and the end."""

    begin = 0

    def fold(self, state: State, entries: Sequence[Entry]) -> tuple[State, list[bytes]]:
        assert isinstance(state, int)
        frames = []
        for entry in entries:
            shows = entry.kind in (TEXT, END)
            state += shows
            frames.append(b"data: %d\n\n" % state if shows else b"")
        return state, frames


DIALECTS: list[Dialect] = [NATIVE, TEXT_VIEW, CHAT_FORM, CHAT_TEXT, UI, MESSAGES, Counting()]
DIALECTS += [DURABLE, ARRAY, NUMBERED]
DIALECTS += [redacted(each) for each in DIALECTS[:5]]
DIALECTS += [Responses(Head.of(ID, "m", 0, {})), COMPLETIONS_WITH_USAGE]
DIALECTS += [LangGraph("t", ID, frozenset(MODES)), LangGraph("t", ID, frozenset(("messages-tuple",)))]
DIALECTS += [in_messages(NATIVE, ID), in_messages(redacted(NATIVE))]


def log_of(rng: random.Random, count: int, *, ended: bool = True) -> list[Entry]:
    """Attempts that think and write, and take back what an earlier one wrote."""
    entries: list[Entry] = []
    attempt = seq = blocks = 0
    for _ in range(count):
        if not entries or rng.random() < 0.04:
            attempt, seq = attempt + rng.randrange(1, 9), 0
            keep = rng.randrange(blocks + 1)
            kind, value = START, event("stream_start", keep_blocks=keep).value
            blocks = keep
        elif not blocks or rng.random() < 0.1:
            kind, value = event("block_start", index=blocks, block={})
            blocks += 1
        else:
            kind = rng.choice((TEXT, TEXT, TEXT, THINKING, EVENT))
            words = ("a", "\r", "\n", "\r\n", "é\n\n", " 🧵", "data: x", "b" * 40)
            said = "".join(rng.choice(words) for _ in range(rng.randrange(1, 3)))
            value = event("usage").value if kind == EVENT else said.encode()
        entries.append(Entry(EntryId(attempt, seq), kind, value))
        seq += 1
    if ended:
        entries.append(Entry(EntryId(attempt + 1, 0), END, b'{"type":"stream_end","status":"completed"}'))
    return entries


def whole(dialect: Dialect, log: list[Entry]) -> list[bytes]:
    return dialect.fold(dialect.begin, log)[1]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda each: type(each).__name__)
@examples
@given(st.integers(0, 2**32), st.data())
def test_a_log_that_is_folded_in_portions_is_the_same(dialect: Dialect, seed: int, data: st.DataObject) -> None:
    log = log_of(random.Random(seed), 60)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(log)), max_size=8)))
    state, frames = dialect.begin, list[bytes]()
    for start, stop in zip([0, *cuts], [*cuts, len(log)], strict=True):
        before = state
        state, more = dialect.fold(state, log[start:stop])
        frames += more
        assert dialect.fold(before, log[start:stop]) == (state, more), "a state is not changed in place"
    assert frames == whole(dialect, log)
    assert len(frames) == len(log)
    assert frames[-1] != b""


# ── with a feed, a rendition, pages and viewers ──


def runs_of(entries: list[Entry]) -> list[Run]:
    """The entries as Redis' client gives them where nobody needs an object for each."""
    found = list[tuple[EntryId, list[tuple[bytes, bytes]]]]()
    for (attempt, seq), kind, value in entries:
        if found and (attempt, seq) == (found[-1][0].attempt, found[-1][0].seq + len(found[-1][1])):
            found[-1][1].append((kind, value))
        else:
            found.append((EntryId(attempt, seq), [(kind, value)]))
    return [Run(*each) for each in found]


class Log:
    """A log in a list, read as Redis reads it; `read` is how many entries were, `reads` in how many trips."""

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        self.read = self.reads = 0

    async def erased(self, id_: str) -> bool:
        return False

    async def from_(self, _: str, first: EntryId, count: int) -> list[Entry]:
        found = [each for each in self.entries if each.id >= first][:count]
        self.read += len(found)
        self.reads += 1
        for _turn in range(3):
            await asyncio.sleep(0)
        return found

    async def runs(self, id_: str, first: EntryId, count: int) -> list[Run]:
        return runs_of(await self.from_(id_, first, count))


class Never:
    def holds(self, _: str, entry: Entry) -> bool:
        """No end is strict."""
        return False


class Seat:
    """A viewer that reads whenever it is woken, a little or all that it can get."""

    def __init__(self, viewer: Viewer, cursor: EntryId, rng: random.Random) -> None:
        self.viewer, self.cursor, self.rng = viewer, cursor, rng
        self.got = b""
        self.eager = False
        viewer.wake = self.read
        self.read()

    def read(self) -> None:
        while (self.eager or self.rng.random() < 0.6) and (body := self.viewer.take()):
            self.got += body

    async def finish(self) -> None:
        """Reads whatever there is, until the stream is over, or nothing comes any more."""
        self.eager = True
        for _ in range(500):
            if self.viewer.done is not None:
                break
            self.read()
            await asyncio.sleep(0)


class Theatre:
    def __init__(self, log: list[Entry], ring_bytes: int = 900) -> None:
        self.log = Log(log)
        self.pages = Pages(cast(Logs, self.log), cast(StrictEnds, Never()), 1 << 20, Turns())
        self.feed = Feed(ID, "", ring_bytes, 0.0, self.pages.note)
        self.feed.ring.synced = True
        if log:
            self.feed.start(log[-1].id, ended=False)

    def rendition(self, dialect: Dialect) -> Rendition:
        return self.feed.rendition(View(dialect, plain), 0.0)

    def viewer(self, dialect: Dialect, cursor: EntryId, *, live: bool = True) -> Viewer:
        rendition = self.rendition(dialect) if live else None
        viewer = Viewer(ID, View(dialect, plain), rendition, self.pages, cursor)
        if rendition is not None:
            rendition.viewers[viewer] = None
        return viewer

    def publish(self, entries: list[Entry]) -> None:
        self.log.entries += entries
        self.feed.add(entries)
        self.feed.show(0.0)

    async def page(self, dialect: Dialect, cursor: EntryId, id_: str = ID) -> Page:
        """What is behind a cursor of which nothing else is known."""
        page = self.pages.after(id_, dialect, cursor, UNKNOWN)
        return page if isinstance(page, Page) else await page

    async def read(self, viewer: Viewer) -> bytes:
        """All that it lacks."""
        got, idle = b"", 0
        while idle < 20 and viewer.done is None:
            body = viewer.take()
            got += body
            idle = 0 if body else idle + 1
            await asyncio.sleep(0)
        return got


def without_retry(got: bytes) -> bytes:
    return got.replace(b"retry: 500\n", b"")


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda each: type(each).__name__)
@examples
@given(st.integers(0, 2**32), st.integers(0, 150))
def test_every_viewer_gets_exactly_what_is_behind_its_cursor(dialect: Dialect, seed: int, before: int) -> None:
    """Viewers come at any moment, at any cursor, at any speed; the ring overflows; some are sent to the log."""
    rng = random.Random(seed)
    log = log_of(rng, before + rng.randrange(200))

    async def scene() -> None:
        here = Theatre(log[:before])
        seats: list[Seat] = []
        at = before
        while at < len(log):
            new = log[at : at + rng.randrange(1, 12)]
            at += len(new)
            here.publish(new)
            if rng.random() < 0.4:
                cursor = rng.choice([BEGINNING, *(each.id for each in log[:at])])
                seats.append(Seat(here.viewer(dialect, cursor), cursor, rng))
            if rng.random() < 0.1:
                here.feed.send_to_log()
            for _ in range(rng.randrange(8)):
                await asyncio.sleep(0)
        ids = [BEGINNING, *(each.id for each in log)]
        for seat in seats:
            await seat.finish()
            assert without_retry(seat.got) == b"".join(whole(dialect, log)[ids.index(seat.cursor) :])
            assert seat.viewer.done == "end"

    at_once(scene())


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda each: type(each).__name__)
@examples
@given(st.integers(0, 2**32), st.integers(0, 60), st.integers(1, 40))
def test_what_is_skipped_leaves_the_state_that_a_fold_leaves(
    dialect: Dialect, seed: int, before: int, entries: int
) -> None:
    log = log_of(random.Random(seed), 100)
    state, _ = dialect.fold(dialect.begin, log[:before])
    stretch = [each for each in log[before : before + entries] if each.kind in DELTAS]
    stretch = [each for each in stretch if each.kind == stretch[0].kind]
    if stretch and (after := dialect.skip(state, stretch[0].kind, [each.value for each in stretch])) is not UNKNOWN:
        assert after == dialect.fold(state, stretch)[0]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda each: type(each).__name__)
def test_a_log_that_has_ended_is_resumed_exactly_behind_any_of_its_entries(dialect: Dialect) -> None:
    log = log_of(random.Random(7), 120)

    async def scene() -> None:
        frames = whole(dialect, log)
        for at in range(len(log) + 1):
            here = Theatre(log)
            viewer = here.viewer(dialect, log[at - 1].id if at else BEGINNING, live=False)
            assert without_retry(await here.read(viewer)) == b"".join(frames[at:])

    at_once(scene())


# ── what a resume costs ──


def long_log(count: int) -> list[Entry]:
    start = Entry(EntryId(5, 0), START, event("stream_start", keep_blocks=0).value)
    return [start, *(Entry(EntryId(5, seq), TEXT, b"x") for seq in range(1, count))]


def test_a_resume_costs_a_page_wherever_it_is_once_somebody_has_read_the_log() -> None:
    async def scene() -> None:
        here = Theatre(long_log(5500))
        counting = Counting()
        await here.read(here.viewer(counting, BEGINNING))
        for seq in (1, 999, 1000, 3500, 4999, 5400):
            here.log.read = 0
            page = await here.page(counting, EntryId(5, seq))
            assert page.pieces[0][0].startswith(b"data: %d\n" % (seq + 1))
            assert here.log.read <= 2 * 1001

    at_once(scene())


def test_what_went_by_live_is_known_as_well() -> None:
    async def scene() -> None:
        log, counting = long_log(3500), Counting()
        here = Theatre([])
        here.viewer(counting, BEGINNING).take()
        for each in log:
            here.publish([each])
        here.log.read = 0
        page = await here.page(counting, EntryId(5, 3400))
        assert page.pieces[0][0].startswith(b"data: 3401\n")
        assert here.log.read <= 100 + 1001

    at_once(scene())


def test_a_state_is_noted_behind_every_thousand_entries_and_none_that_says_nothing() -> None:
    noted: list[tuple[str, Dialect, EntryId, State]] = []
    feed, counting = Feed(ID, "", 900, 0.0, lambda *parts: noted.append(parts)), Counting()
    feed.ring.synced = True
    for dialect in (NATIVE, counting):
        feed.rendition(View(dialect, plain), 0.0).position_behind(BEGINNING, dialect.begin)
    for each in long_log(2999):
        feed.add([each])
    assert noted == [(ID, counting, EntryId(5, 999), 999), (ID, counting, EntryId(5, 1999), 1999)]


def test_who_is_sent_to_the_log_and_knows_the_state_there_reads_nothing_twice() -> None:
    async def scene() -> None:
        here = Theatre(long_log(2500))
        viewer = here.viewer(Counting(), BEGINNING)
        await here.read(viewer)
        assert here.log.read == 1001 + 1001 + 501, "page by page, each from where the last one ended"

    at_once(scene())


@pytest.mark.parametrize("forgotten", [True, False])
def test_a_border_that_the_log_has_lost_is_of_no_use(*, forgotten: bool) -> None:
    async def scene() -> None:
        here, counting = Theatre(long_log(2500)), Counting()
        await here.read(here.viewer(counting, BEGINNING))
        other = [*long_log(500), *(Entry(EntryId(9, seq), TEXT, b"y") for seq in range(2000))]
        here.log.entries = other
        if forgotten:
            here.pages.forget_all()
        page = await here.page(counting, EntryId(9, 1800))
        assert page.pieces[0][0].startswith(b"data: %d\n" % (499 + 1801 + 1))
        assert not page.rewound

    at_once(scene())


def test_a_log_that_loses_the_cursor_while_it_is_folded_is_rewound() -> None:
    async def scene() -> None:
        here, counting = Theatre(long_log(50)), Counting()
        reading = here.pages.after(ID, counting, EntryId(5, 30), UNKNOWN)
        assert isinstance(reading, asyncio.Task)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del here.log.entries[20:]
        page = await reading
        assert page == Page([], EntryId(5, 30), ended=False, full=False, rewound=True, state=UNKNOWN)

    at_once(scene())


def test_borders_of_one_log_are_forgotten_with_it_and_those_of_the_others_are_not() -> None:
    async def scene() -> None:
        here, counting = Theatre(long_log(3500)), Counting()
        other = "gen_" + "1" * 26
        for id_ in (ID, other):
            await here.page(counting, EntryId(5, 3400), id_)
        here.pages.forget(ID)
        costs = []
        for id_ in (ID, other):
            here.log.read = 0
            await here.page(counting, EntryId(5, 3401), id_)
            costs.append(here.log.read)
        # In two trips each: what is up to the cursor, from the beginning or from the border at 3000, and one entry more.
        assert costs == [98 + 3402 + 2, 98 + 402 + 2]

    at_once(scene())


def test_of_no_log_is_a_border_known_any_more_once_all_are_forgotten() -> None:
    async def scene() -> None:
        here, counting = Theatre(long_log(3500)), Counting()
        await here.page(counting, EntryId(5, 3400))
        here.pages.forget_all()
        here.log.read = 0
        await here.page(counting, EntryId(5, 3400))
        assert here.log.read > 3 * 1001

    at_once(scene())


def test_a_full_page_is_a_border_in_a_dialect_that_remembers_something() -> None:
    async def scene() -> None:
        here, counting = Theatre(long_log(2500)), Counting()
        for dialect in (NATIVE, counting):
            await here.read(here.viewer(dialect, BEGINNING, live=False))
        noted = [(EntryId(5, 999), 999), (EntryId(5, 1999), 1999)]
        assert here.pages._borders._known == {(ID, counting): noted}

    at_once(scene())


# ── a rendition of a dialect that remembers something ──


def test_a_rendition_begins_with_the_first_who_knows_the_state_where_it_is() -> None:
    log = long_log(100)
    here = Theatre([], 1 << 20)
    shown = here.rendition(Counting())
    here.publish(log)
    assert (shown.frames, shown.position_behind(BEGINNING, 0)) == ([], None), (
        "what is before the latest entries is in the log"
    )
    assert shown.position_behind(EntryId(5, 98), UNKNOWN) is None
    assert shown.frames == []
    assert shown.position_behind(EntryId(5, 49), 49) == 50
    assert (shown.base, shown.end, shown.shown) == (50, 100, 100)
    assert shown.position_behind(EntryId(5, 98), UNKNOWN) == 99
    assert shown.position_behind(EntryId(5, 48), 48) is None
    assert shown.take(50, 30) == (b"data: 50\n\ndata: 51\n\ndata: 52\n\n", 53)
    here.feed.start(EntryId(5, 200), ended=False)
    assert shown.position_behind(EntryId(5, 200), UNKNOWN) is None


@pytest.mark.parametrize(("seq", "position"), [(34, None), (35, 36)])
def test_the_latest_64_entries_are_held_for_who_knows_the_state_before_them(seq: int, position: int | None) -> None:
    here = Theatre([], 1 << 20)
    shown = here.rendition(Counting())
    here.publish(long_log(100))
    assert shown.position_behind(EntryId(5, seq), seq) == position


def test_what_is_not_shown_is_no_write_and_no_sign_of_life() -> None:
    here = Theatre([])
    rendition = here.rendition(TEXT_VIEW)
    viewer = here.viewer(TEXT_VIEW, BEGINNING)
    assert viewer.take() == b""
    log = long_log(2)
    here.publish(log[:1])
    here.feed.show(5.0)
    assert (viewer.take(), rendition.sent_at) == (b"", 0.0)
    here.feed.add(log[1:])
    here.feed.show(6.0)
    assert viewer.take() == b"retry: 500\ndata: x\nid: 5-1\n\n"
    assert rendition.sent_at == 6.0


def test_empty_frames_are_bounded_too() -> None:
    here = Theatre([])
    here.viewer(TEXT_VIEW, BEGINNING).take()
    for seq in range(500):
        here.publish([Entry(EntryId(5, seq), THINKING, b"hm")])
    assert len(here.rendition(TEXT_VIEW).frames) <= 2 * 900 // 8
