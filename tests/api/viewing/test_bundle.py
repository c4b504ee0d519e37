"""Several viewers on one connection, without a socket: each gets exactly what is behind its cursor, whatever the connection
takes and whoever comes, goes or has a frame in parts."""

import asyncio
import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.dialects import Dialect, State
from api.dialects.as_messages import in_messages
from api.dialects.native import NATIVE
from api.dialects.websocket import Texts, message
from api.viewing.bundle import MOST_SAID, Bundle, Why
from api.viewing.feed import Feed
from api.viewing.framing import plain
from api.viewing.pages import Page, Pages
from api.viewing.rendition import Loan, View
from api.viewing.viewer import Viewer
from broker.events import END, Entry
from broker.ids import BEGINNING, EntryId
from tests.api.viewing.test_feed import entry, new_feed
from tests.harness.clockwork import at_once

examples = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SNAPSHOT = (message(b"s" * 200)[:90], message(b"s" * 200)[90:150], message(b"s" * 200)[150:])


class Logs(Pages):
    """Pages of five entries of each generation."""

    def __init__(self) -> None:
        self.entries: dict[str, list[Entry]] = {}

    def after(self, id_: str, dialect: Dialect, cursor: EntryId, state: State) -> Page | asyncio.Task[Page]:
        found = [each for each in self.entries[id_] if each.id > cursor][:5]
        _, frames = dialect.fold(state, found)
        pieces = [(frame, each.id) for frame, each in zip(frames, found, strict=True)]
        ended = bool(found) and found[-1].kind == END
        return Page(pieces, found[-1].id if found else cursor, ended, len(found) == 5)


class Wire:
    """A connection that takes all, a part, or nothing; its bundle, and who has left it."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self.rng = rng
        self.got = bytearray()
        self.takes = True
        self.aborted = False
        self.left: dict[str, tuple[Why, EntryId | None]] = {}
        self.bundle = Bundle(lambda viewer, why, place: self.left.update({viewer.id: (why, place)}))
        self.bundle.wake, self.bundle.abort = self.write, self._abort
        self._writing = False
        self.open(True)

    def _abort(self) -> None:
        self.aborted = True

    def open(self, takes: bool) -> None:
        self.takes = takes
        self.bundle.lend(Loan(self._send, self._rest) if takes else None, None if takes else 1.0)
        if takes:
            self.write()

    def write(self) -> None:
        if self._writing:
            return
        self._writing = True
        while self.takes and (body := self.bundle.take()):
            self.got += body
        self._writing = False

    def _send(self, ready: bytes) -> int:
        taken = len(ready) if self.rng is None or self.rng.random() < 0.8 else self.rng.randrange(len(ready))
        self.got += ready[:taken]
        return taken

    def _rest(self, rest: bytes) -> None:
        self.got += rest
        self.open(False)

    @property
    def texts(self) -> list[bytes]:
        """Raises if what was written is not whole messages, one behind the other."""
        found = list(Texts().of(bytes(self.got)))
        assert b"".join(map(message, found)) == bytes(self.got)
        return found


def follow(wire: Wire, feed: Feed, logs: Logs, cursor: EntryId = BEGINNING, opening: tuple[bytes, ...] = ()) -> Viewer:
    view = View(in_messages(NATIVE, feed.id), plain)
    rendition = feed.rendition(view, 0.0)
    viewer = Viewer(feed.id, view, rendition, logs, cursor)
    rendition.viewers[viewer] = None
    if opening:
        viewer.open_with(opening, cursor)
    wire.bundle.add(viewer)
    return viewer


def texts_of(id_: str, entries: list[Entry]) -> list[bytes]:
    return list(Texts().of(b"".join(in_messages(NATIVE, id_).fold(None, entries)[1])))


@examples
@given(st.integers(0, 2**32))
def test_each_generation_is_told_whole_and_in_its_order_whatever_the_connection_takes(seed: int) -> None:
    at_once(_any_order(random.Random(seed)))


async def _any_order(rng: random.Random) -> None:
    wire, logs = Wire(rng), Logs()
    feeds = {id_: new_feed(id_=id_) for id_ in ("gen_a", "gen_b", "gen_c")}
    logs.entries = {id_: [] for id_ in feeds}
    snapshots = 0
    for _ in range(60):
        id_, feed = rng.choice(list(feeds.items()))
        log = logs.entries[id_]
        log.append(entry(1, len(log), rng.choice((1, 40, 300))))
        feed.add(log[-1:])
        if rng.random() < 0.8:
            feed.show(0.0)
        if rng.random() < 0.3 and id_ not in wire.bundle:
            cursor, opening = BEGINNING, SNAPSHOT if rng.random() < 0.5 else ()
            snapshots += bool(opening)
            follow(wire, feed, logs, cursor, opening)
        if rng.random() < 0.2:
            wire.open(not wire.takes)
        if rng.random() < 0.1:
            wire.bundle.say(message(b"said"))
    for id_, feed in feeds.items():
        if id_ not in wire.bundle:
            follow(wire, feed, logs)
        logs.entries[id_].append(entry(2, 0, kind=END))
        feed.add(logs.entries[id_][-1:])
        feed.show(0.0)
    wire.open(True)
    await asyncio.sleep(0)
    assert wire.left == {id_: ("ended", EntryId(2, 0)) for id_ in feeds}
    assert len(wire.bundle) == 0
    found = wire.texts
    assert found.count(b"s" * 200) == snapshots
    for id_, log in logs.entries.items():
        assert [text for text in found if id_.encode() in text] == texts_of(id_, log)


def run(work: Any) -> None:
    async def coroutine() -> None:
        work()
        await asyncio.sleep(0)

    at_once(coroutine())


def test_a_frame_in_parts_is_given_to_its_end_before_anybody_else_writes() -> None:
    def work() -> None:
        wire, logs = Wire(), Logs()
        logs.entries = {"gen_a": [entry(1, 0)], "gen_b": [entry(1, 0)]}
        feeds = {id_: new_feed(id_=id_) for id_ in logs.entries}
        for feed in feeds.values():
            feed.start(EntryId(1, 0), ended=False)
        follow(wire, feeds["gen_b"], logs)
        wire.takes = False  # we take by ourselves; what is lent stays so
        follow(wire, feeds["gen_a"], logs, opening=SNAPSHOT)
        got = len(wire.got)
        assert wire.bundle.take() == SNAPSHOT[0]
        wire.bundle.say(message(b"said"))
        logs.entries["gen_b"].append(entry(1, 1))
        feeds["gen_b"].add(logs.entries["gen_b"][-1:])
        feeds["gen_b"].show(0.0)
        assert len(wire.got) == got, "its rendition does not write either"
        assert [wire.bundle.take() for _ in range(2)] == [*SNAPSHOT[1:]]
        wire.open(True)
        assert b"said" in wire.got

    run(work)


def test_one_that_is_shut_in_the_middle_of_a_frame_ends_the_connection() -> None:
    def work() -> None:
        wire, logs = Wire(), Logs()
        logs.entries = {"gen_a": []}
        wire.open(False)
        viewer = follow(wire, new_feed(id_="gen_a"), logs, opening=SNAPSHOT)
        assert wire.bundle.take() == SNAPSHOT[0]
        viewer.shut("revoked")
        assert wire.bundle.take() == b""
        assert wire.aborted

    run(work)


def test_one_with_much_behind_it_holds_up_no_other() -> None:
    def work() -> None:
        wire, logs = Wire(), Logs()
        logs.entries = {"gen_a": [entry(1, seq) for seq in range(200)], "gen_b": [entry(1, 0)]}
        wire.open(False)
        for id_, log in logs.entries.items():
            feed = new_feed(id_=id_)
            feed.start(log[-1].id, ended=False)
            follow(wire, feed, logs)
        first = [wire.bundle.take() for _ in range(4)]
        assert any(b"gen_b" in body for body in first)

    run(work)


def test_who_is_asked_to_leave_says_where_it_was_and_nothing_behind_it() -> None:
    wire, logs = Wire(), Logs()
    logs.entries = {"gen_a": [entry(1, 0), entry(1, 1)]}
    feed = new_feed(id_="gen_a")

    def work() -> None:
        feed.add(logs.entries["gen_a"])
        follow(wire, feed, logs)
        wire.bundle.leave("gen_a")
        feed.add([entry(1, 2)])
        feed.show(0.0)

    run(work)
    assert wire.left == {"gen_a": ("unfollowed", EntryId(1, 1))}
    assert wire.texts == texts_of("gen_a", logs.entries["gen_a"])


def test_who_is_cut_off_before_it_was_given_anything_was_nowhere() -> None:
    wire, logs = Wire(), Logs()
    logs.entries = {"gen_a": []}

    def work() -> None:
        follow(wire, new_feed(id_="gen_a"), logs).shut("expired")

    run(work)
    assert wire.left == {"gen_a": ("cut", None)}
    assert b'"reason":"expired"' in wire.texts[0]


def test_who_asks_much_and_reads_nothing_is_cut_off() -> None:
    wire = Wire()
    wire.open(False)
    for _ in range(MOST_SAID):
        wire.bundle.say(message(b"no"))
    assert not wire.aborted
    wire.bundle.say(message(b"no"))
    assert wire.aborted


def test_what_a_viewer_needs_of_its_connection_it_has_from_the_beginning() -> None:
    def work() -> None:
        wire, logs = Wire(), Logs()
        logs.entries = {"gen_a": []}
        wire.bundle.taken = lambda: 7
        wire.open(False)
        viewer = follow(wire, new_feed(id_="gen_a"), logs)
        assert (viewer.blocked_since, viewer.taken(), viewer.abort) == (1.0, 7, wire.bundle.abort)
        wire.open(True)
        assert viewer.blocked_since is None
        assert wire.bundle.end() == [viewer]
        assert (len(wire.bundle), viewer.taken()) == (0, 0)

    run(work)
