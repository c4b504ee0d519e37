"""A hub without a server, on a clock that the test moves: what its viewers are told as time passes, and what it does when the
live connection comes and goes."""

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, cast

import pytest

from api.access.gate import ANONYMOUS, Principal
from api.dialects.native import NATIVE
from api.dialects.sse import KEEP_ALIVE
from api.settings import ApiSettings
from api.viewing.feed import Feed
from api.viewing.hub import Hub, HubStatistics
from api.viewing.viewer import Viewer
from broker import keys
from broker.errors import StorageUnavailable, UnknownGeneration
from broker.events import END, Entry
from broker.ids import BEGINNING, EntryId
from broker.store.coordination import Coordination
from broker.store.logs import Logs
from broker.waiting import Standing, Wait
from tests.api.viewing.test_catch_up import FakeLog, entries, entry
from tests.api.viewing.test_feed import PLAIN, native
from tests.harness.clockwork import at_once

ID, OTHER = "gen_" + "0" * 26, "gen_" + "1" * 26
CHANNEL = keys.live(ID).encode()
STILL = HubStatistics(True, *[0] * 13)


class Queue:
    """Coordination that knows places in the queue."""

    def __init__(self) -> None:
        self.places: list[int | None] = [None]
        self.asked: list[list[tuple[str, str]]] = []
        self.away = False
        self.held: set[str] = set()
        self.open = asyncio.Event()
        self.open.set()

    async def standing(self) -> Standing:
        return Standing(0)

    async def ranks(self, ids: list[tuple[str, str]]) -> list[int | None]:
        self.asked.append(ids)
        await self.open.wait()
        if self.away:
            raise StorageUnavailable
        return self.places[: len(ids)]

    async def held_back(self, ids: list[str]) -> set[str]:
        return self.held.intersection(ids)


class Wire:
    """What the hub asks its live connection for."""

    def __init__(self) -> None:
        self.subscribed: list[bytes] = []
        self.left: list[bytes] = []
        self.up = True

    async def run(self) -> None:
        await asyncio.Event().wait()

    def subscribe(self, channel: bytes) -> None:
        self.subscribed.append(channel)

    def unsubscribe(self, channel: bytes) -> None:
        self.left.append(channel)


class Held:
    """Every end is held back until `let_go`."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, EntryId]] = []
        self.let_go = asyncio.Event()

    def holds(self, _: str, entry: Entry) -> bool:
        return entry.kind == END and not self.let_go.is_set()

    async def safe(self, id_: str, end: EntryId) -> None:
        self.asked.append((id_, end))
        await self.let_go.wait()

    def cancel(self) -> None: ...


class Seat:
    """A viewer that reads whatever it gets."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.bytes = b""
        self.woken = self.aborted = 0
        viewer.wake, viewer.abort = self._wake, self._abort
        self._take()

    def _wake(self) -> None:
        self.woken += 1
        self._take()

    def _take(self) -> None:
        while more := self.viewer.take():
            self.bytes += more

    def _abort(self) -> None:
        self.aborted += 1

    @property
    def heard(self) -> int:
        """How many keep-alives."""
        return self.bytes.count(KEEP_ALIVE)


class Scene:
    def __init__(self, *of: Entry, **settings: Any) -> None:
        self.log, self.queue, self.wire = FakeLog(*of), Queue(), Wire()
        self.placeless: list[str] = []
        self.hub = Hub(
            cast(Logs, self.log), cast(Coordination, self.queue), ApiSettings(**settings), self.placeless.append
        )
        vars(self.hub)["_subscription"] = self.wire
        self.hub.live_up()
        self.running = asyncio.create_task(self.hub.run())

    def seat(self, cursor: EntryId = BEGINNING, **how: Any) -> Seat:
        return Seat(self.hub.attach(ID, cursor, PLAIN, **{"who": ANONYMOUS, "ended": False, **how}))

    async def watched(self, cursor: EntryId = BEGINNING, **how: Any) -> Seat:
        """A viewer whose feed is subscribed and synced."""
        seat = self.seat(cursor, **how)
        self.hub.subscribed(CHANNEL)
        await self.settled()
        assert self.feed.ring.synced
        return seat

    @property
    def feed(self) -> Feed:
        (feed,) = self.hub._feeds.values()
        return feed

    async def settled(self) -> None:
        for _ in range(100):
            await asyncio.sleep(0)

    def publish(self, *of: Entry, prev: EntryId | None = None) -> None:
        head = (b"%b " % str(prev).encode() if prev is not None else b"") + str(of[0].id).encode() + b"\n"
        body = b"".join(b"%b%d:%b" % (each.kind, len(each.value), each.value) for each in of)
        self.hub.published(CHANNEL, head + body)
        self.hub.read()


def run(scene: Coroutine[Any, Any, None]) -> None:
    at_once(scene)


def test_a_silent_stream_gets_a_keep_alive_within_the_longest_silence_and_no_more_than_that() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0), keep_alive=15)
        seat = await here.watched()
        await asyncio.sleep(12.5)
        assert seat.heard == 0
        await asyncio.sleep(2)
        assert seat.heard == 1
        await asyncio.sleep(130)
        assert seat.heard == 11

    run(scene())


def test_what_is_shown_is_a_sign_of_life_too() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0), keep_alive=15)
        seat = await here.watched()
        await asyncio.sleep(10.5)
        here.log.entries += entries(5, 1)
        here.publish(*entries(5, 1))
        assert b"5-1" in seat.bytes
        await asyncio.sleep(12)
        assert seat.heard == 0
        await asyncio.sleep(3)
        assert seat.heard == 1

    run(scene())


def test_who_reads_a_log_that_has_ended_gets_keep_alives_while_it_waits_for_it() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0), keep_alive=15)
        here.log.hold()
        seat = here.seat(ended=True)
        await asyncio.sleep(12.5)
        assert seat.heard == 0
        await asyncio.sleep(1)
        assert seat.heard == 1
        await asyncio.sleep(13)
        assert seat.heard == 2
        here.hub.detach(seat.viewer)
        await asyncio.sleep(60)
        assert seat.heard == 2

    run(scene())


def test_a_viewer_whose_socket_takes_nothing_is_dropped_and_one_that_takes_again_is_not() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0), stalled_viewer=30)
        stalled, other, slow = await here.watched(), here.seat(), here.seat()
        for seat in (stalled, other, slow):
            seat.viewer.blocked_since = asyncio.get_running_loop().time()
        for _ in range(20):
            slow.viewer.taken = partial(int, asyncio.get_running_loop().time())
            await asyncio.sleep(1)
        other.viewer.blocked_since = None
        await asyncio.sleep(9)
        assert stalled.aborted == 0
        await asyncio.sleep(4)
        assert (stalled.aborted > 0, slow.aborted, other.aborted) == (True, 0, 0)
        times = stalled.aborted
        here.hub.detach(stalled.viewer)
        await asyncio.sleep(12)
        assert (stalled.aborted, slow.aborted) == (times, 0)
        await asyncio.sleep(30)
        assert (slow.aborted > 0, other.aborted) == (True, 0)

    run(scene())


def test_a_generation_is_watched_five_seconds_longer_than_its_last_viewer_stays() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0))
        seat = await here.watched()
        await asyncio.sleep(30)
        here.hub.detach(seat.viewer)
        await asyncio.sleep(5.5)
        assert here.hub.knows(ID, BEGINNING, PLAIN, ANONYMOUS)
        assert here.wire.left == []
        await asyncio.sleep(1)
        assert not here.hub.knows(ID, BEGINNING, PLAIN, ANONYMOUS)
        assert here.wire.left == [CHANNEL]

    run(scene())


def test_a_generation_that_somebody_watches_is_not_forgotten_because_somebody_left() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0))
        first = await here.watched()
        here.seat()
        here.hub.detach(first.viewer)
        await asyncio.sleep(60)
        assert here.hub.knows(ID, BEGINNING, PLAIN, ANONYMOUS)
        assert here.wire.left == []

    run(scene())


def test_one_that_has_ended_is_forgotten_with_its_last_viewer() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0))
        first = await here.watched()
        second = here.seat()
        here.publish(entry(6, 0, END), prev=EntryId(5, 0))
        assert not here.hub.knows(ID, BEGINNING, PLAIN, ANONYMOUS)
        here.hub.detach(first.viewer)
        assert here.wire.left == []
        here.hub.detach(second.viewer)
        here.hub.detach(second.viewer)
        assert here.wire.left == [CHANNEL]
        assert here.hub._viewers == set()

    run(scene())


def test_who_leaves_twice_takes_nothing_away_from_who_came_meanwhile() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0))
        first = await here.watched()
        here.publish(entry(6, 0, END), prev=EntryId(5, 0))
        here.hub.detach(first.viewer)
        here.seat()
        feed = here.feed
        here.hub.detach(first.viewer)
        assert here.feed is feed
        assert here.wire.left == [CHANNEL]

    run(scene())


def test_each_generation_is_subscribed_once() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0))
        here.seat()
        here.seat()
        assert here.wire.subscribed == [CHANNEL]

    run(scene())


def test_the_quick_way_is_for_what_runs_here_and_is_closed_while_draining() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0, 1))
        assert here.hub.knows(ID, BEGINNING, PLAIN, ANONYMOUS) is False
        seat = here.seat()
        assert here.hub.knows(ID, BEGINNING, PLAIN, ANONYMOUS) is False, "it is not synced yet"
        here.hub.subscribed(CHANNEL)
        await here.settled()
        assert here.hub.knows(ID, BEGINNING, PLAIN, ANONYMOUS)
        assert here.hub.knows(ID, EntryId(5, 1), PLAIN, ANONYMOUS)
        assert not here.hub.knows(ID, EntryId(5, 0), PLAIN, ANONYMOUS), "its cursor is not in the ring"
        assert not here.hub.knows(OTHER, BEGINNING, PLAIN, ANONYMOUS)
        here.hub.drain()
        assert not here.hub.knows(ID, BEGINNING, PLAIN, ANONYMOUS)
        assert b'"drain"' in seat.bytes
        assert b"\nretry: " in seat.bytes
        assert seat.viewer.done == "cut"

    run(scene())


def test_the_quick_way_is_for_those_who_may_see_the_generation() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0))
        await here.watched(owner="somebody")
        for who, knows in ((Principal("somebody"), True), (Principal("another"), False), (ANONYMOUS, True)):
            assert here.hub.knows(ID, BEGINNING, PLAIN, who) is knows

    run(scene())


@pytest.mark.parametrize("ended", [True, False])
def test_nobody_is_attached_to_what_is_not_there_for_it(ended: bool) -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0))
        await here.watched(owner="somebody")
        owner = "somebody" if ended else "another"  # of what is watched its feed knows whose it is
        for who in (Principal("another"), Principal("somebody", only=OTHER)):
            with pytest.raises(UnknownGeneration):
                here.seat(who=who, ended=ended, owner=owner)
        here.seat(who=Principal("somebody", only=ID), ended=ended, owner=owner)
        assert here.hub.statistics().attached == 2

    run(scene())


def test_a_generation_that_waits_for_its_first_entry_has_no_quick_way() -> None:
    async def scene() -> None:
        here = Scene()
        await here.watched()
        assert not here.hub.knows(ID, BEGINNING, PLAIN, ANONYMOUS)

    run(scene())


def test_who_is_turned_away_is_told_to_come_back_and_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, int]] = []

    def draw(least: int, most: int) -> int:
        drawn.append((least, most))
        return 1234

    monkeypatch.setattr(random, "randint", draw)

    async def scene() -> None:
        seat = Seat(Scene().hub.turn_away(ID, PLAIN))
        assert b'"drain"' in seat.bytes
        assert seat.bytes.count(b"\n\n") == 1
        assert int(seat.bytes.rpartition(b"retry: ")[2]) == 1234
        assert drawn == [(500, 3000)]
        assert seat.viewer.done == "cut"

    run(scene())


def test_a_waiting_viewer_is_told_its_place_when_it_changes() -> None:
    async def scene() -> None:
        here = Scene()
        here.queue.places = [3]
        seat = await here.watched(wait=Wait(3))
        await asyncio.sleep(2.5)
        assert here.queue.asked == [[(ID, "")]] * 2
        assert b"queued" not in seat.bytes
        here.queue.places = [2]
        await asyncio.sleep(2)
        assert seat.bytes.count(NATIVE.queued(Wait(2))) == 1
        here.queue.places = [None]
        await asyncio.sleep(2)
        assert seat.bytes.count(b"queued") == 1

    run(scene())


def test_places_are_asked_for_one_time_after_the_other_and_not_told_who_has_begun_meanwhile() -> None:
    async def scene() -> None:
        here = Scene()
        here.queue.places = [4]
        here.queue.open.clear()
        seat = await here.watched()
        await asyncio.sleep(5.5)
        assert len(here.queue.asked) == 1
        here.log.entries = entries(5, 0)
        here.publish(*entries(5, 0), prev=BEGINNING)
        here.queue.open.set()
        await asyncio.sleep(2)
        assert b"5-0" in seat.bytes
        assert b"queued" not in seat.bytes

    run(scene())


def test_who_waits_is_told_its_place_though_another_has_begun_meanwhile() -> None:
    async def scene() -> None:
        here = Scene()
        here.queue.places = [4, 5]
        here.queue.open.clear()
        await here.watched()
        waiting = Seat(here.hub.attach(OTHER, BEGINNING, PLAIN, who=ANONYMOUS, ended=False))
        await asyncio.sleep(1.5)
        assert here.queue.asked == [[(ID, ""), (OTHER, "")]]
        here.publish(*entries(5, 0), prev=BEGINNING)
        here.queue.open.set()
        await here.settled()
        assert NATIVE.queued(Wait(5)) in waiting.bytes

    run(scene())


def test_what_waits_without_a_place_is_told_of_every_second_until_it_begins_or_has_one() -> None:
    async def scene() -> None:
        here = Scene()
        here.queue.places = [0]
        await here.watched(wait=Wait(0))
        await asyncio.sleep(1.5)
        assert here.placeless == []
        here.queue.places = [None]
        await asyncio.sleep(2)
        assert here.placeless == [ID] * 2
        here.log.entries = entries(5, 0)
        here.publish(*entries(5, 0), prev=BEGINNING)
        await asyncio.sleep(5)
        assert here.placeless == [ID] * 2

    run(scene())


def test_who_is_held_back_for_its_upstream_is_told_so_and_nobody_looks_for_its_place() -> None:
    async def scene() -> None:
        here = Scene()
        here.queue.places, here.queue.held = [None], {ID}
        seat = await here.watched(wait=Wait(0))
        await asyncio.sleep(2.5)
        assert here.placeless == []
        assert seat.bytes.count(b'"reason":"upstream"') == 1

    run(scene())


def test_a_redis_that_is_away_is_asked_for_places_again_and_nobody_is_told_one_that_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene() -> None:
        here = Scene()
        here.queue.away, here.queue.places = True, [7]
        seat = await here.watched()
        await asyncio.sleep(2.5)
        assert len(here.queue.asked) == 2
        here.queue.away = False
        await asyncio.sleep(1)
        assert NATIVE.queued(Wait(7)) in seat.bytes
        here.log.entries = entries(5, 0)
        here.publish(*entries(5, 0), prev=BEGINNING)
        asked = len(here.queue.asked)
        await asyncio.sleep(5)
        assert len(here.queue.asked) == asked

    run(scene())
    assert caplog.text == ""


def test_messages_from_before_a_loss_are_not_shown_behind_it() -> None:
    """Redis goes away while a feed is read, loses what it had published, and is back before that read is over."""

    async def scene() -> None:
        here = Scene(*entries(5, 0))
        seat = here.seat(EntryId(5, 0))
        here.log.hold()
        here.hub.subscribed(CHANNEL)
        await asyncio.sleep(0)
        here.publish(*entries(5, 1))
        here.hub.lost([CHANNEL])
        here.hub.live_up()
        here.log.let_go()
        await here.settled()
        assert here.log.entries == entries(5, 0)
        assert here.feed.ring.last == EntryId(5, 0)
        assert b"5-1" not in seat.bytes

    run(scene())


def test_while_the_connection_is_down_viewers_read_the_log_by_themselves() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0))
        seat = await here.watched()
        here.hub.lost([CHANNEL])
        assert not here.hub.knows(ID, BEGINNING, PLAIN, ANONYMOUS)
        here.log.entries += entries(5, 1)
        await asyncio.sleep(3)
        assert b"5-1" in seat.bytes
        assert not here.feed.ring.synced

    run(scene())


def test_a_feed_that_is_silent_is_compared_with_its_log_every_five_seconds_and_a_busy_one_is_not() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0), keep_alive=120)
        await here.watched()
        await asyncio.sleep(1.5)
        reads = here.log.reads
        await asyncio.sleep(30)
        assert here.log.reads - reads == 6
        reads = here.log.reads
        for seq in range(1, 40):
            here.log.entries += entries(5, seq)
            here.publish(*entries(5, seq))
            await asyncio.sleep(0.5)
        assert here.log.reads == reads

    run(scene())


def test_a_feed_that_is_not_synced_is_not_compared_with_its_log() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0), keep_alive=120)
        here.seat()
        here.feed.live = True
        await asyncio.sleep(1.5)
        reads = here.log.reads
        await asyncio.sleep(20)
        assert here.log.reads == reads

    run(scene())


def test_while_all_is_well_nobody_is_woken_or_sent_to_the_log_by_the_clock() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0), keep_alive=120)
        seat = await here.watched()
        here.log.entries += entries(5, 1)
        here.publish(*entries(5, 1))
        woken = seat.woken
        await asyncio.sleep(6.5)
        assert (seat.woken, seat.viewer.position) == (woken, here.feed.ring.end)

    run(scene())


@pytest.mark.parametrize("heard", [False, True])
def test_what_is_read_from_the_log_is_shown_without_a_word_from_the_connection(*, heard: bool) -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0, 1), keep_alive=15)
        seat = await here.watched()
        if heard:
            here.publish(*entries(5, 1))
        await asyncio.sleep(10.5)
        here.log.entries += entries(5, 2)
        here.hub.subscribed(CHANNEL)
        await here.settled()
        assert b"5-2" in seat.bytes
        assert native(here.feed).shown == here.feed.ring.end
        await asyncio.sleep(12)
        assert seat.heard == 0, "it is a sign of life"

    run(scene())


# ── an end that is held back ──


async def held_back(here: Scene) -> tuple[Seat, Held]:
    """A viewer that has all but the end, which was published with the entry before it."""
    held = Held()
    vars(here.hub)["strict_ends"] = held
    seat = await here.watched()
    new = [*entries(5, 1), entry(6, 0, END)]
    here.log.entries += new
    here.hub.published(CHANNEL, b"5-1\nt3:5-1")
    here.hub.read()
    here.publish(new[1], prev=EntryId(5, 1))
    await here.settled()
    return seat, held


def test_an_end_that_is_not_safe_is_held_back_alone_and_waited_for_once() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0))
        held = Held()
        vars(here.hub)["strict_ends"] = held
        seat = await here.watched()
        here.hub._add(here.feed, [*entries(5, 1, 2), entry(6, 0, END)])
        await here.settled()
        assert b"5-2" in seat.bytes
        assert b"6-0" not in seat.bytes
        woken, changed = seat.woken, here.feed.changed_at
        await asyncio.sleep(0.5)
        here.hub._add(here.feed, [entry(6, 0, END)])
        await here.settled()
        assert (seat.woken, here.feed.changed_at) == (woken, changed)
        assert held.asked == [(ID, EntryId(6, 0))]

    run(scene())


@pytest.mark.parametrize("lost", [False, True])
def test_an_end_that_is_safe_is_read_from_the_log_anew(*, lost: bool) -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0))
        seat, held = await held_back(here)
        assert b"5-1" in seat.bytes
        await asyncio.sleep(0.5)
        assert b"6-0" not in seat.bytes
        if lost:
            here.log.entries[-1:] = entries(5, 2)
        held.let_go.set()
        await here.settled()
        assert (b"6-0" in seat.bytes, b"5-2" in seat.bytes) == (not lost, lost)
        assert here.hub._unsafe == set()

    run(scene())


@pytest.mark.parametrize("way", ["ended", "synced"])
def test_a_feed_that_has_an_end_or_is_not_synced_is_not_read_for_an_end_that_is_safe(way: str) -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0))
        _, held = await held_back(here)
        here.feed.ring.ended, here.feed.ring.synced = way == "ended", way == "ended"
        reads = here.log.reads
        held.let_go.set()
        await here.settled()
        assert here.log.reads == reads

    run(scene())


def test_what_comes_within_a_pace_goes_out_together_and_the_next_a_pace_later() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0), fanout_pace_ms=20)
        seat = await here.watched()
        clock, times = asyncio.get_running_loop().time, list[float]()
        begun = clock()
        seat.viewer.wake = lambda: times.append(clock() - begun)
        for seq, pause in ((1, 0.01), (2, 0.015), (3, 0.1)):
            here.publish(*entries(5, seq))
            await asyncio.sleep(pause)
        assert times == [pytest.approx(0.02, abs=1e-6), pytest.approx(0.045, abs=1e-6)]

    run(scene())


@pytest.mark.parametrize("pace", [0, 20])
def test_what_came_in_one_read_goes_out_in_one_write(pace: int) -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0), fanout_pace_ms=pace)
        seat = await here.watched()
        woken = seat.woken
        for seq in (1, 2):
            each = entries(5, seq)[0]
            here.hub.published(CHANNEL, b"5-%d\n%b%d:%b" % (seq, each.kind, len(each.value), each.value))
        assert seat.woken == woken
        here.hub.read()
        assert seat.woken == woken + (pace == 0)
        await asyncio.sleep(0.03)
        assert seat.woken == woken + 1
        assert b"5-1" in seat.bytes
        assert b"5-2" in seat.bytes
        here.hub.read()
        await asyncio.sleep(0.03)
        assert seat.woken == woken + 1

    run(scene())


def test_what_was_not_heard_is_read_from_the_log_and_what_is_known_is_not() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0))
        seat = await here.watched()
        here.log.entries += entries(5, 1, 2)
        here.publish(*entries(5, 2))
        await here.settled()
        assert b"5-1" in seat.bytes
        assert b"5-2" in seat.bytes
        reads = here.log.reads
        here.publish(*entries(5, 1))
        await here.settled()
        assert here.log.reads == reads

    run(scene())


def test_what_is_published_of_a_generation_that_nobody_watches_is_passed_over() -> None:
    async def scene() -> None:
        here = Scene()
        here.publish(*entries(5, 0), prev=BEGINNING)
        here.hub.subscribed(CHANNEL)
        assert here.hub._feeds == {}

    run(scene())


def test_a_hub_that_ends_leaves_nothing_running() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0))
        here.log.hold()
        here.seat(ended=True)
        here.seat()
        here.hub.subscribed(CHANNEL)
        await here.settled()
        here.running.cancel()
        await here.settled()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(scene())


def test_its_statistics_say_what_it_holds_and_what_it_has_done() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0), stalled_viewer=30)
        assert here.hub.statistics() == STILL
        seat, other = await here.watched(), here.seat()
        ended, too = here.seat(ended=True), here.seat(ended=True)
        for _ in range(2):
            here.hub.turn_away(ID, PLAIN)
        seen = here.hub.statistics()
        assert (seen.feeds, seen.viewers, seen.attached, seen.attached_ended, seen.turned_away) == (1, 4, 4, 2, 2)
        assert (seen.repairs, seen.rewound, seen.lost) == (1, 0, 0)
        assert (seen.page_hits, seen.page_reads, seen.page_bytes) == (2, 2, 0), "a read that three wait for"
        here.hub.lost([CHANNEL])
        here.wire.up = False
        assert here.hub.statistics() == replace(seen, up=False, lost=1)
        here.log.entries = []
        here.wire.up = True
        here.hub.live_up()
        here.hub.subscribed(CHANNEL)
        await here.settled()
        seen = here.hub.statistics()
        assert (seen.up, seen.repairs, seen.rewound, seen.lost) == (True, 2, 1, 1)
        seat.viewer.blocked_since = other.viewer.blocked_since = asyncio.get_running_loop().time()
        while not seat.aborted:
            await asyncio.sleep(1)
        for each in (seat, other, ended, too):
            here.hub.detach(each.viewer)
        assert here.hub.statistics() == replace(seen, viewers=0, stalled=2)

    run(scene())


def test_pages_that_are_kept_count_as_hits_and_their_bytes() -> None:
    async def scene() -> None:
        here = Scene(*entries(5, 0), *entries(5, 1), entry(5, 2, END))
        for _ in range(3):
            seat = here.seat(ended=True)
            await here.settled()
        assert b"5-2" in seat.bytes
        seen = here.hub.statistics()
        assert (seen.page_hits, seen.page_reads, seen.feeds) == (2, 1, 0)
        assert len(seat.bytes) < seen.page_bytes < len(seat.bytes) + 1000
        here.hub.live_up()
        assert here.hub.statistics().page_bytes == 0, "any log may have come back without its tail"

    run(scene())
