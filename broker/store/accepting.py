"""Accepting a generation, the one way to submit: once, whatever breaks in between.

    reserve   the id, and with it an idempotency key and the place in `due`: from here on somebody looks after it
    record    what was asked for
    job       what a worker takes

Each step may be repeated; a client that got no answer repeats all of them with its idempotency key. Where one server plays both
roles and there is no such key, whose owner must be known first, the three are one script. Where there are two servers,
coordination may forget what it has just done: a key's id is then derived from it, so that the records tell whether it was used
(broker/store/derived.py), and what was accepted is looked at once more (`watch`).
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from broker.allowed import refuse_unless_allowed
from broker.errors import (
    LimitReached,
    NotDurable,
    OutcomeUnknown,
    QueueFull,
    StorageFull,
    StorageUnavailable,
    UnknownGeneration,
)  # fmt: skip
from broker.ids import new_generation_id
from broker.keyed import NO_SECRET, Keyed
from broker.limits import NO_DEMAND, NO_LIMITS, Demand, Limits, estimate
from broker.record import Record
from broker.refusals import REFUSED
from broker.replies import Allowance, Full, Limited
from broker.request import Durability, GenerationRequest
from broker.schedule import AT_ONCE, Schedule
from broker.store import log_steps, one_server
from broker.store.coordination import Coordination
from broker.store.derived import Derivation
from broker.store.logs import Logs
from broker.store.recovery import put_back
from broker.store.vault import Made
from broker.store.waits import Waits
from broker.tenants import NO_TENANTS, Tenants

First: TypeAlias = Callable[[str], Awaitable[object]]
"""What is done with the id of a generation before anything is made of it; if it raises, nothing is."""
_FIRST_ORDINAL = 1


def key_of(owner: str, idempotency_key: str) -> str:
    """The key as it is kept: a key is visible ASCII, so that no two owners share one."""
    return f"{owner}\0{idempotency_key}" if owner else idempotency_key


@contextmanager
def _accepted() -> Iterator[None]:
    """The record is made and `due` has it: what Redis refuses from here on, a sweeper does later."""
    try:
        yield
    except StorageFull:
        pass
    except StorageUnavailable as error:
        if error.why not in REFUSED:
            raise


@dataclass(frozen=True, slots=True)
class Submitted:
    """`record` is as it was made, where it is known to have been made just now: a worker may have begun since. `rank`:
    how many jobs of its owner were before its own then, None if it may not start yet; `alone`: nobody else had any that
    waited. `abandonable`: it is cancelled if nobody watches it for
    long."""

    id: str
    record: Record | None
    rank: int | None = 0
    alone: bool = True
    abandonable: bool = False
    allowance: Allowance | None = None


def _no_limits(_: str) -> Limits:
    return NO_LIMITS


@dataclass(frozen=True, slots=True)
class Submissions:
    """Accepts requests, for whoever submits: knows nothing of HTTP.

    `pickup_ms`: when a sweeper first looks whether a worker has come. `retention`: seconds, where the request has none.
    `derivation`: of ids from keys, None where coordination and logs are one server. `watch` has what was accepted looked at in
    some seconds, where they are two. `cell`: whose ids are made here. `background_ms`: by how much what is in the background is
    placed later in the queue. `most_waiting`: beyond so many that wait nothing is accepted; `waits` tells when it may be
    again. `tenants`: what each may ask for. `keyed`: by which secret bodies are compared. `limits_of`: how
    much an owner may ask for here."""

    logs: Logs
    coordination: Coordination
    pickup_ms: int
    retention: int
    derivation: Derivation | None
    watch: Callable[[str], object]
    cell: int = 0
    background_ms: int = 60_000
    most_waiting: int | None = None
    waits: Waits | None = None
    tenants: Tenants = NO_TENANTS
    keyed: Keyed = NO_SECRET
    limits_of: Callable[[str], Limits] = _no_limits

    async def submit(self, request: GenerationRequest, idempotency_key: str | None, owner: str = "") -> str:
        """As `accept`: the id of the generation."""
        return (await self.accept(request, idempotency_key, owner)).id

    async def accept(
        self,
        request: GenerationRequest,
        idempotency_key: str | None,
        owner: str = "",
        by: str = "",
        first: First | None = None,
    ) -> Submitted:
        """As `_accept`; QueueFull says when it may be tried again."""
        try:
            return await self._accept(request, idempotency_key, owner, by, first)
        except QueueFull:
            if self.waits is None or self.most_waiting is None:
                raise
            raise QueueFull((await self.waits.standing()).retry_after(self.most_waiting)) from None

    async def _accept(
        self, request: GenerationRequest, idempotency_key: str | None, owner: str, by: str, first: First | None
    ) -> Submitted:
        """The generation, a new one or the one that this key of this owner made before. `owner`: whose it is, without
        a NUL in it; empty where nobody is asked who they are. `by`: the id of the API key that requests are counted by.
        `first`: of what has no key.

        Raises NotAllowed, IdempotencyMismatch, ExpiredGeneration (the key's generation has been and gone),
        LimitReached, QueueFull, StorageFull, NotDurable, SealingUnavailable, StorageUnavailable (nothing happened),
        OutcomeUnknown (something may have)."""
        refuse_unless_allowed(request, self.tenants.of(owner))
        # 3 ms of 1 MiB, for who has a key
        fingerprint = self._fingerprint(request, owner) if idempotency_key is not None else ""
        derived = None
        if idempotency_key is not None:
            idempotency_key = key_of(owner, idempotency_key)
        id_, made, allowance = new_generation_id(self.cell), None, None
        grace = _abandon_ms(request)
        reached = False
        try:
            await self.coordination.ready()
            if self.derivation is not None and idempotency_key is not None:
                derived = await self.derivation.of(idempotency_key, fingerprint)
                id_ = derived.id
            if request.durability == "strict" and not await (await self.logs.at(id_)).can_confirm():
                raise NotDurable
            key = await self.logs.vault.made(id_, owner)
            if first is not None:
                await first(id_)
            reached = True
            if derived is not None and derived.known:
                await self._see_to(id_)
            elif self.derivation is None and idempotency_key is None:
                made = await self._at_once(id_, request, owner, by, key)
            else:
                tags, stored = request.options().tags, self._stored(request, key)
                demand = self._demand(stored[0], request, owner, by)
                accepted = await self.coordination.submit(
                    id_, idempotency_key, fingerprint, self.pickup_ms, tags, owner, self.most_waiting, demand
                )
                allowance = accepted.allowance
                if accepted.id != id_:
                    id_ = accepted.id
                    key = await self.logs.vault.made(id_, owner)
                    stored = self._stored(request, key)
                made_for = fingerprint if derived else ""
                schedule, hook = request.options().schedule(self.background_ms), request.hook
                wrapped = b"" if key is None else key.wrapped
                created = await self.logs.create(
                    id_, *stored, made_for, owner, request.origin, grace, hook, tags, schedule, wrapped,
                    charged=demand.limits.charged,
                )  # fmt: skip
                if created:
                    self._keep(id_, key)
                    with _accepted():
                        await self._queue(id_, schedule, owner, listed=not accepted.known)
        except StorageUnavailable as error:
            if reached and error.why not in REFUSED:
                raise OutcomeUnknown(id_) from None
            raise
        if self.derivation is not None:
            self.watch(id_)
        return made or Submitted(id_, None, allowance=allowance)

    async def knows(self, request: GenerationRequest, idempotency_key: str, owner: str = "") -> bool:
        """Whether this key of this owner has made a generation here in the last 24 hours. Raises IdempotencyMismatch, though
        not always where `accept` would, and StorageUnavailable."""
        key = key_of(owner, idempotency_key)
        if self.derivation is not None:
            return (await self.derivation.of(key, self._fingerprint(request, owner))).known
        return await self.coordination.knows(key)

    async def made_before(self, request: GenerationRequest, idempotency_key: str, owner: str = "") -> Submitted:
        """The generation that this key of this owner made of this request; nothing is submitted. Raises UnknownGeneration if it
        has made none that is remembered, IdempotencyMismatch, StorageUnavailable."""
        key, fingerprint = key_of(owner, idempotency_key), self._fingerprint(request, owner)
        if self.derivation is None:
            made = await self.coordination.made_by(key, fingerprint)
        else:
            derived = await self.derivation.of(key, fingerprint)
            made = derived.id if derived.known else None
        if made is None:
            raise UnknownGeneration
        return Submitted(made, None)

    def _fingerprint(self, request: GenerationRequest, owner: str) -> str:
        return self.keyed.fingerprint(owner, request.fingerprint())

    async def _see_to(self, id_: str) -> None:
        """What the key made before stays so, and is in somebody's care. Raises ExpiredGeneration."""
        await self.logs.record(id_)
        await put_back(self.logs, self.coordination, [id_])

    async def _at_once(
        self, id_: str, request: GenerationRequest, owner: str, by: str, key: Made | None
    ) -> Submitted | None:
        grace, tags = _abandon_ms(request), request.options().tags
        schedule = request.options().schedule(self.background_ms)
        stored, origin, hook = self._stored(request, key), request.origin, request.hook
        wrapped, demand = b"" if key is None else key.wrapped, self._demand(stored[0], request, owner, by)
        create = log_steps.create(
            id_, *stored, "", owner, origin, grace, hook, tags, schedule, wrapped, charged=demand.limits.charged
        )
        accept = one_server.accept(id_, create, self.pickup_ms, tags, owner, self.most_waiting, demand)
        listed = await accept.run(self.coordination.redis)
        if isinstance(listed, Full):
            raise QueueFull
        if listed is None:
            return None
        if isinstance(listed, Limited):
            raise LimitReached(listed.which, listed.wait_ms)
        self._keep(id_, key)
        record = Record.new(id_, request.model, listed.created_ms, owner, request.origin, request.hook, tags, schedule)
        return Submitted(id_, record, listed.rank, listed.alone, grace is not None, listed.allowance)

    def _demand(self, stored: bytes, request: GenerationRequest, owner: str, by: str) -> Demand:
        """What a submit is held against."""
        limits = self.limits_of(owner)
        return Demand(limits, by, estimate(len(stored), request.max_tokens), len(stored)) if limits else NO_DEMAND

    def _stored(self, request: GenerationRequest, key: Made | None) -> tuple[bytes, str, int, Durability]:
        """The request as its record has it, the model, the retention in ms, the durability."""
        options, stored = request.options(), request.to_bytes()
        sealed = stored if key is None else key.seal.sealed_request(stored)
        return sealed, request.model, (options.retention or self.retention) * 1000, options.durability

    def _keep(self, id_: str, key: Made | None) -> None:
        """The record was made just now, with this data key."""
        if key is not None:
            self.logs.vault.keep(id_, key.seal)

    async def _queue(self, id_: str, schedule: Schedule, owner: str, *, listed: bool) -> None:
        """Queues a generation whose record was just made, or has it looked at when it may start. One that an earlier try
        reserved may have left the lists since."""
        place_ms = None
        if not listed or schedule != AT_ONCE:
            record = await self.logs.record(id_)
            place_ms = record.place_ms
            if not listed:
                await self.coordination.move(id_, "queued", record.created_ms, record.tags, owner)
        if schedule.start_ms is None:
            await self.coordination.enqueue(id_, _FIRST_ORDINAL, place_ms=place_ms, owner=owner)
        else:
            await self.coordination.postpone({id_: schedule.start_ms})


def _abandon_ms(request: GenerationRequest) -> int | None:
    """After how long without a viewer it is cancelled; None if it is finished whoever watches."""
    options = request.options()
    return round(options.abandon_after * 1000) if options.on_abandon == "cancel" else None
