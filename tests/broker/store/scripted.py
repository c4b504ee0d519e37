"""The atomic steps for a test: one generation on a real server, called from plain functions, time passing on demand."""

import asyncio
import itertools
from collections.abc import Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

from broker import keys
from broker.events import Append, Content, Entry, parse_append
from broker.ids import BEGINNING, EntryId, new_generation_id
from broker.record import Ending, Origin
from broker.replies import AppendReply, Finished, Granted, NotAppended, Refused
from broker.request import Durability
from broker.store.address import address_of
from broker.store.appends import AttemptLog, Lane
from broker.store.client import connect
from broker.store.coordination import Coordination
from broker.store.logs import Logs
from broker.store.lua import Argument
from broker.store.wire import Wire, open_wire, packed
from broker.tags import NO_TAGS, Tags
from broker.webhooks import Hook

T = TypeVar("T")

LEASE_MS = 60_000
"""Longer than any test: a lease ends when the test says so."""
DONE = Ending("completed", stop_reason="end_turn")

_claimants = itertools.count()


class Server:
    """A connection to the server under test and the event loop it lives in. Use it as a context."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self.url = url

    def __enter__(self) -> Self:
        self.do(self._connect())
        return self

    async def _connect(self) -> None:
        self.redis = connect(self.url, connections=4)
        self.logs, self.coordination = Logs(self.redis), Coordination(self.redis)
        self.appends = Lane(self.url)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.appends.close()
        self.do(self.redis.aclose(close_connection_pool=True))
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def command(self, *words: Argument) -> Any:
        return self.do(self.redis.execute_command(*words))  # type: ignore[no-untyped-call]

    def now_ms(self) -> int:
        seconds, micros = self.command("TIME")
        return int(seconds) * 1000 + int(micros) // 1000


@dataclass(frozen=True)
class Saved:
    """Each key of a generation, its serialized value (None: it was not there) and its TTL in ms."""

    keys: list[tuple[str, bytes | None, int]] = field(repr=False)


class Generation:
    """One generation. Each method is one atomic step, called as the processes call it."""

    def __init__(self, server: Server, id_: str | None = None) -> None:
        """Of an `id_` that is there, or one to make."""
        self.server = server
        self.id = id_ or new_generation_id()
        self.keys = [keys.record(self.id), keys.log(self.id), keys.tombstone(self.id)]

    def create(self, retention_ms: int = 3_600_000, owner: str = "", origin: Origin | None = None,
               hook: Hook | None = None, durability: Durability = "normal", tags: Tags = NO_TAGS) -> bool:  # fmt: skip
        return self.server.do(
            self.server.logs.create(
                self.id, b"{}", "sim-1", retention_ms, durability, owner=owner, origin=origin, hook=hook, tags=tags
            )
        )

    def claim(
        self,
        planned_from: EntryId | None = None,
        *,
        run: bool = True,
        claimant: str = "",
        most: int = 3,
        kept: int = 0,
        in_all: int = 20,
        most_paid: int = 0,
        guarded: bool = False,
        discards: bool = False,
    ) -> Granted | Refused:
        """By default planned from the log as it is, by a claimant of its own."""
        return self.server.do(
            self.server.logs.claim(
                self.id,
                claimant or f"claimant-{next(_claimants)}",
                lease_ms=LEASE_MS,
                most_attempts=most,
                planned_from=self.last if planned_from is None else planned_from,
                run=run,
                start_json=b'{"type":"stream_start"}',
                kept_chunks=kept,
                attempts_in_all=in_all,
                most_paid=most_paid,
                guarded=guarded,
                discards=discards,
            )
        )

    def granted(self, *, kept: int = 0, most: int = 3, discards: bool = False) -> int:
        """Claims, which must succeed; the attempt's name."""
        verdict = self.claim(kept=kept, most=most, discards=discards)
        assert isinstance(verdict, Granted), verdict
        return verdict.attempt

    def append(
        self, attempt: int, first: int, *contents: Content, lease_ms: int = 0, usage: bytes = b""
    ) -> AppendReply:
        """As the appender appends."""
        call = AttemptLog(self.id, attempt).append(first, list(contents), lease_ms=lease_ms, usage=usage)
        (reply,) = self.server.do(self.server.appends.send([call]))
        if isinstance(reply, NotAppended):
            raise reply.error
        return reply

    def finish(self, attempt: int, seq: int, ending: Ending = DONE) -> Finished:
        return self.server.do(self.server.logs.finish(self.id, attempt, seq, ending))

    def cancel(self) -> str:
        return self.server.do(self.server.logs.cancel(self.id))

    def release(self, attempt: int, *, counts: bool = True) -> bool:
        """As if any number of attempts may count; whether it was the one that runs."""
        released = self.server.do(
            self.server.logs.release(self.id, attempt, counts=counts, most_attempts=1000, attempts_in_all=1000)
        )
        assert released.why in ("released", "fenced")
        return released.why == "released"

    def revoke(self, attempt: int | None = None) -> bool:
        return self.server.do(self.server.logs.revoke(self.id, attempt))

    # -- time, storage

    def expire_lease(self) -> None:
        """Time passes, and nobody renews the lease."""
        if self.field("lease_until") is not None:
            self.server.command("HSET", self.keys[0], "lease_until", 1)

    def save(self) -> "Saved":
        """All that the store knows of this generation."""

        async def read() -> list[Any]:
            pipe = self.server.redis.pipeline(transaction=True)
            for key in self.keys:
                pipe.dump(key)
                pipe.pttl(key)
            found: list[Any] = await pipe.execute()
            return found

        found = self.server.do(read())
        return Saved(list(zip(self.keys, found[::2], found[1::2], strict=True)))

    def roll_back(self, saved: "Saved") -> None:
        """The store has come back as it was."""
        for key, dump, ttl in saved.keys:
            self.server.command("DEL", key)
            if dump is not None:
                self.server.command("RESTORE", key, max(ttl, 0), dump)

    # -- what is there

    @property
    def log(self) -> list[Entry]:
        return self.server.do(self.server.logs.from_(self.id, BEGINNING, 1_000_000))

    @property
    def last(self) -> EntryId:
        log = self.log
        return log[-1].id if log else BEGINNING

    @property
    def fields(self) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = self.server.command("HGETALL", self.keys[0])
        return found

    def field(self, name: str) -> str | None:
        raw: bytes | None = self.server.command("HGET", self.keys[0], name)
        return None if raw is None else raw.decode()

    def ttl(self, key: str) -> int:
        return int(self.server.command("PTTL", key))


class _Ears(Wire):
    """`here` is set by the answer to a ping."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[bytes] = []
        self.here = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.reader.feed(data)
        while (reply := self.reader.gets()) is not False:
            match reply:
                case [b"message" | b"smessage", _, payload]:
                    self.heard.append(payload)
                case [b"pong", _] | "PONG" | b"PONG":
                    self.here.set()
                case list():
                    pass
                case _:
                    self.replied(reply)


class Heard:
    """What is published on some channels while the context is open."""

    def __init__(self, server: Server, *channels: str) -> None:
        self._server = server
        self._channels = channels

    def __enter__(self) -> Self:
        self._server.do(self._listen())
        return self

    async def _listen(self) -> None:
        self._wire = await open_wire(address_of(self._server.url), _Ears)
        for channel in self._channels:
            self._wire.send(packed(("SSUBSCRIBE" if channel.endswith(":live") else "SUBSCRIBE", channel)))
        await self._until_here()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._wire.close()

    async def _until_here(self) -> None:
        self._wire.here.clear()
        self._wire.send(packed(("PING",)))
        await self._wire.here.wait()

    def messages(self) -> list[bytes]:
        """Everything that has been published until now, and not been told yet."""
        self._server.do(self._until_here())
        heard, self._wire.heard = self._wire.heard, []
        return heard

    def appends(self) -> list[Append]:
        return [
            Append(prev or EntryId(entries[0].id.attempt, entries[0].id.seq - 1), entries)
            for prev, entries in map(parse_append, self.messages())
        ]
