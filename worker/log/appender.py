"""What appends in a worker process: all that its generations have put since the last flush goes out at once,
one script call per generation. While it is under way the next batch gathers, so nothing is held back for a batch
and a busy worker still batches. On a cluster there is a way to each primary, and none waits for another.

Where Redis is the wall, tokens may be told to wait for later ones of their generation (a pace). All that wait on a way go
together, when the first of them has waited long enough.

Every call tells whether a cancel is pending, and now and then one renews the lease. The tick, one timer for all generations,
sees to it that there is a call where upstream is silent, and lets the watchdogs bite.
"""

import asyncio
import logging
from dataclasses import dataclass

from broker.errors import BrokerError, StorageFull, StorageUnavailable
from broker.replies import Appended, AppendReply, Behind, Fenced, NotAppended
from broker.store.appends import AppendCall, Lane
from broker.store.lanes import Lanes
from worker.log.writer import Writer

log = logging.getLogger("respool.appender")

_TICK = 0.1
_LOOK_EVERY = 0.4
"""Seconds after which a generation looks for a cancel, and at its claim, however silent its upstream is."""
_LONGEST_PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class AppenderStatistics:
    """What an appender has in hand now, and what it has done since its process began."""

    writers: int
    """Generations in hand."""
    unwritten: int
    """Entries that wait for Redis."""
    crowded: int
    """Generations with so many of them that their upstreams are not read."""
    flushes: int
    """Trips to Redis, whether or not it answered."""
    calls: int
    """Script calls in them."""
    entries: int
    """Entries written; those that Redis has lost and not got back yet are none."""
    unavailable: int
    """Flushes after which Redis was waited for."""
    fenced: int
    """Attempts that turned out not to be the ones that run."""
    tails_lost: int
    """Times that Redis had come back without a log's last entries."""
    refused: int
    """Attempts that were stopped because Redis is full or takes no entry of theirs."""


class _Way:
    """What waits for one lane: `dirty` has not been sent yet, `sent` waits for its replies, `held` for the pace."""

    __slots__ = ("_timer", "dirty", "held", "lane", "pace", "sent", "wake")

    def __init__(self, lane: Lane, pace: float) -> None:
        self.lane = lane
        self.pace = pace
        self.held: dict[str, Writer] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.dirty: dict[str, Writer] = {}
        self.sent: dict[str, Writer] = {}
        self.wake = asyncio.Event()

    def mark(self, writer: Writer) -> None:
        self.dirty[writer.id] = writer
        self.wake.set()

    def hold(self, writer: Writer) -> None:
        """As `mark`, but what was sent less than the pace ago waits. One timer does for all: who begins to wait later than the
        one that it was set for waits less."""
        if (writer.held and not writer.full) or writer.id in self.dirty:
            return  # it goes with what is there
        loop = asyncio.get_running_loop()
        wait = writer.sent_at + self.pace - loop.time()
        if wait <= 0 or not writer.paced or writer.full:
            self.let_go(writer)
            return
        writer.held = True
        self.held[writer.id] = writer
        if self._timer is None:
            self._timer = loop.call_later(wait, self._let_all_go)

    def let_go(self, writer: Writer) -> None:
        """Whatever it has goes with the next flush."""
        if writer.held:
            writer.held = False
            self.held.pop(writer.id, None)
        self.mark(writer)

    def _let_all_go(self) -> None:
        self._timer = None
        for writer in self.held.values():
            writer.held = False
        self.dirty |= self.held
        self.held.clear()
        self.wake.set()

    def leave(self, writer: Writer) -> None:
        """It goes another way."""
        self.dirty.pop(writer.id, None)
        self.held.pop(writer.id, None)


class Appender:
    """Run it as a task; it lives as long as the process. `lease_ms` is renewed at a third of it. `pace_ms`: how long
    entries of one generation may wait for later ones."""

    def __init__(self, lanes: Lanes, lease_ms: int, pace_ms: int = 0) -> None:
        self._lanes = lanes
        self._lease_ms = lease_ms
        self._pace = pace_ms / 1000
        self._writers: dict[str, Writer] = {}
        self._ways: dict[Lane, _Way] = {}
        self._moves = 0
        self._group: asyncio.TaskGroup | None = None
        self._flushes = self._calls = self._entries_of_removed = 0
        self._unavailable = self._fenced = self._tails_lost = self._refusals = 0

    def add(self, writer: Writer) -> None:
        self._writers[writer.id] = writer
        self._assign(writer)

    def remove(self, writer: Writer) -> None:
        """To be called once for each writer."""
        self._entries_of_removed += writer.acked
        if self._writers.get(writer.id) is writer:
            del self._writers[writer.id]

    def writer(self, id_: str) -> Writer | None:
        return self._writers.get(id_)

    @property
    def writers(self) -> list[Writer]:
        return list(self._writers.values())

    def statistics(self) -> AppenderStatistics:
        writers = self._writers.values()
        return AppenderStatistics(
            writers=len(writers),
            unwritten=sum(writer.unwritten for writer in writers),
            crowded=sum(writer.crowded for writer in writers),
            flushes=self._flushes,
            calls=self._calls,
            # A writer knows how many of its entries are written: nothing is counted per entry.
            entries=self._entries_of_removed + sum(writer.acked for writer in writers),
            unavailable=self._unavailable,
            fenced=self._fenced,
            tails_lost=self._tails_lost,
            refused=self._refusals,
        )

    # -- which way

    def _assign(self, writer: Writer) -> None:
        """From now on it goes the way that its log has."""
        lane = self._lanes.of(writer.log.slot)
        if (way := self._ways.get(lane)) is None:
            way = self._ways[lane] = _Way(lane, self._pace)
            if self._group is not None:
                self._group.create_task(self._flush_forever(way))
        for other in self._ways.values():
            other.leave(writer)
        writer.held = False
        # Without a pace there is nothing on the way of a token that looks for one.
        writer.on_put, writer.on_due = (way.hold, way.let_go) if self._pace else (way.mark, way.mark)
        if writer.unwritten and writer.writable:
            way.mark(writer)

    def _moved(self) -> None:
        """Logs may have other ways than before. A writer that waits for a reply stays where it is until then: a reply that is
        overtaken by a later one would look like the loss of a tail."""
        self._moves += 1
        waiting = {id_ for way in self._ways.values() for id_ in way.sent}
        for writer in self.writers:
            if writer.id not in waiting:
                self._assign(writer)
        for way in self._ways.values():
            way.wake.set()

    # -- running

    async def run(self) -> None:
        """Flushes until cancelled. Redis being away only delays it: everything unwritten stays where it is."""
        async with asyncio.TaskGroup() as self._group:
            self._group.create_task(self._tick_forever())
            self._group.create_task(self._lanes.watch(self._moved))
            for way in self._ways.values():
                self._group.create_task(self._flush_forever(way))

    async def _flush_forever(self, way: "_Way") -> None:
        pause = 0.0
        while True:
            await way.wake.wait()
            way.wake.clear()
            if way.lane.closed and not way.dirty:
                self._ways.pop(way.lane, None)
                return
            moves = self._moves
            way.sent, way.dirty = way.dirty, {}
            batch = [writer for writer in way.sent.values() if writer.writable]
            try:
                await self._flush(way.lane, batch)
                pause = 0.0
            except BrokerError as error:
                self._unavailable += 1
                if pause == 0.0:
                    log.warning("%s, %d generations wait", error, len(batch))
                way.dirty |= way.sent
                way.wake.set()
                pause = min(_LONGEST_PAUSE, pause * 2 or 0.05)
                await asyncio.sleep(pause)
                await self._lanes.look_again(self._moved)
            finally:
                way.sent = {}
            if moves != self._moves:
                for writer in batch:
                    self._assign(writer)

    # -- flushing

    async def _flush(self, lane: Lane, batch: list[Writer]) -> None:
        if not batch:
            return
        now = asyncio.get_running_loop().time()
        if self._pace:
            for writer in batch:
                if writer.unwritten:
                    writer.sent_at = now
        calls = [self._call(writer, now) for writer in batch]
        usages = [writer.usage for writer in batch]
        self._flushes += 1
        self._calls += len(batch)
        replies = await lane.send(calls)
        for writer, usage, reply in zip(batch, usages, replies, strict=True):
            self._take(writer, reply, usage, now)
        for reply in replies:
            if isinstance(reply, NotAppended) and isinstance(reply.error, StorageUnavailable):
                raise reply.error

    def _call(self, writer: Writer, now: float) -> AppendCall:
        first, contents = writer.batch()
        lease_ms = 0
        if now - writer.renewed_at >= self._lease_ms / 3000:
            writer.renewed_at, lease_ms = now, self._lease_ms
        usage = writer.usage if writer.usage is not writer.usage_written else b""
        return writer.log.append(first, contents, lease_ms=lease_ms, usage=usage)

    def _take(self, writer: Writer, reply: AppendReply, usage: bytes, now: float) -> None:
        match reply:
            case Appended(seq, cancel_pending):
                writer.acknowledge(seq, now)
                writer.usage_written = usage
                if cancel_pending:
                    writer.stop("cancelled")
            case Fenced():
                self._fenced += 1
                writer.stop("fenced")
            case Behind(seq):
                self._tails_lost += 1
                log.warning("%s: the log's tail is back at %d-%d, re-appending", writer.id, writer.attempt, seq)
                writer.acknowledge(seq, now)
            case NotAppended(error):
                self._refused(writer, error)
        if writer.unwritten and writer.writable:
            writer.on_put(writer)

    def _refused(self, writer: Writer, error: BrokerError) -> None:
        writer.renewed_at = 0.0  # not known to have happened: the next call does
        if isinstance(error, StorageUnavailable):
            return
        self._refusals += 1
        if isinstance(error, StorageFull):
            writer.stop("storage_full")
        else:
            log.error("%s: %s", writer.id, error)
            writer.stop("storage_error")

    # -- the tick

    async def _tick_forever(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(_TICK)
            now = clock()
            for writer in self.writers:
                if (cause := writer.expired(now)) is not None:
                    writer.stop(cause)
                if now - writer.flushed_at >= _LOOK_EVERY and writer.writable:
                    writer.on_due(writer)
