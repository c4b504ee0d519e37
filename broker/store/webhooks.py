"""What is to be told by webhooks: in coordination, which generations and when; in the logs, what each tells, put aside at its
end, and what became of it, in its record."""

from collections.abc import Sequence
from dataclasses import dataclass

from broker import keys
from broker.ids import EntryId
from broker.record import Record
from broker.replies import Due, Redelivery
from broker.store import unsealing, webhook_steps
from broker.store.client import storage_errors
from broker.store.coordination import Coordination
from broker.store.logs import Logs
from broker.webhooks import Delivery


@dataclass(frozen=True, slots=True)
class Untold:
    """An end that is to be told: its record as it was then, tries so far, ms until the next."""

    record: Record
    tries: int
    wait_ms: int

    @property
    def end(self) -> EntryId:
        assert self.record.terminal_id is not None
        return self.record.terminal_id


class Webhooks:
    """Holds no state but the connections. Every method may raise StorageUnavailable or StorageFull."""

    def __init__(self, logs: Logs, coordination: Coordination) -> None:
        self._logs = logs
        self._coordination = coordination

    # -- when

    async def due(self, limit: int, lease_ms: int) -> Due:
        """As webhook_steps.due."""
        return await webhook_steps.due(limit, lease_ms).run(self._coordination.redis)

    async def next_in(self, id_: str, until_ms: int, in_ms: int | None) -> None:
        """As webhook_steps.next_in."""
        await webhook_steps.next_in(id_, until_ms, in_ms).run(self._coordination.redis)

    # -- what

    async def untold(self, id_: str) -> Untold | None:
        """What is to be told of this generation; None if nothing is, or nothing any more."""
        with storage_errors():
            pipe = self._logs.redis.pipeline(transaction=False)
            pipe.hgetall(keys.webhook(id_))
            fields: dict[bytes, bytes]
            (fields,) = await pipe.execute()
            seconds, micros = await (await self._logs.at(id_)).redis.time()
        if not fields:
            return None
        wait_ms = int(fields.get(b"next_at_ms", 0)) - (int(seconds) * 1000 + int(micros) // 1000)
        record = await unsealing.record(self._logs.vault, Record.of_hash(id_, fields))
        return Untold(record, int(fields.get(b"tries", 0)), max(0, wait_ms))

    async def tried(self, id_: str, end: EntryId, delivery: Delivery, again_ms: int | None) -> bool:
        """As webhook_steps.tried."""
        return await webhook_steps.tried(id_, end, delivery, again_ms).run(self._logs.redis)

    async def lapsed(self, id_: str, end: EntryId, delivery: Delivery) -> bool:
        """As webhook_steps.lapsed."""
        return await webhook_steps.lapsed(id_, end, delivery).run(self._logs.redis)

    async def tell_again(self, id_: str) -> Redelivery:
        """Has an end told again, at once. May be repeated."""
        outcome = await webhook_steps.redeliver(id_).run(self._logs.redis)
        if outcome == "pending":
            await webhook_steps.add([id_], anew=True).run(self._coordination.redis)
        return outcome


async def unlist(logs: Logs, coordination: Coordination, ids: Sequence[str], owner: str = "") -> None:
    """Takes up to 100 generations without a record off all lists; what is left of them to be told is told yet. `owner` as
    Coordination.unlist."""
    if untold := await logs.hooked(ids):
        await coordination.tell(untold)
    await coordination.unlist(ids, owner)
