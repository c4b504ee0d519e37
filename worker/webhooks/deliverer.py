"""Delivers webhooks: takes what is due, a few at a time, tries each once, and notes what came of it. Each worker does.

    1  it is taken: nobody else gets it for as long as a try may last, and some seconds
    2  what is to be told is read; a strictly durable end waits until it is safe
    3  it is told
    4  the record says what came of it, and when the next try is; what has been told, or will not be, is put aside no longer
    5  coordination has the time of the next look. It comes some seconds after the last try too: Redis may have taken 4 back

Whoever dies between any two of these leaves it to the next one who finds it due.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from standardwebhooks import Webhook

from broker.errors import BrokerError, ExpiredGeneration, UnknownGeneration
from broker.store.agreement import Agreement
from broker.store.logs import Logs
from broker.store.strict_end import StrictEnds
from broker.store.webhooks import Untold, Webhooks
from broker.webhooks import Delivery, host_of
from worker.webhooks.message import message
from worker.webhooks.posting import Answer, Poster
from worker.webhooks.schedule import pause

log = logging.getLogger("respool.webhooks")

AT_ONCE: Final = 32
_EVERY_SECONDS: Final = 0.5
_LEASE_SLACK_SECONDS: Final = 5.0
"""For what a try does with Redis."""
_EARLY_MS: Final = 500
"""So much before its time a try may be made."""
_DOUBT_MS: Final = 10_000
_SAFE_SECONDS: Final = 3.0
_UNSAFE_LOOK_MS: Final = 1000
_LAPSED: Final = Delivery("failed", 0, None, "lapsed")


@dataclass(frozen=True, slots=True)
class DelivererStatistics:
    """What a deliverer has done since its process began."""

    delivering: int
    """Under way now."""
    tries: int
    delivered: int
    failed: int
    """Given up."""
    unavailable: int
    """Times that Redis was away."""


class Deliverer:
    """Run it as a task. `signers`: one for each secret; `seconds`: how long a try may take."""

    def __init__(
        self,
        logs: Logs,
        webhooks: Webhooks,
        agreement: Agreement,
        poster: Poster,
        signers: Sequence[Webhook],
        seconds: float,
    ) -> None:
        self._logs = logs
        self._webhooks = webhooks
        self._agreement = agreement
        self._poster = poster
        self._signers = signers
        self._strict_ends = StrictEnds(logs)
        self._lease_ms = round((seconds + _LEASE_SLACK_SECONDS) * 1000)
        self._under_way: set[asyncio.Task[None]] = set()
        self._tries = self._delivered = self._failed = self._unavailable = 0

    def statistics(self) -> DelivererStatistics:
        return DelivererStatistics(len(self._under_way), self._tries, self._delivered, self._failed, self._unavailable)

    async def run(self) -> None:
        """Looks twice a second, until cancelled: then what is under way ends, and is left to others."""
        try:
            while True:
                try:
                    more = await self.look() == AT_ONCE
                except BrokerError as error:
                    self._unavailable += 1
                    log.warning("no webhooks: %s", error)
                    more = False
                await asyncio.sleep(0 if more else _EVERY_SECONDS)
        finally:
            self._strict_ends.cancel()
            for task in self._under_way:
                task.cancel()
            await self.settled()

    async def look(self) -> int:
        """Begins what is due, as far as there is room; how many. None where the records are on another server. Raises
        StorageUnavailable or StorageFull."""
        room = AT_ONCE - len(self._under_way)
        if room <= 0 or self._agreement.apart:
            return 0
        until_ms, ids = await self._webhooks.due(room, self._lease_ms)
        for id_ in ids:
            task = asyncio.get_running_loop().create_task(self._deliver(id_, until_ms))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return len(ids)

    async def settled(self) -> None:
        """Returns when nothing is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def _deliver(self, id_: str, until_ms: int) -> None:
        try:
            await self._webhooks.next_in(id_, until_ms, await self._try(id_))
        except BrokerError as error:
            self._unavailable += 1
            log.warning("%s: its webhook is tried again: %s", id_, error)

    async def _try(self, id_: str) -> int | None:
        """Does what is to be done now; ms until the next look, None: there is none."""
        untold = await self._webhooks.untold(id_)
        if untold is None:
            await self._lapse(id_)
            return None
        if untold.wait_ms > _EARLY_MS:
            return untold.wait_ms
        if untold.record.unconfirmed:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SAFE_SECONDS):
                    await self._strict_ends.safe(id_, untold.end)
            if not await self._stands(id_, untold):
                return _UNSAFE_LOOK_MS
        assert untold.record.hook is not None
        url, told = untold.record.hook.url, message(untold.record)
        self._tries += 1
        answer = await self._poster.post(url, told.headers(self._signers, datetime.now(UTC)), told.body)
        delivery, again_ms = judged(answer, untold.tries + 1, random.random())
        if not await self._webhooks.tried(id_, untold.end, delivery, again_ms):
            return 0  # there is another end to tell, or it is to be told anew
        self._count(delivery)
        if delivery.last_error is not None:
            log.info(
                "%s: webhook to %s: %s, %s, after %d tries",
                id_, host_of(url), delivery.last_error, delivery.state, delivery.tries,
            )  # fmt: skip
        return _DOUBT_MS if again_ms is None else again_ms

    async def _stands(self, id_: str, untold: Untold) -> bool:
        """Whether this strictly durable end is safe, and still what is to be told."""
        with suppress(UnknownGeneration, ExpiredGeneration):  # it has stood for as long as it was kept
            record = await self._logs.record(id_)
            if record.terminal_id != untold.end or record.unconfirmed:
                return False
        return True

    async def _lapse(self, id_: str) -> None:
        """There is nothing to tell: it was told, or there was no worker for so long that it has gone."""
        with suppress(UnknownGeneration, ExpiredGeneration):
            record = await self._logs.record(id_)
            webhook = record.webhook
            if record.terminal_id is not None and webhook is not None and webhook.state == "pending":
                lapsed = replace(_LAPSED, tries=webhook.tries, last_status=webhook.last_status)
                if await self._webhooks.lapsed(id_, record.terminal_id, lapsed):
                    self._failed += 1

    def _count(self, delivery: Delivery) -> None:
        self._delivered += delivery.state == "delivered"
        self._failed += delivery.state == "failed"


def judged(answer: Answer, tries: int, chance: float) -> tuple[Delivery, int | None]:
    """What has become of a webhook whose try number `tries` came to this answer, and ms until the next try. Pure."""
    if answer.trouble is None:
        return Delivery("delivered", tries, answer.status), None
    seconds = None if answer.trouble == "gone" else pause(tries, answer.retry_after, chance)
    state = Delivery("failed" if seconds is None else "pending", tries, answer.status, answer.trouble)
    return state, None if seconds is None else round(seconds * 1000)
