"""Filing what has ended: by whoever ended it, and by a sweeper where that did not come to it.

A worker ends very many. Where one server plays both roles it ends and files each in one step (`Together`); where there are two,
it files them in batches (`InBatches`).
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import Final, Protocol

from broker.errors import BrokerError
from broker.record import TERMINAL, Ending
from broker.replies import Finished, Look
from broker.store import one_server
from broker.store.coordination import Coordination
from broker.store.logs import Logs

log = logging.getLogger("respool.indexes")

_BATCH: Final = 100
_GATHER_SECONDS: Final = 0.05
_MOST_WAITING: Final = 10_000
"""Ends that wait to be filed, while coordination does not answer: the oldest go, and a sweeper files them."""
_CLOSING_SECONDS: Final = 1.0


async def file_ended(logs: Logs, coordination: Coordination, ids: Sequence[str]) -> dict[str, Look | None]:
    """Looks at these records, and lists the generations that have ended under their final states and no other. Returns what it
    saw of the others, None where there is no record. May be repeated. Raises StorageUnavailable or StorageFull: what was not
    filed then a sweeper files, for indexes are hints and `due` has it still."""
    looks = await logs.looks(ids)
    ended = {id_: look for id_, look in looks.items() if look is not None and look.state in TERMINAL}
    if ended:
        await coordination.retire(ended)
    return {id_: look for id_, look in looks.items() if id_ not in ended}


class Ends(Protocol):
    """How a worker ends generations: what it ends is filed, at once or soon, its job cleared away with it."""

    async def finish(self, id_: str, attempt: int, seq: int, ending: Ending, job: str) -> Finished:
        """Writes the terminal entry, as `Logs.finish`; `job` is the name of the one that brought the generation here. May be
        repeated, and raises as that."""

    async def run(self) -> None:
        """Does what is to be done later, until it is cancelled."""

    async def close(self) -> None:
        """Does what is left of it, for a second at most."""


class Together:
    """One server plays both roles."""

    def __init__(self, logs: Logs, coordination: Coordination) -> None:
        self._logs = logs
        self._coordination = coordination

    async def finish(self, id_: str, attempt: int, seq: int, ending: Ending, job: str) -> Finished:
        finished = await one_server.conclude(id_, attempt, seq, ending, job, self._coordination.archive_after_ms).run(
            self._logs.redis
        )
        if finished.why == "ended" and finished.look is None:
            await _file(self._logs, self._coordination, id_)
        return finished

    async def run(self) -> None:
        """Nothing is left for later."""

    async def close(self) -> None:
        """Nothing is left."""


class InBatches:
    """There are two servers, and each may forget alone: an end that the logs take back is found by a second look at it."""

    def __init__(self, logs: Logs, coordination: Coordination) -> None:
        self._logs = logs
        self._coordination = coordination
        self._ended: dict[str, Look] = {}
        self._some = asyncio.Event()

    async def finish(self, id_: str, attempt: int, seq: int, ending: Ending, job: str) -> Finished:
        finished = await self._logs.finish(id_, attempt, seq, ending)
        if finished.look is not None:
            if len(self._ended) >= _MOST_WAITING:
                del self._ended[next(iter(self._ended))]
            self._ended[id_] = finished.look
            self._some.set()
        elif finished.why == "ended":
            await _file(self._logs, self._coordination, id_)
        return finished

    async def run(self) -> None:
        while True:
            await self._some.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            await self._batch()

    async def close(self) -> None:
        try:
            async with asyncio.timeout(_CLOSING_SECONDS):
                while self._ended:
                    await self._batch()
        except TimeoutError:
            log.warning("%d ends are not filed, the sweeper will see to it", len(self._ended))

    async def _batch(self) -> None:
        """What cannot be filed a sweeper files, for `due` has it still."""
        batch = dict(islice(self._ended.items(), _BATCH))
        try:
            await self._coordination.retire(batch)
        except BrokerError as error:
            log.warning("%d ends are not filed, the sweeper will see to it: %s", len(batch), error)
        for id_ in batch:
            self._ended.pop(id_, None)
        if not self._ended:
            self._some.clear()


async def _file(logs: Logs, coordination: Coordination, id_: str) -> None:
    """What had ended before; failing that, the sweeper files it."""
    with suppress(BrokerError):
        await file_ended(logs, coordination, [id_])
