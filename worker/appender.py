"""The one task of a worker process that appends: all that its generations have put since the last flush goes out as one
pipeline, one script call per generation. While it is under way the next batch gathers, so nothing is held back for a batch
and a busy worker still batches.

Now and then a call also renews the lease and looks for a cancel. The tick, one timer for all generations, sees to it that there
is such a call where upstream is silent, and lets the watchdogs bite.
"""

import asyncio
import logging

from broker.appends import AppendCall
from broker.errors import BrokerError, StorageFull, StorageUnavailable
from broker.logs import Logs
from broker.replies import Appended, AppendReply, Behind, Fenced, NotAppended
from worker.writer import Writer

log = logging.getLogger("respool.appender")

_TICK = 0.1
_LOOK_EVERY = 0.4
"""Seconds after which a generation looks at its cancel key, and, however silent, at its claim."""
_LONGEST_PAUSE = 0.5


class Appender:
    """Run it as a task; it lives as long as the process. `lease_ms` is renewed at a third of it."""

    def __init__(self, logs: Logs, lease_ms: int) -> None:
        self._logs = logs
        self._lease_ms = lease_ms
        self._writers: dict[str, Writer] = {}
        self._dirty: dict[str, Writer] = {}
        self._wake = asyncio.Event()

    def add(self, writer: Writer) -> None:
        writer.on_put = self._mark
        self._writers[writer.id] = writer

    def remove(self, writer: Writer) -> None:
        if self._writers.get(writer.id) is writer:
            del self._writers[writer.id]

    def writer(self, id_: str) -> Writer | None:
        return self._writers.get(id_)

    @property
    def writers(self) -> list[Writer]:
        return list(self._writers.values())

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
        replies = await self._logs.append(calls)
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
        look = now - writer.looked_at >= _LOOK_EVERY
        if look:
            writer.looked_at = now
        usage = writer.usage if writer.usage is not writer.usage_written else b""
        return writer.log.append(first, contents, lease_ms=lease_ms, usage=usage, look=look)

    def _take(self, writer: Writer, reply: AppendReply, usage: bytes, now: float) -> None:
        match reply:
            case Appended(seq, cancel_pending):
                writer.settle(seq, now)
                writer.usage_written = usage
                if cancel_pending:
                    writer.stop("cancelled")
            case Fenced():
                writer.stop("fenced")
            case Behind(seq):
                log.warning("%s: the log's tail is back at %d-%d, re-appending", writer.id, writer.attempt, seq)
                writer.settle(seq, now)
            case NotAppended(error):
                self._refused(writer, error)
        if writer.unwritten and writer.writable:
            self._mark(writer)

    def _refused(self, writer: Writer, error: BrokerError) -> None:
        writer.renewed_at = writer.looked_at = 0.0  # not known to have happened: the next call does
        match error:
            case StorageUnavailable():
                return
            case StorageFull():
                writer.stop("storage_full")
            case _:
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
