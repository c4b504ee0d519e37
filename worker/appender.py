"""The one task of a worker process that appends: all that its generations have put since the last flush goes out as one
pipeline, one script call per generation. While it is under way the next batch gathers, so nothing is held back for a batch
and a busy worker still batches.

Now and then a call also renews the lease and looks for a cancel. The tick, one timer for all generations, sees to it that there
is such a call where upstream is silent, and lets the watchdogs bite.
"""

import asyncio
import logging

from arq.connections import ArqRedis
from redis.exceptions import NoScriptError, RedisError

from broker import keys
from broker.connect import storage_error, storage_errors
from broker.errors import BrokerError, StorageFull, StorageUnavailable
from broker.lua import Argument, Script
from worker.writer import Writer

log = logging.getLogger("respool.appender")

_append = Script("append")

_TICK = 0.1
_LOOK_EVERY = 0.4
"""Seconds after which a generation looks at its cancel key, and, however silent, at its claim."""
_LONGEST_PAUSE = 0.5


class Appender:
    """Run it as a task; it lives as long as the process. `lease_ms` is renewed at a third of it."""

    def __init__(self, redis: ArqRedis, lease_ms: int) -> None:
        self._redis = redis
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
        pipe = self._redis.pipeline(transaction=False)
        for writer in batch:
            _append.queue(pipe, *self._call(writer, now))
        usages = [writer.usage for writer in batch]
        with storage_errors():
            replies = await pipe.execute(raise_on_error=False)
        for writer, usage, reply in zip(batch, usages, replies, strict=True):
            self._settle(writer, reply, usage, now)
        refusals = [reply for reply in replies if isinstance(reply, RedisError)]
        if any(isinstance(reply, NoScriptError) for reply in refusals):
            with storage_errors():
                await _append.load(self._redis)
        for reply in refusals:
            if isinstance(error := storage_error(reply), StorageUnavailable):
                raise error

    def _call(self, writer: Writer, now: float) -> tuple[list[str], list[Argument]]:
        first, contents = writer.batch()
        lease = 0
        if now - writer.renewed_at >= self._lease_ms / 3000:
            writer.renewed_at, lease = now, self._lease_ms
        looks = now - writer.looked_at >= _LOOK_EVERY
        if looks:
            writer.looked_at = now
        usage = writer.usage if writer.usage is not writer.usage_written else b""
        touched = [keys.record(writer.id), keys.log(writer.id)]
        if looks:
            touched.append(keys.cancel(writer.id))
        args: list[Argument] = [keys.live(writer.id), writer.attempt, first, lease, usage]
        for content in contents:
            args += content
        return touched, args

    def _settle(self, writer: Writer, reply: object, usage: bytes, now: float) -> None:
        match reply:
            case [-1]:
                writer.stop("fenced")
            case [-2, int(seq)]:
                log.warning("%s: the log's tail is back at %d-%d, re-appending", writer.id, writer.attempt, seq)
                writer.settle(seq, now)
            case int(seq) | [int(seq), 1]:
                writer.settle(seq, now)
                writer.usage_written = usage
                if reply != seq:
                    writer.stop("cancelled")
            case RedisError():
                self._refused(writer, reply)
        if writer.unwritten and writer.writable:
            self._mark(writer)

    def _refused(self, writer: Writer, reply: RedisError) -> None:
        writer.renewed_at = writer.looked_at = 0.0  # not known to have happened: the next call does
        if isinstance(reply, NoScriptError):
            return
        match error := storage_error(reply):
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
