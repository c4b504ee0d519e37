"""Nothing accepted is lost: `due` names every generation that has not ended, and when to look at it again. Each worker
takes what is overdue, and sees to it that it ends or is in somebody's hands."""

import asyncio
import logging
from dataclasses import dataclass

from broker.errors import BrokerError
from broker.replies import Look
from broker.store.agreement import Agreement
from broker.store.coordination import Coordination
from broker.store.indexes import file_ended
from broker.store.logs import Logs
from broker.store.webhooks import unlist

log = logging.getLogger("respool.sweeper")

_BATCH = 100
_LEASE_SLACK_MS = 50
_RESUME_SWEEPS = 10
"""Once in so many sweeps tenants that have all their slots are let take turns: a slot may have become free without a word."""
_MOST_RESUMED = 100
_ELSEWHERE_LOOK_MS = 20_000
"""Until the next look at what may be on another logs server: 7 days of these, for each generation that is lost there."""


@dataclass(frozen=True, slots=True)
class SweeperStatistics:
    """What a sweeper has done since its process began; all but `sweeps` and `unavailable` are numbers of generations."""

    sweeps: int
    unavailable: int
    """Sweeps that broke off because Redis was away."""
    overdue: int
    """Those that wait in the queue included."""
    filed: int
    """Had ended, and were listed under their end."""
    unlisted: int
    """Had no record any more, or never had one."""
    elsewhere: int
    """May have their record on another logs server."""
    leased: int
    """Were in an attempt's hands."""
    postponed: int
    """May not start yet."""
    enqueued: int
    """Were in nobody's hands, and went to the queue."""


class Sweeper:
    """`every` is seconds between looks, `again_ms` how long nobody else gets a generation that was looked at."""

    def __init__(
        self, logs: Logs, coordination: Coordination, agreement: Agreement, every: float, again_ms: int
    ) -> None:
        self._logs = logs
        self._coordination = coordination
        self._agreement = agreement
        self._every = every
        self._again_ms = again_ms
        self._sweeps = self._unavailable = self._overdue = 0
        self._filed = self._unlisted = self._elsewhere = self._leased = self._postponed = self._enqueued = 0

    def statistics(self) -> SweeperStatistics:
        return SweeperStatistics(
            sweeps=self._sweeps,
            unavailable=self._unavailable,
            overdue=self._overdue,
            filed=self._filed,
            unlisted=self._unlisted,
            elsewhere=self._elsewhere,
            leased=self._leased,
            postponed=self._postponed,
            enqueued=self._enqueued,
        )

    async def run(self) -> None:
        """Sweeps until cancelled."""
        while True:
            try:
                more = await self.sweep() == _BATCH
            except BrokerError as error:
                self._unavailable += 1
                log.warning("no sweep: %s", error)
                more = False
            await asyncio.sleep(0 if more else self._every)

    async def sweep(self) -> int:
        """One round; how many generations were overdue, those that wait in the queue included. None where the records are on
        another server: they are left to whoever finds them."""
        if self._agreement.apart:
            return 0
        if self._sweeps % _RESUME_SWEEPS == _RESUME_SWEEPS - 1:
            await self._coordination.resume(_MOST_RESUMED)
        self._sweeps += 1
        overdue, ids = await self._coordination.overdue(_BATCH, self._again_ms)
        self._overdue += overdue
        if ids:
            others = await file_ended(self._logs, self._coordination, ids)
            self._filed += len(ids) - len(others)
            await self._see_to(others)
        return overdue

    async def _see_to(self, looks: dict[str, Look | None]) -> None:
        """Sees to what has not ended."""
        if missing := [id_ for id_, look in looks.items() if look is None]:
            await self._see_to_missing(missing)
        alive = {id_: look for id_, look in looks.items() if look is not None}
        leased = {id_: look.lease_ms + _LEASE_SLACK_MS for id_, look in alive.items() if look.lease_ms}
        await self._coordination.look_again(leased)
        self._leased += len(leased)
        later = {id_: look.start_ms for id_, look in alive.items() if look.start_ms}
        await self._coordination.postpone(later)
        self._postponed += len(later)
        if idle := {id_: look for id_, look in alive.items() if id_ not in leased and id_ not in later}:
            # Those whose workers are dead: viewers are told before anybody has time for the next attempt.
            if running := [id_ for id_, look in idle.items() if look.state == "running"]:
                await self._logs.revoke_expired(running)
            await self._see_to_jobs(idle)

    async def _see_to_missing(self, ids: list[str]) -> None:
        # Submitted but never made (its API process died in between, so no client was told), or expired; or made elsewhere.
        lost = await self._agreement.lost(ids)
        elsewhere = set(ids) - set(lost)
        await self._coordination.look_again(dict.fromkeys(elsewhere, _ELSEWHERE_LOOK_MS))
        self._elsewhere += len(elsewhere)
        await unlist(self._logs, self._coordination, lost)
        self._unlisted += len(lost)

    async def _see_to_jobs(self, looks: dict[str, Look]) -> None:
        waiting = await self._coordination.waiting(looks)
        if lost := {id_: look for id_, look in looks.items() if id_ not in waiting}:
            for id_, look in lost.items():
                log.info("%s: attempt %d goes to the queue", id_, look.ordinal + 1)
            await self._coordination.enqueue_lost(lost)
            self._enqueued += len(lost)
            # They may have ended since the look, and then nobody would look again at what has just been put there.
            await self._coordination.look_again(dict.fromkeys(lost, self._again_ms))
