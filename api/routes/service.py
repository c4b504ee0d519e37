"""What the routes work with that have an id in their path: one object per process and cell."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from api.access.gate import Principal
from api.intake.problems import Code, Problem
from api.routes.merging import Part, Place
from api.routes.views import produced, produced_redacted
from api.viewing.hub import Hub
from api.viewing.transcripts import Form, Told
from broker.aside import Aside
from broker.errors import BrokerError, ErasedGeneration, ExpiredGeneration, UnknownGeneration
from broker.ids import EntryId
from broker.record import Record, State
from broker.replies import Found, Visit
from broker.settings import Trust
from broker.store.accepting import Submissions
from broker.store.agreement import Agreement
from broker.store.client import storage_errors
from broker.store.coordination import Coordination
from broker.store.erasing import Erasing
from broker.store.indexes import file_ended
from broker.store.limiting import Limiter
from broker.store.logs import Logs
from broker.store.pool import crowded
from broker.store.safety import check_cell, check_safe, check_writable
from broker.store.webhooks import unlist
from broker.tags import NO_TAGS, Tags
from broker.waiting import Wait

_READY_SECONDS = 3.0
_ROUNDS = 5
_CROWD = 1000
"""Half of those that may wait: what has begun, and viewers, go on."""
_CONFIRM_SECONDS = 6.0
"""How long a reader waits for a strictly durable end to be safe, before it is told to come again."""


@contextmanager
def _theirs(id_: str, who: Principal) -> Iterator[None]:
    """What has expired or was erased, and was another's, was never made."""
    try:
        yield
    except ExpiredGeneration as gone:
        if not who.may_see(gone.owner, id_):
            raise UnknownGeneration from None
        raise


@dataclass(frozen=True, slots=True)
class Service:
    """The two roles of Redis, the hub, and what takes more than one call of these."""

    logs: Logs
    coordination: Coordination
    submissions: Submissions
    hub: Hub
    agreement: Agreement
    limiter: Limiter
    trust: Trust
    aside: Aside = field(default_factory=Aside)
    """Where large bodies are read."""
    bounds: Mapping[str, object] = field(default_factory=dict)
    """What a request is held against besides its own rules, and what is filled in: the context of its validation."""
    cell: int = 0
    """Its number."""

    @property
    def crowded(self) -> bool:
        """Whether so many requests wait for Redis that another one would wait for seconds."""
        return crowded(self.coordination.redis, _CROWD) or crowded(self.logs.redis, _CROWD)

    @property
    def erasing(self) -> Erasing:
        """What erases generations of this cell."""
        return Erasing(self.logs, self.coordination, self.logs.shelved_in)

    @property
    def takes_submits(self) -> bool:
        """Whether, as far as is known, a submit would be accepted."""
        return self.agreement.hears and not self.agreement.apart and not self.crowded

    def refuse_unless_accepting(self) -> None:
        """Raises Problem (503) if this process is about to go, or no worker would find what it accepts."""
        if self.hub.draining:
            raise Problem(Code.DRAINING)
        if self.agreement.apart:
            raise Problem(Code.STORAGE_MISMATCH)

    def refuse_if_crowded(self) -> None:
        """Raises Problem (503) if so many requests wait for Redis that another one would wait for seconds, and those that have
        begun with it. To be called before anything is read of a request, so that a refusal costs little."""
        if self.crowded:
            raise Problem(Code.TOO_BUSY)

    def busy_or_away(self) -> Problem:
        """Why Redis did not do something in time."""
        crowd = crowded(self.coordination.redis, 1) or crowded(self.logs.redis, 1)
        return Problem(Code.TOO_BUSY if crowd else Code.REDIS_UNAVAILABLE)

    async def ready(self) -> None:
        """Raises what a submit would meet. Both roles of Redis must answer and take writes, neither may lose logs, workers must
        use the same logs, and the process must stay."""
        self.refuse_unless_accepting()
        try:
            async with asyncio.timeout(_READY_SECONDS):
                for redis in (self.coordination.redis, self.logs.redis):
                    await check_safe(redis, self.trust)
                    await check_cell(redis, self.cell)
                    await check_writable(redis)
        except TimeoutError:
            raise self.busy_or_away() from None

    def shown(self, record: Record) -> Record:
        """The record as it may be shown now: with an end that is not safe yet, as it was before that. The end is seen to."""
        end = self.hub.strict_ends.held_end(record)
        if end is None:
            return record
        self.hub.strict_ends.confirm(record.id, end)
        return record.before_the_end()

    async def refuse_unless_seen(self, id_: str, who: Principal) -> None:
        """Raises UnknownGeneration, ExpiredGeneration or StorageUnavailable if the generation is not there for the one who
        asks. A record's owner never changes."""
        if not (who.sees_all and who.only is None):
            await self.visit(id_, who)

    async def visit(self, id_: str, who: Principal, cursor: EntryId | None = None) -> Visit:
        """What an arriving viewer must know of a generation that is there for the one who asks. Raises as `refuse_unless_seen`;
        ErasedGeneration of what was erased and was that one's."""
        with _theirs(id_, who):
            visit = await self.logs.visit(id_, cursor)
        if not who.may_see(visit.owner, id_):
            raise UnknownGeneration
        return visit

    async def refuse_unless_there(self, id_: str, who: Principal) -> None:
        """As `refuse_unless_seen`, for whom what was erased before is there yet."""
        with suppress(ErasedGeneration):
            await self.visit(id_, who)

    async def safe_record(self, id_: str, who: Principal) -> Record:
        """The record, when its end is safe, if it has one. Raises UnknownGeneration (if it is not there for the one who asks,
        too), ExpiredGeneration; StorageUnavailable if that takes too long."""
        record, _ = await self._when_safe(id_, who, None)
        return record

    async def whole(self, id_: str, who: Principal, form: Form | None = None) -> tuple[Record, Told]:
        """The record and then what was produced, in this form, or in ours; when their end is safe, if they have one. Raises as
        `safe_record`."""
        usual = produced_redacted if who.redacted else produced
        record, told = await self._when_safe(id_, who, form or usual)
        assert told is not None
        return record, told

    async def _when_safe(self, id_: str, who: Principal, form: Form | None) -> tuple[Record, Told | None]:
        """Reads anew whenever it has waited: Redis may have lost meanwhile what was read."""
        strict_ends = self.hub.strict_ends
        with storage_errors():
            async with asyncio.timeout(_CONFIRM_SECONDS):
                while True:
                    with _theirs(id_, who):
                        record = await self.logs.record(id_)
                    if not who.may_see(record.owner, id_):
                        raise UnknownGeneration
                    told = None if form is None else await self.hub.transcripts.told(id_, form)
                    end = strict_ends.held_end(record)
                    if end is None and told and told.end and strict_ends.holds(id_, told.end):
                        end = told.end.id
                    if end is None:
                        return record, told
                    await strict_ends.safe(id_, end)

    async def wait_of(self, record: Record) -> Wait | None:
        """Of one that waits for its first worker; None of any other, of one that may not start yet, or where Redis is away."""
        if record.state != "queued":
            return None
        try:
            (rank,) = await self.coordination.ranks([(record.id, record.owner)])
        except BrokerError:
            return None
        return None if rank is None else await self.hub.waits.of(record.owner, rank)

    async def file_ended(self, id_: str) -> None:
        """Lists a generation as ended, if it has. Failing that, a sweeper does it."""
        with suppress(BrokerError):
            await file_ended(self.logs, self.coordination, [id_])

    async def list(
        self, who: Principal, state: State | None, before: Place | None, limit: int, tags: Tags = NO_TAGS
    ) -> Part[Record]:
        """A page of the own records of the one who asks that have all these tags, newest first, and up to where the list was
        read. The index may lag: whatever its record contradicts is left out, whatever has expired is taken off the
        list."""
        shown: list[tuple[Place, Record]] = []
        for _ in range(_ROUNDS):
            rows, behind = await self._listed(who.owner, state, before, limit - len(shown), tags)
            found = await self.logs.records([id_ for _, id_ in rows])
            there = [
                (place, self.shown(record))
                for place, record in zip(rows, found, strict=True)
                if record is not None and who.may_see(record.owner, record.id)
            ]
            asked = [(place, record) for place, record in there if state is None or record.state == state]
            shown += [(place, record) for place, record in asked if tags.are_in(record.tags)] if tags else asked
            if gone := [id_ for (_, id_), record in zip(rows, found, strict=True) if record is None]:
                await unlist(self.logs, self.coordination, await self.agreement.lost(gone), who.owner)
            before = behind
            if before is None or len(shown) >= limit:
                break
        return Part(shown, before)

    async def _listed(self, owner: str, state: State | None, before: Place | None, limit: int, tags: Tags) -> Found:
        """What the lists of this owner have."""
        if tags:
            return await self.coordination.tagged(tags, state, before, limit, owner)
        rows = await self.coordination.listed(state or "all", before, limit, owner)
        return Found(rows, rows[-1] if rows else None)
