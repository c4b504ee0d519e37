"""Keeping feeds true to their logs: reading what was missed, finding out that a log has lost its tail or has expired. While
all is well nothing of this is on the way of a token."""

import asyncio
import logging
from collections.abc import Callable

from api.viewing.feed import Feed
from api.viewing.pages import Pages
from broker.errors import StorageUnavailable
from broker.events import END, WITHDRAW, WITHDRAWN, Entry
from broker.ids import BEGINNING
from broker.store.logs import Logs
from broker.tasks import Tasks
from broker.turns import Turns
from broker.vocabulary import GapReason

log = logging.getLogger("respool.catch_up")

_RESYNC_ENTRIES = 1000
_PAUSE_SECONDS = 0.2
_WHAT = {"rewound": "has lost its tail", "expired": "has expired", "erased": "was erased"}


class CatchUp:
    """`add` puts entries that follow a feed's last one into it; `ended` is told of a feed that begins behind its log's end.
    While a feed is not live, it cannot be synced. `repairs` counts reads of logs, `rewound` logs that had lost their tail or
    were gone."""

    def __init__(
        self, logs: Logs, pages: Pages, turns: Turns, add: Callable[[Feed, list[Entry]], None],
        ended: Callable[[Feed, Entry], None],
    ) -> None:  # fmt: skip
        self._logs = logs
        self._pages = pages
        self._turns = turns
        self._add = add
        self._ended = ended
        self._reading: set[Feed] = set()
        self._tasks = Tasks(log)
        self.repairs = self.rewound = 0

    def cancel(self) -> None:
        self._tasks.cancel()

    def sync(self, feed: Feed) -> None:
        """Begins to bring the feed to where its log is. One reading at a time: a second reason to read makes the first read
        once more."""
        feed.fall_behind()
        if feed not in self._reading:
            self._reading.add(feed)
            self._tasks.spawn(self._sync(feed))

    def check(self, feed: Feed) -> None:
        """The slow safety read: is there anything that was not published, or is something gone?"""
        self._tasks.spawn(self._check(feed))

    async def _sync(self, feed: Feed) -> None:
        try:
            while not feed.ring.synced and feed.live:
                feed.reading()
                self.repairs += 1
                try:
                    await self._catch_up(feed)
                except StorageUnavailable:
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
                if not feed.live:
                    feed.lose()
                elif new := feed.caught_up():
                    self._add(feed, new)
        finally:
            self._reading.discard(feed)
        feed.wake()

    async def _catch_up(self, feed: Feed) -> None:
        """Reads what the log has behind the feed's last entry, which must still be there."""
        last = feed.ring.last
        if last == BEGINNING:
            newest, there = await self._logs.newest(feed.id)
            if newest is not None:
                self._begin(feed, newest)
            elif not there:
                await self._rewound(feed)
            return
        entries = await self._logs.from_(feed.id, last, _RESYNC_ENTRIES)
        if entries and entries[0].kind == WITHDRAW and entries[0].id != last:
            self._add(feed, entries)
        elif not entries or entries[0].id != last:
            await self._rewound(feed)
        elif len(entries) == _RESYNC_ENTRIES:
            await self._skip_ahead(feed)
        elif len(entries) > 1:
            await self._turns.take(len(entries))
            self._add(feed, entries[1:])

    async def _skip_ahead(self, feed: Feed) -> None:
        """Too much was missed to hold it here: viewers read it from the log."""
        newest, _ = await self._logs.newest(feed.id)
        if newest is not None:
            self._begin(feed, newest)

    def _begin(self, feed: Feed, newest: Entry) -> None:
        """The feed goes on behind this one. What is kept of a log that was withdrawn meanwhile goes."""
        if newest.kind == END and WITHDRAWN in newest.value:
            self._pages.forget(feed.id)
            feed.withdraw(newest.id)
        self._start(feed, newest)

    async def _rewound(self, feed: Feed) -> None:
        """Entries that viewers have seen are in the log no more."""
        self.rewound += 1
        self._pages.forget(feed.id)
        newest, there = await self._logs.newest(feed.id)
        reason: GapReason = "rewound"
        if newest is None and not there:
            reason = "erased" if await self._logs.erased(feed.id) else "expired"
        log.warning("%s: the log %s", feed.id, _WHAT[reason])
        self._start(feed, newest)
        feed.reset(reason, newest.id if newest is not None else BEGINNING)

    async def _check(self, feed: Feed) -> None:
        last = feed.ring.last
        try:
            if last == BEGINNING:
                newest, there = await self._logs.newest(feed.id)
                behind = newest is not None or not there
            else:
                behind = [entry.id for entry in await self._logs.from_(feed.id, last, 2)] != [last]
        except StorageUnavailable:
            return
        if behind and feed.ring.synced and feed.ring.last == last:
            self.sync(feed)

    def _start(self, feed: Feed, newest: Entry | None) -> None:
        """The feed goes on behind the log's newest entry; viewers read in the log what is before it."""
        if newest is None:
            feed.start(BEGINNING, ended=False)
            return
        ended = newest.kind == END
        feed.start(newest.id, ended=ended)
        if ended:
            self._ended(feed, newest)
