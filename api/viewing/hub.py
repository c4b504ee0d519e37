"""The one reader of an API process. It watches each generation once, however many viewers there are, and tells them.

What is published is the live path: from a feed through its renditions to sockets. The log is the truth (catch_up.py): a hole,
a reconnect or a slow safety read sends the hub back to it. One tick serves all viewers: places in the queue, keep-alives,
safety reads, stalled sockets.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass

from api.access.gate import Principal
from api.settings import ApiSettings
from api.viewing.admissions import Admissions
from api.viewing.catch_up import CatchUp
from api.viewing.feed import Feed
from api.viewing.pages import Pages
from api.viewing.rendition import View
from api.viewing.subscription import subscription_to
from api.viewing.transcripts import Transcripts
from api.viewing.viewer import Viewer
from api.viewing.watched import Watched
from broker import keys
from broker.errors import BrokerError, UnknownGeneration
from broker.events import END, ERASED, WITHDRAW, Entry, parse_append
from broker.ids import BEGINNING, EntryId
from broker.store.coordination import Coordination
from broker.store.logs import Logs
from broker.store.strict_end import StrictEnds
from broker.store.unsealing import MAY_BE_SEALED, opened
from broker.store.waits import Waits
from broker.tasks import Tasks
from broker.turns import Turns
from broker.waiting import Wait

log = logging.getLogger("respool.hub")

_TICK = 1.0
_SAFETY_TICKS = 5
_LINGER = 5.0
"""Seconds for which a generation is watched after its last viewer has left."""
_RETRY_MS = (500, 3000)
_LAST = frozenset((END, WITHDRAW, ERASED))


@dataclass(frozen=True, slots=True)
class HubStatistics:
    """What a hub holds, and what it has done since its process began. Nothing of it is counted per token."""

    up: bool
    """Whether the live connection is; of a cluster, all of them."""
    feeds: int
    """Generations that are watched."""
    viewers: int
    """Open event streams."""
    waiting: int
    """Requests that wait for an end."""
    attached: int
    """Streams that were begun."""
    attached_ended: int
    """Of these, streams of generations that had ended: they read logs alone."""
    turned_away: int
    """Viewers that were told to come back soon, without a stream."""
    stalled: int
    """Viewers that were dropped because they took nothing."""
    lost: int
    """How often a live connection was lost, or a channel of it."""
    repairs: int
    """Reads of logs that feeds needed: at their beginning, and behind what they had missed."""
    rewound: int
    """Logs that had lost their tail, or were gone."""
    page_hits: int
    """Pages of logs that were in the cache, or were just being read."""
    page_reads: int
    page_bytes: int
    """Bytes of frames that the cache holds."""


class Hub:
    """Run it as a task. `attach` and `detach` viewers; between the two they are told of everything new. `placeless` is told,
    every second, of what waits without a place in the queue: it begins just now, or coordination has lost it."""

    def __init__(
        self, logs: Logs, coordination: Coordination, settings: ApiSettings, placeless: Callable[[str], object],
        turns: Turns | None = None, admissions: Admissions | None = None,
    ) -> None:  # fmt: skip
        self.admissions = admissions or Admissions()
        self.strict_ends = StrictEnds(logs)
        turns = turns or Turns()
        self.pages = Pages(logs, self.strict_ends, settings.replay_cache_bytes, turns)
        self.transcripts = Transcripts(logs, settings.replay_cache_bytes, turns)
        self.draining = False
        self._catch_up = CatchUp(logs, self.pages, turns, self._add, self._found_ended)
        self._watched = Watched(logs, self._watched_here)
        self._vault = logs.vault
        self._coordination = coordination
        self.waits = Waits(coordination, settings.tenant_shares)
        self._placeless = placeless
        self._settings = settings
        self._subscription = subscription_to(settings.effective_logs_url, self)
        self._feeds: dict[bytes, Feed] = {}  # by channel
        self._viewers: set[Viewer] = set()
        self._tasks = Tasks(log)
        self._clock = asyncio.get_running_loop().time
        self._attached = self._attached_ended = self._turned_away = self._stalled = self._lost = 0
        self._unshown: set[Feed] = set()
        self._unsafe: set[Feed] = set()
        self._alone: dict[Viewer, float] = {}
        self._reading = False
        self._telling = False
        self._turn = 0
        self._pace = settings.fanout_pace_ms / 1000
        self._showing: asyncio.TimerHandle | None = None

    def statistics(self) -> HubStatistics:
        return HubStatistics(
            up=self._subscription.up,
            feeds=len(self._feeds),
            viewers=len(self._viewers),
            waiting=sum(feed.waiting for feed in self._feeds.values()),
            attached=self._attached,
            attached_ended=self._attached_ended,
            turned_away=self._turned_away,
            stalled=self._stalled,
            lost=self._lost,
            repairs=self._catch_up.repairs,
            rewound=self._catch_up.rewound,
            page_hits=self.pages.hits,
            page_reads=self.pages.reads,
            page_bytes=self.pages.bytes,
        )

    async def run(self) -> None:
        """Lives until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._subscription.run())
                group.create_task(self._tick_forever())
                group.create_task(self._watched.run())
        finally:
            for owner in (self._tasks, self._catch_up, self.pages, self.transcripts, self.strict_ends):
                owner.cancel()

    def knows(self, id_: str, cursor: EntryId, view: View, who: Principal) -> bool:
        """Whether a viewer with this cursor can be attached without a look at Redis: its generation runs, is watched here, is
        there for the one who asks, who has no more streams than that one may, and the cursor is its beginning or among its
        latest entries."""
        feed = self._feeds.get(_channel(id_))
        if feed is None or self.draining or not who.may_see(feed.owner, id_):
            return False
        ring = feed.ring
        if not ring.synced or ring.ended or ring.last == BEGINNING or self.admissions.full(who, id_):
            return False
        return cursor == BEGINNING or feed.has(cursor, view)

    def attach(
        self, id_: str, cursor: EntryId, view: View, *, who: Principal, ended: bool, owner: str = "", wait: Wait | None = None,
        abandonable: bool = False,
    ) -> Viewer:  # fmt: skip
        """A viewer of this generation of `owner`, for `who`, from behind the cursor on. One that has ended is read from its log
        alone; `wait`: what the viewer has been told of its place in the queue; `abandonable`: it is cancelled where nobody
        watches. Of what is watched here already neither owner nor that need be told. Raises UnknownGeneration if it is not
        there for `who`, whatever was asked before."""
        watched = None if ended else self._feeds.get(_channel(id_))
        if not who.may_see(watched.owner if watched is not None else owner, id_):
            raise UnknownGeneration
        self._attached += 1
        if ended:
            self._attached_ended += 1
            viewer = Viewer(id_, view, None, self.pages, cursor)
            self._alone[viewer] = self._clock()
        else:
            feed = self._feed(id_, owner)
            feed.know_wait(wait)
            self._watch(feed, abandonable)
            rendition = feed.rendition(view, self._clock())
            viewer = Viewer(id_, view, rendition, self.pages, cursor)
            rendition.viewers[viewer] = None
        viewer.admission = self.admissions.enter(who, id_, viewer.shut)
        self._viewers.add(viewer)
        return viewer

    def _feed(self, id_: str, owner: str) -> Feed:
        """What is known of the generation, from now on."""
        channel = _channel(id_)
        feed = self._feeds.get(channel)
        if feed is None:
            feed = self._feeds[channel] = Feed(id_, owner, self._settings.ring_bytes, self._clock(), self.pages.note)
            self._subscription.subscribe(channel)
        return feed

    def _watch(self, feed: Feed, abandonable: bool) -> None:
        """Somebody is about to."""
        feed.abandonable = feed.abandonable or abandonable
        if feed.abandonable and not feed.watched:
            self._watched.came(feed.id)

    def await_end(self, id_: str, owner: str, *, abandonable: bool = False) -> asyncio.Future[None]:
        """Is set when the end of this generation may be shown, when its log has gone, or when the hub drains. To be given back
        (`await_no_more`). Who waits counts as a viewer: `abandonable` is as in `attach`."""
        end = asyncio.get_running_loop().create_future()
        if self.draining:
            end.set_result(None)
        else:
            feed = self._feed(id_, owner)
            self._watch(feed, abandonable)
            feed.await_end(end)
            if feed.ring.ended and feed not in self._unsafe:
                feed.let_go()
        return end

    def await_no_more(self, id_: str, end: asyncio.Future[None]) -> None:
        """Nobody waits for it any more. A generation that nobody watches is watched no longer, at the next tick."""
        if (feed := self._feeds.get(_channel(id_))) is not None:
            feed.await_no_more(end)

    def turn_away(self, id_: str, view: View) -> Viewer:
        """A viewer that is only told to come back soon, and cut off."""
        self._turned_away += 1
        viewer = Viewer(id_, view, None, self.pages, BEGINNING)
        self.send_away(viewer)
        return viewer

    def send_away(self, viewer: Viewer) -> None:
        """To come back soon; how soon differs, so that a crowd does not come back as one."""
        viewer.tell(viewer.view.dialect.drain(random.randint(*_RETRY_MS)))
        viewer.drop()

    def detach(self, viewer: Viewer) -> None:
        """A generation without a viewer is watched a little longer: who drops comes back, perhaps as one of a crowd."""
        self._viewers.discard(viewer)
        self.admissions.leave(viewer.admission)
        viewer.admission = None
        self._alone.pop(viewer, None)
        if viewer.rendition is not None:
            viewer.rendition.leave(viewer, self._clock())
            feed = self._feeds.get(_channel(viewer.id))
            if feed is not None and feed.ring.ended and not feed.viewers:
                self._forget(feed)

    def _forget(self, feed: Feed) -> None:
        channel = _channel(feed.id)
        del self._feeds[channel]
        self._subscription.unsubscribe(channel)

    def _watched_here(self) -> list[str]:
        feeds = self._feeds.values()
        return [feed.id for feed in feeds if feed.abandonable and not feed.ring.ended and feed.watched]

    def drain(self) -> None:
        """Sends every viewer away, to come back soon, to another process or to this one's successor."""
        self.draining = True
        for feed in self._feeds.values():
            feed.release(self._clock())
        for viewer in list(self._viewers):
            self.send_away(viewer)
        for feed in self._feeds.values():
            feed.let_go()

    def erased(self, ids: Collection[str]) -> None:
        """Nothing of these generations is kept or shown any more. May be told again."""
        for id_ in ids:
            self.pages.forget(id_)
            self.transcripts.forget(id_)
            self._vault.forget(id_)
            if (feed := self._feeds.get(_channel(id_))) is not None:
                feed.start(BEGINNING, ended=False)
                feed.reset("erased")
        for viewer in list(self._alone):
            if viewer.id in ids:
                viewer.erase()

    def may_have_erased(self) -> None:
        """Some may have been erased unheard."""
        self.pages.forget_all()
        self.transcripts.forget_all()

    # -- what the live connection tells

    def live_up(self) -> None:
        self.pages.forget_all()

    def lost(self, channels: Collection[bytes]) -> None:
        """Viewers keep their streams: nothing is lost, it only comes later."""
        self._lost += 1
        for channel in channels:
            if (feed := self._feeds.get(channel)) is not None:
                feed.lose()

    def subscribed(self, channel: bytes) -> None:
        feed = self._feeds.get(channel)
        if feed is not None:
            feed.live = True
            self._catch_up.sync(feed)

    def published(self, channel: bytes, payload: bytes) -> None:
        feed = self._feeds.get(channel)
        if feed is not None:
            self._reading = True
            prev, entries = parse_append(payload)
            if entries[0].kind in MAY_BE_SEALED:
                entries = opened(self._vault, feed.id, entries)
            new = feed.take(prev, entries) if entries else None
            if new:
                self._add(feed, new)
            elif new is None:
                self._catch_up.sync(feed)

    def read(self) -> None:
        """Entries that came in one read go out in one write: that is what keeps an overloaded hub from falling behind."""
        self._reading = False
        if self._unshown:
            self._show()

    # -- giving entries to viewers

    def _add(self, feed: Feed, entries: list[Entry]) -> None:
        ended = False
        if entries[-1].kind in _LAST:
            entries = self._before_the_end(feed, entries)
            ended = bool(entries) and entries[-1].kind == END
        if not entries:
            return
        feed.add(entries)
        if ended:
            feed.let_go()
        self._unshown.add(feed)
        if not self._reading:
            self._show()

    def _before_the_end(self, feed: Feed, entries: list[Entry]) -> list[Entry]:
        """Those that can be shown from here of entries that end a log, or withdraw it; none where it is erased."""
        if entries[-1].kind == ERASED:
            self.erased((feed.id,))
            return []
        for at, entry in enumerate(entries):
            if entry.kind == WITHDRAW:
                self.pages.forget(feed.id)
                feed.withdraw(entry.id)
                feed.wake()
                entries = entries[at + 1 :]
        return entries[:-1] if entries and self._keeps_back(feed, entries[-1]) else entries

    def _keeps_back(self, feed: Feed, end: Entry) -> bool:
        """Whether this end must not be shown yet; when it is safe, it is."""
        if not self.strict_ends.holds(feed.id, end):
            return False
        if feed not in self._unsafe:
            self._unsafe.add(feed)
            self._tasks.spawn(self._await_safe_end(feed, end.id))
        return True

    def _found_ended(self, feed: Feed, end: Entry) -> None:
        """Viewers read this end in the log; who waits for it is told when it is safe."""
        if not self._keeps_back(feed, end):
            feed.let_go()

    async def _await_safe_end(self, feed: Feed, end: EntryId) -> None:
        """Reads the log anew once its strictly durable end is safe: Redis may have lost it meanwhile."""
        try:
            await self.strict_ends.safe(feed.id, end)
        finally:
            self._unsafe.discard(feed)
        if feed.ring.ended:
            feed.let_go()
        elif feed.ring.synced:
            self._catch_up.sync(feed)

    def _show(self) -> None:
        if not self._pace:
            self._show_now()
        elif self._showing is None:
            self._showing = asyncio.get_running_loop().call_later(self._pace, self._show_now)

    def _show_now(self) -> None:
        self._showing = None
        unshown, self._unshown = self._unshown, set()
        now = self._clock()
        for feed in unshown:
            feed.show(now)

    # -- the tick

    async def _tick_forever(self) -> None:
        """Waits for nothing but time: a frozen Redis must not keep viewers from their keep-alives."""
        while True:
            await asyncio.sleep(_TICK)
            self._look_for_themselves()
            self._keep_alive()
            self._drop_stalled()
            self._check()
            self._forget_left()
            waiting = [feed for feed in self._feeds.values() if feed.ring.last == BEGINNING]
            if waiting and not self._telling:
                self._telling = True
                self._tasks.spawn(self._tell_waits(waiting))

    def _look_for_themselves(self) -> None:
        """Where nothing is heard of new entries, viewers look into the log by themselves."""
        for feed in self._feeds.values():
            if not feed.live:
                feed.send_to_log()
                feed.wake()

    def _keep_alive(self) -> None:
        """What a rendition sent last tells for all its viewers. A viewer without one may wait for an end to be safe: it always
        gets them. The tick is part of the longest silence."""
        now = self._clock()
        quiet = now - self._settings.keep_alive + 2 * _TICK
        for feed in self._feeds.values():
            feed.keep_alive(quiet, now)
        for viewer, at in list(self._alone.items()):
            if at <= quiet:
                self._alone[viewer] = now
                viewer.tell(viewer.view.dialect.keep_alive)

    def _drop_stalled(self) -> None:
        now, seconds = self._clock(), self._settings.stalled_viewer
        for viewer in list(self._viewers):
            if viewer.stalls(now, seconds):
                self._stalled += 1
                viewer.abort()

    def _forget_left(self) -> None:
        limit = self._clock() - _LINGER
        for feed in list(self._feeds.values()):
            if feed.forget_left(limit):
                self._forget(feed)

    def _check(self) -> None:
        """The safety reads of the feeds that are silent, each in its turn."""
        self._turn = (self._turn + 1) % _SAFETY_TICKS
        for feed in self._feeds.values():
            silent = self._clock() - feed.changed_at > _TICK
            if feed.ring.synced and hash(feed.id) % _SAFETY_TICKS == self._turn and silent:
                self._catch_up.check(feed)

    async def _tell_waits(self, feeds: list[Feed]) -> None:
        """Tells viewers of waiting generations their place in the queue and how long they wait, where that has changed."""
        try:
            ranks = await self._coordination.ranks([(feed.id, feed.owner) for feed in feeds])
            waits = [
                None if rank is None else await self.waits.of(feed.owner, rank)
                for feed, rank in zip(feeds, ranks, strict=True)
            ]
            nowhere = [feed.id for feed, rank in zip(feeds, ranks, strict=True) if rank is None]
            held = await self._coordination.held_back(nowhere)
        except BrokerError:
            return
        finally:
            self._telling = False
        for feed, wait in zip(feeds, waits, strict=True):
            if feed.ring.last != BEGINNING:
                continue
            if wait is None and feed.id in held:
                feed.tell_wait(_HELD)
            elif wait is None:
                self._placeless(feed.id)
            else:
                feed.tell_wait(wait)


_HELD = Wait(0, None, upstream=True)


def _channel(id_: str) -> bytes:
    return keys.live(id_).encode()
