"""The next run of a thread, claimed before it is made: of several that are asked for at one moment, one is accepted.

The thread's name stands for the run before anything is made of that: whoever has seen the thread without it finds its name
changed, and is refused. If the run never comes to be, the claim ends by itself.
"""

from contextlib import suppress

from api.intake.problems import Code, Problem, from_broker_error
from api.routes.cells import Cells
from api.routes.naming import Standing, home_of
from broker.errors import BrokerError, OutcomeUnknown, StorageUnavailable
from broker.store import names
from broker.store.names import Name, Named


class Claim:
    """Of a name that was seen to stand so, for what comes behind the run `last`, the latest that is there, if there is one."""

    def __init__(self, cells: Cells, name: Name, seen: Standing, last: str | None, retention_ms: int) -> None:
        self._cells = cells
        self._redis = cells.services[home_of(cells)].coordination.redis
        self._name = name
        self._last = last
        self._retention_ms = retention_ms
        self._not_before_ms = 0 if seen.latest is None else seen.latest.made_ms + 1
        self._stood = seen.at_home
        self._claimed: Named | None = None

    async def take(self, id_: str) -> None:
        """Has the name stand for this one; again, for another, where a cell has refused the first. Raises Problem: 409 if the
        name stands for something else by now, 503."""
        stands = self._claimed or self._stood
        is_there = self._claimed is not None or stands is None or stands.id == self._last
        call = names.claim(
            self._name, stands, id_, self._last,
            is_there=is_there, not_before_ms=self._not_before_ms, retention_ms=self._retention_ms,
        )  # fmt: skip
        try:
            now = await call.run(self._redis)
        except BrokerError as error:
            raise from_broker_error(error) from None
        if now is None:  # Redis has lost it, or it has expired, between two looks
            raise from_broker_error(StorageUnavailable())
        if now.id != id_:
            raise Problem(Code.THREAD_BUSY, generation=now.id)
        self._claimed = now

    async def give_up(self) -> None:
        """Nothing was made. Where Redis is away the claim ends by itself."""
        if self._claimed is not None:
            with suppress(BrokerError):
                await names.release(self._name, self._claimed, self._stood).run(self._redis)

    async def keep(self, id_: str) -> str | None:
        """It was made: the name stands for it, at home and in its own cell. Or the name stands for this other one by now, whose
        claim found nothing made of ours until its end. Raises OutcomeUnknown if Redis does not take it."""
        assert self._claimed is not None
        call = names.give(self._name, Named(self._claimed.made_ms, id_), self._retention_ms)
        own = self._cells.of(id_).coordination.redis
        try:
            if not await call.run(self._redis) and (now := await names.look_up(self._redis, self._name)) is not None:
                return now.id
            if own is not self._redis:
                await call.run(own)
        except BrokerError:
            raise OutcomeUnknown(id_) from None
        return None
