"""What the routes work with: one object per process."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from api.hub import Hub
from api.problems import Code, Problem
from api.submissions import Submissions
from broker.coordination import Coordination
from broker.errors import BrokerError, ExpiredGeneration, UnknownGeneration
from broker.logs import Logs
from broker.record import TERMINAL, Record, State

_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Service:
    """The two roles of Redis, the hub, and what takes more than one call of these."""

    logs: Logs
    coordination: Coordination
    submissions: Submissions
    hub: Hub
    ephemeral: bool
    parsing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a large body is parsed."""

    def refuse_while_draining(self) -> None:
        """Raises Problem (503): a process that is about to go accepts nothing."""
        if self.hub.draining:
            raise Problem(Code.DRAINING)

    async def settle(self, id_: str) -> None:
        """Lists an ended generation as such; indexes are hints, so a failure here is none."""
        with suppress(BrokerError):
            look = await self.logs.look(id_)
            if look is not None and look.state in TERMINAL:
                await self.coordination.retire(id_, look)

    async def list(
        self, state: State | None, before: tuple[int, str] | None, limit: int
    ) -> tuple[list[Record], tuple[int, str] | None]:
        """A page of records, newest first, and the cursor behind it, or None at the end. The index may lag: whatever its
        record contradicts is left out, whatever has expired is taken off the list."""
        records: list[Record] = []
        for _ in range(_ROUNDS):
            rows = await self.coordination.listed(state or "all", before, limit - len(records))
            for row in rows:
                before = row
                try:
                    record = await self.logs.record(row[1])
                except (UnknownGeneration, ExpiredGeneration):
                    await self.coordination.unlist(row[1])
                    continue
                if state is None or record.state == state:
                    records.append(record)
            if not rows:
                return records, None
            if len(records) >= limit:
                break
        return records, before
