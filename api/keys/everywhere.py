"""What all cells keep of API keys, as one: each cell has all keys, any that answers will do, and of two records that with the
later change is right (`agreed_on`). A cell that was away is told what it has missed when it is read again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from arq.connections import ArqRedis

from broker.api_keys import KeyRecord, agreed_on, read_record
from broker.errors import BrokerError, StorageUnavailable
from broker.store import api_keys
from broker.store.api_keys import Kept, Told

T = TypeVar("T")
_ANSWER_SECONDS: Final = 3.0
_OTHERS_SECONDS: Final = 0.5
"""For so long other cells are waited for when one has answered."""


class Found(NamedTuple):
    """`now_ms`: by the clock of a cell; `records`: of each id that was asked for, None where no cell that answered has any."""

    now_ms: int
    records: dict[str, KeyRecord | None]


class Everywhere:
    """Of these clients of cells' coordination, one at least. Methods raise StorageUnavailable if no cell answers in 3 s."""

    def __init__(self, clients: Sequence[ArqRedis]) -> None:
        self.clients = clients

    async def read(self, ids: Sequence[str]) -> Found:
        """What the cells have that answer."""
        told = await self._each(lambda redis: api_keys.read(redis, ids))
        now_ms = next(each.now_ms for each in told if each is not None)
        had = [None if each is None else _records(ids, each) for each in told]
        records = {id_: agreed_on([record for each in had if each and (record := each[id_])]) for id_ in ids}
        for redis, each in zip(self.clients, had, strict=True):
            for record in _lacking(each, records.values()) if each is not None else ():
                await self._told(redis, api_keys.keep(record, now_ms).run)
        return Found(now_ms, records)

    async def keep(self, record: KeyRecord, now_ms: int, most_live: int = 0) -> list[Kept | None]:
        """In all cells; None of one that does not answer, which is told later."""
        return await self._each(api_keys.keep(record, now_ms, most_live).run, others=_ANSWER_SECONDS)

    async def all(self, tenant: str | None = None) -> Found:
        """All keys, or a tenant's."""
        lists = await self._each(lambda redis: api_keys.listed(redis, tenant))
        return await self.read(sorted({id_ for each in lists for id_ in each or ()}))

    async def renew(self, lives: Sequence[tuple[str, int]]) -> None:
        """Keeps these keys for so many ms more."""
        await self._each(lambda redis: api_keys.renew(redis, lives))

    async def _each(self, ask: Callable[[ArqRedis], Awaitable[T]], others: float = _OTHERS_SECONDS) -> list[T | None]:
        """What each cell says, None of one that does not answer, or not soon after the first."""
        asked = [asyncio.ensure_future(self._told(redis, ask)) for redis in self.clients]
        try:
            await asyncio.wait(asked, timeout=others)
            if not any(each.done() and not isinstance(each.result(), BrokerError) for each in asked):
                await asyncio.wait(asked)  # each has its own bound
            found = [each.result() if each.done() else StorageUnavailable("silent") for each in asked]
        finally:
            for each in asked:
                each.cancel()
        errors = [each for each in found if isinstance(each, BrokerError)]
        if len(errors) == len(found):
            raise errors[0]
        return [None if isinstance(each, BrokerError) else each for each in found]

    @staticmethod
    async def _told(redis: ArqRedis, ask: Callable[[ArqRedis], Awaitable[T]]) -> T | BrokerError:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await ask(redis)
        except BrokerError as error:
            return error
        except TimeoutError:
            return StorageUnavailable("silent")


def _records(ids: Sequence[str], told: Told) -> dict[str, KeyRecord | None]:
    return {id_: None if raw is None else read_record(raw) for id_, raw in zip(ids, told.raw, strict=True)}


def _lacking(had: Mapping[str, KeyRecord | None], records: Iterable[KeyRecord | None]) -> list[KeyRecord]:
    """Those of which a cell knows nothing, or something older."""
    there = [record for record in records if record is not None]
    return [each for each in there if (before := had[each.id]) is None or before.changed_ms < each.changed_ms]
