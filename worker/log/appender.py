"""The one task of a worker process that appends: all that its generations have put since the last flush goes out at once,
one script call per generation. While it is under way the next batch gathers, so nothing is held back for a batch
and a busy worker still batches.

Every call tells whether a cancel is pending, and now and then one renews the lease. The tick, one timer for all generations,
sees to it that there is a call where upstream is silent, and lets the watchdogs bite.
"""

import asyncio
import logging
from dataclasses import dataclass

from broker.errors import BrokerError, StorageFull, StorageUnavailable
from broker.replies import Appended, AppendReply, Behind, Fenced, NotAppended
from broker.store.appends import AppendCall, Appends
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


class Appender:
    """Run it as a task; it lives as long as the process. `lease_ms` is renewed at a third of it."""

    def __init__(self, appends: Appends, lease_ms: int) -> None:
        self._appends = appends
        self._lease_ms = lease_ms
        self._writers: dict[str, Writer] = {}
        self._dirty: dict[str, Writer] = {}
        self._wake = asyncio.Event()
        self._flushes = self._calls = self._entries_of_removed = 0
        self._unavailable = self._fenced = self._tails_lost = self._refusals = 0

    def add(self, writer: Writer) -> None:
        writer.on_put = self._mark
        self._writers[writer.id] = writer

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

    def _mark(self, writer: Writer) -> None:
        self._dirty[writer.id] = writer
        self._wake.set()

    async def run(self) -> None:
        """Flushes until cancelled. Redis being away only delays it: everything unwritten stays where it is."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick_forever())
            pause = 0.0
            while True:
                await self._wake.wait()
                self._wake.clear()
                dirty, self._dirty = self._dirty, {}
                batch = [writer for writer in dirty.values() if writer.writable]
                try:
                    await self._flush(batch)
                    pause = 0.0
                except BrokerError as error:
                    self._unavailable += 1
                    if pause == 0.0:
                        log.warning("%s, %d generations wait", error, len(batch))
                    self._dirty |= {writer.id: writer for writer in batch}
                    self._wake.set()
                    pause = min(_LONGEST_PAUSE, pause * 2 or 0.05)
                    await asyncio.sleep(pause)

    # -- flushing

    async def _flush(self, batch: list[Writer]) -> None:
        if not batch:
            return
        now = asyncio.get_running_loop().time()
        calls = [self._call(writer, now) for writer in batch]
        usages = [writer.usage for writer in batch]
        self._flushes += 1
        self._calls += len(batch)
        replies = await self._appends.send(calls)
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
            self._mark(writer)

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
                    self._mark(writer)
