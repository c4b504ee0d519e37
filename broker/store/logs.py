"""The logs role: one generation's record and log, and the atomic steps on them.

Every method may raise StorageUnavailable or StorageFull (see broker.store.client).
"""

import logging
from collections.abc import Sequence
from typing import Final, Literal, cast

from arq.connections import ArqRedis
from redis.exceptions import ResponseError

from broker import keys
from broker.errors import (
    AlreadyEnded,
    ArchiveUnavailable,
    ErasedGeneration,
    ExpiredGeneration,
    IdempotencyMismatch,
    StorageRefused,
    UnknownGeneration,
)
from broker.events import WITHDRAWN, Entry, Run
from broker.ids import EntryId
from broker.packing import Packed, UnreadableObject, request_of
from broker.record import SHOWN, Origin, Record, State
from broker.refusals import away
from broker.replies import Cancelled, Held, Look, Newest, Visit, Watched
from broker.request import Durability
from broker.schedule import AT_ONCE, Schedule
from broker.store import archive_steps, log_steps, unsealing
from broker.store.archive import Archive
from broker.store.client import storage_errors
from broker.store.cluster import ClusterRedis
from broker.store.fsyncs import Sample
from broker.store.lua import Call, run_all, step
from broker.store.shelf import Shelf
from broker.store.unsealing import Wrapped
from broker.store.vault import Vault
from broker.tags import NO_TAGS, Tags
from broker.tombstones import why_gone
from broker.webhooks import Hook

log = logging.getLogger("respool.logs")

_CONFIRM_MS = 2000
_VISITED: Final = ["owner", "state", "terminal_id", "archived", "abandon_ms", "end", "start_ms", "sealed"]
_new = tuple.__new__
"""A NamedTuple by its own constructor takes twice as long."""


class Logs:
    """Reads and changes generations. Holds no state but the connection. `sync`: the key of a write for its own sake. A log that
    is in the archive is read from there, by who has a `shelf`; a read of it raises ArchiveUnavailable, a StorageUnavailable,
    where that cannot be. What is sealed is read opened, with the keys of `vault`; where that cannot be, it raises
    PayloadUnreadable, a StorageUnavailable too."""

    def __init__(
        self, redis: ArqRedis, shelf: Shelf | None = None, sync: str = keys.SYNC, vault: Vault | None = None
    ) -> None:
        self.redis = redis
        self.vault = Vault() if vault is None else vault
        self._shelf = shelf
        self._sync = sync

    @property
    def shelved_in(self) -> Archive | None:
        """Where logs go that have ended; None where it is not read from."""
        return None if self._shelf is None else self._shelf.archive

    # -- reading

    async def record(self, id_: str, *, with_request: bool = False) -> Record:
        """Raises UnknownGeneration or ExpiredGeneration."""
        fields = [*SHOWN, "request"] if with_request else list(SHOWN)
        with storage_errors():
            record = await self._look_at(id_, fields)
            if record is None:
                was = await self.redis.get(keys.tombstone(id_))
                if was is None or (record := await self._look_at(id_, fields)) is None:  # made between the two looks
                    raise why_gone(was)
        return await unsealing.record(self.vault, record)

    async def _look_at(self, id_: str, fields: Sequence[str]) -> Record | None:
        values = await self.redis.execute_command("HMGET", keys.record(id_), *fields)  # type: ignore[no-untyped-call]
        return _record(id_, fields, values)

    async def records(self, ids: Sequence[str]) -> list[Record | None]:
        """Many records in one trip, without their requests; None for those that are not there."""
        with storage_errors():
            pipe = self.redis.pipeline(transaction=False)
            for id_ in ids:
                pipe.hmget(keys.record(id_), list(SHOWN))
            rows = await pipe.execute() if ids else []
        found = [_record(id_, SHOWN, values) for id_, values in zip(ids, rows, strict=True)]
        return [None if record is None else await unsealing.record(self.vault, record) for record in found]

    async def looks(self, ids: Sequence[str]) -> dict[str, Look | None]:
        """As `look`, at many in one trip, without those whose key is none of ours."""
        found = dict(zip(ids, await run_all(self.redis, [log_steps.look(id_) for id_ in ids]), strict=True))
        if refused := [id_ for id_, look in found.items() if isinstance(look, StorageRefused)]:
            log.warning("Redis refuses a look at %d records: %s", len(refused), ", ".join(refused[:5]))
        return {id_: look for id_, look in found.items() if not isinstance(look, StorageRefused)}

    async def watched(self, ids: Sequence[str]) -> None:
        """Notes in one trip that somebody watches these generations."""
        await run_all(self.redis, [log_steps.watch(id_) for id_ in ids])

    async def abandoned(self, calls: Sequence[Call[Watched]]) -> list[Watched | StorageRefused]:
        """Many looks whether anybody watches, in one trip."""
        return await run_all(self.redis, calls)

    async def revoke_expired(self, ids: Sequence[str]) -> None:
        """`revoke` for each of these whose lease has run out, in one trip."""
        await run_all(self.redis, [log_steps.revoke(id_) for id_ in ids])

    async def hooked(self, ids: Sequence[str]) -> list[str]:
        """Those of these generations, whether there is a record of them or not, whose end a webhook is to tell yet."""
        with storage_errors():
            pipe = self.redis.pipeline(transaction=False)
            for id_ in ids:
                pipe.exists(keys.webhook(id_))
            found = await pipe.execute() if ids else []
        return [id_ for id_, there in zip(ids, found, strict=True) if there]

    async def held_by(self, name: str, ids: list[str]) -> list[Held]:
        """Which of these generations run under a claim of the process of this name (claimants are `<name>/<nonce>`)."""
        with storage_errors():
            pipe = self.redis.pipeline(transaction=False)
            for id_ in ids:
                pipe.hmget(keys.record(id_), ["claimant", "attempt", "ordinal", "created_ms", "place_ms", "owner"])
            rows = await pipe.execute()
        prefix = f"{name}/".encode()
        return [
            Held(
                id_,
                int(attempt),
                int(ordinal),
                int(created),
                None if place is None else int(place),
                (owner or b"").decode(),
            )
            for id_, (claimant, attempt, ordinal, created, place, owner) in zip(ids, rows, strict=True)
            if claimant is not None and claimant.startswith(prefix)
        ]

    async def from_(self, id_: str, first: EntryId, count: int) -> list[Entry]:
        """Up to `count` entries from this id on, the id's own included."""
        return [
            _new(Entry, (_new(EntryId, (attempt, seq)), kind, value))
            for (attempt, first_seq), contents in await self.runs(id_, first, count)
            for seq, (kind, value) in enumerate(contents, first_seq)
        ]

    async def runs(self, id_: str, first: EntryId, count: int) -> list[Run]:
        """As `from_`, without an object for each entry."""
        return await unsealing.runs(self.vault, id_, await self.stored_runs(id_, first, count), self._key_of)

    async def stored_runs(self, id_: str, first: EntryId, count: int) -> list[Run]:
        """As `runs`, as they are stored."""
        with storage_errors():
            # The name as bytes: then redis-py leaves the reply as it comes.
            rows = await self.redis.execute_command(b"XRANGE", keys.log(id_), str(first), "+", "COUNT", count)  # type: ignore[no-untyped-call]
        if rows:
            return runs_of(rows)
        archived = await self._archived(id_)
        return [] if archived is None else await self._runs_of(archived, first, count)

    async def newest(self, id_: str) -> Newest:
        """The log's newest entry, and whether the generation is there."""
        with storage_errors():
            pipe = self.redis.pipeline(transaction=False)
            pipe.xrevrange(
                keys.log(id_), count=1
            )  # first: a log that leaves for the archive in between is seen, there or here
            pipe.hmget(keys.record(id_), ["state", "archived"])
            rows, (state, mark) = await pipe.execute()
        if rows or mark is None:
            newest = await self._opened(id_, _entries(rows)[0]) if rows else None
            return Newest(newest, state is not None)
        archived = await self._archived(id_)
        return Newest(None if archived is None else (await self.from_(id_, archived.last, 1))[-1], True)

    async def has(self, id_: str, entry: EntryId) -> bool:
        """Whether the log has this very entry."""
        found = await self.from_(id_, entry, 1)
        return bool(found) and found[0].id == entry

    async def _opened(self, id_: str, entry: Entry) -> Entry:
        (run,) = await unsealing.runs(self.vault, id_, [Run(entry.id, [(entry.kind, entry.value)])], self._key_of)
        return Entry(entry.id, *run.contents[0])

    async def _key_of(self, id_: str) -> Wrapped | None:
        """The data key of a generation; None if it has none, or is gone."""
        with storage_errors():
            pipe = self.redis.pipeline(transaction=False)
            pipe.hmget(keys.record(id_), ["sealed", "owner"])
            ((wrapped, owner),) = await pipe.execute()
        return None if wrapped is None else Wrapped(wrapped, (owner or b"").decode())

    async def destroy_key(self, id_: str) -> None:
        """Of a generation that is about to be erased: this process has its data key no more, nor has a key service that keeps
        it. The wrapped key is in the record, and goes with that. Raises SealingUnavailable, StorageUnavailable."""
        if (key := await self._key_of(id_)) is not None:
            await self.vault.destroy(id_, key.tenant, key.wrapped)

    async def _archived(self, id_: str) -> Packed | None:
        """The object that the log is in; None if it is in none."""
        (mark,) = await self.archived([id_])
        if mark is None:
            return None
        if self._shelf is None:
            raise ArchiveUnavailable("there is none here")
        return await self._shelf.get(id_, mark)

    async def _runs_of(self, archived: Packed, first: EntryId, count: int) -> list[Run]:
        assert self._shelf is not None
        try:
            return await archived.runs(first, count, self._shelf.turns)
        except UnreadableObject as error:
            raise ArchiveUnavailable(str(error)) from None

    async def archived(self, ids: Sequence[str]) -> list[str | None]:
        """The marks of the objects that these logs are in; None for one that is in none."""
        with storage_errors():
            pipe = self.redis.pipeline(transaction=False)
            for id_ in ids:
                pipe.hget(keys.record(id_), "archived")
            marks: list[bytes | None] = await pipe.execute() if ids else []
        return [None if mark is None else mark.decode() for mark in marks]

    async def fields(self, id_: str) -> dict[bytes, bytes]:
        """The whole record, as the archive keeps it."""
        with storage_errors():
            pipe = self.redis.pipeline(transaction=False)
            pipe.hgetall(keys.record(id_))
            found: list[dict[bytes, bytes]] = await pipe.execute()
        return found[0]

    async def request(self, id_: str) -> bytes:
        """The request as it was accepted, from the archive if it went there. Raises UnknownGeneration or ExpiredGeneration."""
        while True:
            record = await self.record(id_, with_request=True)
            if record.request is not None:
                return record.request
            archived = await self._archived(id_)
            if archived is not None:
                assert self._shelf is not None
                try:
                    stored = request_of(await archived.record(self._shelf.turns), sealed=bool(record.sealed))
                except (UnreadableObject, KeyError, ValueError) as error:
                    raise ArchiveUnavailable(type(error).__name__) from None
                return await unsealing.request(self.vault, record, stored)

    async def visit(self, id_: str, cursor: EntryId | None) -> Visit:
        """What an arriving viewer must know. Raises UnknownGeneration or ExpiredGeneration."""
        with storage_errors():
            pipe = self.redis.pipeline(transaction=False)
            if cursor is not None:  # first: a log that leaves for the archive in between is seen, there or here
                pipe.xrange(keys.log(id_), str(cursor), str(cursor), count=1)
            pipe.get(keys.tombstone(id_))  # before the record: with that it is made
            pipe.hmget(keys.record(id_), _VISITED)
            *found, tombstone, fields = await pipe.execute()
        owner, state, terminal_id, archived, abandon_ms, end, start_ms, sealed = fields
        if state is None:
            raise why_gone(tombstone)
        return Visit(
            cast(State, state.decode()),
            EntryId.of_redis(terminal_id) if terminal_id else None,
            bool(found and found[0]),
            owner.decode() if owner else "",
            archived is not None,
            abandon_ms is not None,
            end is not None and WITHDRAWN in end,
            start_ms is not None,
            sealed or b"",
        )

    async def at(self, id_: str) -> "Logs":
        """The one server that has this generation now: what it alone can tell, or shall do, or nobody. A step there raises
        StorageUnavailable when it has the generation no more."""
        if not isinstance(self.redis, ClusterRedis):
            return self
        with storage_errors():
            return Logs(await self.redis.server_of(keys.record(id_)), self._shelf, keys.sync(id_), self.vault)

    async def acknowledged(self) -> Literal["disk", "replica"] | None:
        """Where Redis says that all it has executed is safe, after 2 s at most; None if it does not say so. Of its disk it may
        say so too early (fsyncs.py). It is a connection's own last write that is waited for, and so there is one."""
        commands: tuple[tuple[Literal["disk", "replica"], tuple[str | int, ...]], ...] = (
            ("disk", ("WAITAOF", 1, 0, _CONFIRM_MS)),
            ("replica", ("WAIT", 1, _CONFIRM_MS)),
        )
        with storage_errors():
            for where, command in commands:
                pipe = self.redis.pipeline(transaction=False)
                log_steps.sync(self._sync).queue(pipe)
                pipe.execute_command(*command)
                _, reply = await pipe.execute(raise_on_error=False)
                if isinstance(reply, ResponseError):  # WAITAOF is refused where there is no file
                    continue
                if isinstance(reply, Exception):
                    raise reply
                return where if int(reply[0] if isinstance(reply, list) else reply) >= 1 else None
        return None

    async def fsyncs(self) -> Sample | None:
        """What Redis does with its append-only file; and one write behind that, so that there is something to sync. None if
        there is no such file, or if Redis does not tell."""
        with storage_errors():
            pipe = self.redis.pipeline(transaction=False)
            pipe.execute_command("INFO", "server", "persistence")
            pipe.execute_command("CONFIG GET", "*appendfsync*")
            log_steps.sync(self._sync).queue(pipe)
            info, config, _ = await pipe.execute(raise_on_error=False)
        if isinstance(info, Exception):
            return None
        return Sample.of_info(info, {} if isinstance(config, Exception) else config)

    async def can_confirm(self) -> bool:
        """Whether an end can ever be confirmed: this Redis persists, by itself, and can tell when (WAITAOF is of Redis 7.2); or
        it does not, and has a replica. One that does not tell its `appendfsync` is taken at its operator's word; one that
        does not tell whether it persists cannot confirm anything. Asked of one server, see `at`."""
        with storage_errors():
            if not await self._allows("WAITAOF", 1, 0, 1):
                return await self._has_only_replicas()
        sample = await self.fsyncs()
        return sample is not None and sample.policy != "no"

    async def _has_only_replicas(self) -> bool:
        try:
            told = {**await self.redis.info("persistence"), **await self.redis.info("replication")}
        except ResponseError:
            return False
        return (
            not told.get("aof_enabled", 1) and bool(told.get("connected_slaves")) and await self._allows("WAIT", 0, 1)
        )

    async def _allows(self, *command: str | int) -> bool:
        try:
            await self.redis.execute_command(*command)  # type: ignore[no-untyped-call]
        except ResponseError as error:
            if away(error):
                raise
            return False
        return True

    async def erased(self, id_: str) -> bool:
        """Whether somebody had it erased. Asked of a generation that is not there."""
        with storage_errors():
            return isinstance(why_gone(await self.redis.get(keys.tombstone(id_))), ErasedGeneration)

    # -- the atomic steps

    claim = step(log_steps.claim)
    finish = step(log_steps.finish)
    release = step(log_steps.release)
    revoke = step(log_steps.revoke)
    look = step(log_steps.look)
    confirm = step(log_steps.confirm)
    archive = step(archive_steps.archive)

    async def create(
        self,
        id_: str,
        request: bytes,
        model: str,
        retention_ms: int,
        durability: Durability = "normal",
        fingerprint: str = "",
        owner: str = "",
        origin: Origin | None = None,
        abandon_ms: int | None = None,
        hook: Hook | None = None,
        tags: Tags = NO_TAGS,
        schedule: Schedule = AT_ONCE,
        sealed: bytes = b"",
        *,
        charged: bool = False,
    ) -> bool:
        """Makes the record; False if it is there. Raises ExpiredGeneration if it was there and is gone, ErasedGeneration if
        it was erased, IdempotencyMismatch if it was made for a body of another fingerprint."""
        call = log_steps.create(
            id_,
            request,
            model,
            retention_ms,
            durability,
            fingerprint,
            owner,
            origin,
            abandon_ms,
            hook,
            tags,
            schedule,
            sealed,
            charged=charged,
        )
        created = await call.run(self.redis)
        if created == "mismatch":
            raise IdempotencyMismatch
        if created == "expired":
            raise ExpiredGeneration
        if created == "erased":
            raise ErasedGeneration(owner)
        return created == "created"

    async def cancel(self, id_: str) -> Literal["cancelled", "cancelling"]:
        """Notes the cancel in the record; ends the generation here if nobody runs it. Raises AlreadyEnded (unless it was
        cancelled), UnknownGeneration or ExpiredGeneration."""
        match await log_steps.cancel(id_).run(self.redis):
            case Cancelled("cancelling"):
                return "cancelling"
            case Cancelled("cancelled") | Cancelled("ended", "cancelled"):
                return "cancelled"
            case Cancelled("ended", str(state)):
                raise AlreadyEnded(state)
        await self.record(id_)  # raises which of the two it is
        raise UnknownGeneration


def _record(id_: str, fields: Sequence[str], values: list[bytes | None]) -> Record | None:
    found = {field.encode(): value for field, value in zip(fields, values, strict=True) if value is not None}
    return Record.of_hash(id_, found) if b"state" in found else None


def runs_of(rows: Sequence[tuple[bytes, tuple[bytes, bytes]]]) -> list[Run]:
    """Ids rise: if the last is as far from the first as there are entries, none in between has jumped."""
    if not rows:
        return []
    first, last = EntryId.of_redis(rows[0][0]), EntryId.of_redis(rows[-1][0])
    if last == (first.attempt, first.seq + len(rows) - 1):
        return [Run(first, [content for _, content in rows])]
    half = len(rows) // 2
    return runs_of(rows[:half]) + runs_of(rows[half:])


def _entries(rows: list[tuple[bytes, dict[bytes, bytes]]]) -> list[Entry]:
    entries = []
    for raw_id, fields in rows:
        ((kind, value),) = fields.items()
        entries.append(Entry(EntryId.of_redis(raw_id), kind, value))
    return entries
