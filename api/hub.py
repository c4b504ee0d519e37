"""The one reader of an API process. It watches each generation once, however many viewers there are, and tells them.

What is published is the live path, the log is the truth: a hole, a reconnect or a slow safety read sends the hub back to
the log. One tick serves all viewers: positions of those that wait, keep-alives, safety reads, stalled sockets.
"""

import asyncio
import logging
import random
from collections.abc import Coroutine

from api.durable import Durable
from api.feed import Feed, fits
from api.live import Live
from api.pages import Pages
from api.settings import ApiSettings
from api.viewer import KEEP_ALIVE, Viewer
from broker import keys
from broker.coordination import Coordination
from broker.errors import BrokerError, StorageUnavailable
from broker.events import Append, Entry, local_frame, parse_append
from broker.ids import BEGINNING, EntryId
from broker.logs import Logs

log = logging.getLogger("respool.hub")

_TICK = 1.0
_SAFETY_TICKS = 5
_RESYNC_ENTRIES = 5000
_RETRY_MS = (500, 3000)
_PAUSE_SECONDS = 0.2


class Hub:
    """Run it as a task. `attach` and `detach` viewers; between the two they are told of everything new."""

    def __init__(self, logs: Logs, coordination: Coordination, settings: ApiSettings) -> None:
        self.durable = Durable(logs)
        self.pages = Pages(logs, self.durable, settings.replay_cache_bytes)
        self._logs = logs
        self._coordination = coordination
        self._settings = settings
        self._feeds: dict[str, Feed] = {}
        self._live = Live(settings.effective_logs_url, self)
        self._up = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._viewers: set[Viewer] = set()
        self._clock = asyncio.get_running_loop().time
        self.draining = False
        self._unshown: set[Feed] = set()
        self._reading = False
        self._pace = settings.fanout_pace_ms / 1000
        self._showing: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Lives until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._live.run())
                group.create_task(self._tick_forever())
        finally:
            for task in self._tasks:
                task.cancel()

    @property
    def watching(self) -> int:
        """How many viewers there are."""
        return len(self._viewers)

    def attach(self, id_: str, cursor: EntryId, *, ended: bool, place: int | None = None) -> Viewer:
        """A viewer of this generation, from behind the cursor on. One that has ended is read from its log alone; `place` is
        the place in the queue that the viewer has been told."""
        if ended:
            viewer = Viewer(id_, None, self.pages, cursor)
        else:
            feed = self._feeds.get(id_)
            if feed is None:
                feed = self._feeds[id_] = Feed(id_, self._settings.ring_bytes, self._clock())
                self._live.subscribe(keys.live(id_))
            feed.place = place
            viewer = Viewer(id_, feed, self.pages, cursor)
            feed.viewers.add(viewer)
        self._viewers.add(viewer)
        return viewer

    def detach(self, viewer: Viewer) -> None:
        """The last viewer of a generation ends the watching."""
        self._viewers.discard(viewer)
        feed = viewer.feed
        if feed is not None:
            feed.viewers.discard(viewer)
            if not feed.viewers and self._feeds.get(feed.id) is feed:
                del self._feeds[feed.id]
                self._live.unsubscribe(keys.live(feed.id))

    def drain(self) -> None:
        """Sends every viewer away, to come back soon, to another process or to this one's successor."""
        self.draining = True
        for viewer in list(self._viewers):
            viewer.tell(local_frame("drain")[:-1] + b"retry: %d\n\n" % random.randint(*_RETRY_MS))
            viewer.drop()

    # -- what the live connection tells

    def live_up(self) -> None:
        self._up = True
        for id_ in self._feeds:
            self._live.subscribe(keys.live(id_))

    def live_down(self) -> None:
        """Viewers keep their streams: nothing is lost, it only comes later."""
        self._up = False
        for feed in self._feeds.values():
            feed.synced = False
            feed.pending.clear()

    def subscribed(self, channel: bytes) -> None:
        feed = self._feeds.get(keys.generation_of_channel(channel.decode()))
        if feed is not None:
            self._start_sync(feed)

    def published(self, channel: bytes, payload: bytes) -> None:
        feed = self._feeds.get(channel[1:31].decode())
        if feed is None:
            return
        append = parse_append(payload)
        if feed.synced:
            self._reading = True
            self._join(feed, append)
        else:
            feed.hold(append)

    def read(self) -> None:
        """Entries that came in one read go out in one write: that is what keeps an overloaded hub from falling behind."""
        self._reading = False
        if self._unshown:
            self._show()

    def _show(self) -> None:
        if self._pace and self._showing is None:
            self._showing = asyncio.get_running_loop().call_later(self._pace, self._show_now)
        elif not self._pace:
            self._show_now()

    def _show_now(self) -> None:
        self._showing = None
        unshown, self._unshown = self._unshown, set()
        for feed in unshown:
            feed.show()

    # -- keeping feeds true

    def _join(self, feed: Feed, append: Append) -> None:
        seen, new = fits(feed.last, append)
        if new:
            self._add(feed, new)
        elif seen != "known":
            self._start_sync(feed)
            feed.hold(append)

    def _add(self, feed: Feed, entries: list[Entry]) -> None:
        if self.durable.holds(feed.id, entries[-1]):
            self._spawn(self._show_end(feed, entries[-1]))
            entries = entries[:-1]
        if not entries:
            return
        feed.add(entries)
        feed.changed_at = self._clock()
        self._unshown.add(feed)
        if not self._reading:
            self._show()

    async def _show_end(self, feed: Feed, end: Entry) -> None:
        """Adds a strictly durable end once it is safe."""
        await self.durable.safe(feed.id)
        if feed.synced and not feed.ended:
            self._add(feed, [end])

    def _start_sync(self, feed: Feed) -> None:
        """One reading at a time: a second reason to read makes the first read once more."""
        feed.synced = False
        if feed.syncing:
            feed.missed = True
        else:
            feed.syncing = True
            self._spawn(self._sync(feed))

    async def _sync(self, feed: Feed) -> None:
        """Brings a feed to where its log is, and joins what was published meanwhile."""
        try:
            while not feed.synced and self._up and self._feeds.get(feed.id) is feed:
                feed.missed = False
                try:
                    await self._catch_up(feed)
                except StorageUnavailable:
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
                if feed.missed or not self._up:
                    feed.pending.clear()
                    continue
                feed.synced = True
                pending, feed.pending = feed.pending, []
                for append in pending:
                    seen, new = fits(feed.last, append)
                    if new:
                        self._add(feed, new)
                    elif seen != "known":
                        feed.synced = False
                        break
        finally:
            feed.syncing = False
        for viewer in feed.viewers:
            viewer.wake()

    async def _catch_up(self, feed: Feed) -> None:
        """Reads what the log has behind the feed's last entry, which must still be there."""
        if feed.last == BEGINNING:
            newest = await self._logs.last(feed.id)
            if newest is not None:
                feed.start(newest.id)
                feed.changed_at = self._clock()
            elif await self._logs.look(feed.id) is None:
                await self._rewound(feed)
            return
        entries = await self._logs.from_(feed.id, feed.last, _RESYNC_ENTRIES)
        if not entries or entries[0].id != feed.last:
            await self._rewound(feed)
        elif len(entries) == _RESYNC_ENTRIES:
            await self._skip_ahead(feed)
        elif len(entries) > 1:
            self._add(feed, entries[1:])

    async def _skip_ahead(self, feed: Feed) -> None:
        """Too much was missed to hold it here: viewers read it from the log."""
        newest = await self._logs.last(feed.id)
        if newest is not None:
            feed.start(newest.id)

    async def _rewound(self, feed: Feed) -> None:
        """Entries that viewers have seen are in the log no more."""
        self.pages.forget(feed.id)
        newest = await self._logs.last(feed.id)
        gone = newest is None and await self._logs.look(feed.id) is None
        log.warning("%s: the log has %s", feed.id, "expired" if gone else "lost its tail")
        feed.start(BEGINNING if newest is None else newest.id)
        for viewer in list(feed.viewers):
            viewer.reset("expired" if gone else "rewound")
            if gone:
                viewer.drop()

    # -- the tick

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            try:
                if not self._up:
                    self._wake_all()
                self._keep_alive()
                self._drop_stalled()
                self._check()
                await self.tell_positions([feed for feed in self._feeds.values() if feed.last == BEGINNING])
            except BrokerError as error:
                log.warning("tick: %r", error)

    def _wake_all(self) -> None:
        """Nothing is heard of new entries: viewers look into the log by themselves until the live connection is back."""
        for viewer in self._viewers:
            viewer.wake()

    def _keep_alive(self) -> None:
        """A feed's last change tells for all its viewers; the tick is part of the longest silence."""
        quiet = self._clock() - self._settings.keep_alive + 2 * _TICK
        for feed in self._feeds.values():
            if feed.changed_at <= quiet:
                feed.changed_at = self._clock()
                for viewer in feed.viewers:
                    viewer.tell(KEEP_ALIVE)

    def _drop_stalled(self) -> None:
        limit = self._clock() - self._settings.stalled_viewer
        for viewer in list(self._viewers):
            if viewer.blocked_since is not None and viewer.blocked_since < limit:
                viewer.abort()

    def _check(self) -> None:
        """The slow safety read of the feeds that are silent, each in its turn."""
        turn = int(self._clock() / _TICK) % _SAFETY_TICKS
        for feed in self._feeds.values():
            if feed.synced and hash(feed.id) % _SAFETY_TICKS == turn and self._clock() - feed.changed_at > _TICK:
                self._spawn(self._safety_read(feed))

    async def _safety_read(self, feed: Feed) -> None:
        last = feed.last
        try:
            if last == BEGINNING:
                behind = await self._logs.last(feed.id) is not None or await self._logs.look(feed.id) is None
            else:
                behind = [entry.id for entry in await self._logs.from_(feed.id, last, 2)] != [last]
        except StorageUnavailable:
            return
        if behind and feed.synced and feed.last == last:
            self._start_sync(feed)

    async def tell_positions(self, feeds: list[Feed]) -> None:
        """Tells viewers of waiting generations their place in the queue, where it has changed."""
        if not feeds:
            return
        for feed, place in zip(feeds, await self._coordination.positions([f.id for f in feeds]), strict=True):
            if place is not None and place != feed.place and feed.last == BEGINNING:
                feed.place = place
                for viewer in feed.viewers:
                    viewer.tell(local_frame("queued", position=place))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a read failed", exc_info=error)


__all__ = ["Hub"]
