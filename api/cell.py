"""One cell of an API process: its connections to the two roles of Redis, its hub, and the tasks of both.

Nothing here is shared between cells but what is not Redis: turns of the loop, the archive. So a cell that is away holds up its
own generations alone.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import Final

from api.access.linked import Revoked
from api.access.links import Links
from api.intake.lookout import Lookout
from api.routes.service import Service
from api.settings import ApiSettings
from api.viewing.admissions import Admissions
from api.viewing.erasures import Erasures
from api.viewing.hub import Hub
from api.viewing.revoked_links import RevokedLinks
from broker.aside import Aside
from broker.cells import Cell
from broker.placing import Weights
from broker.store.accepting import Submissions
from broker.store.agreement import Agreement
from broker.store.client import connect
from broker.store.cluster import connect_logs
from broker.store.coordination import Coordination
from broker.store.derived import Derivation
from broker.store.key_proof import vault_with
from broker.store.limiting import Limiter
from broker.store.links import LinkStore
from broker.store.logs import Logs
from broker.store.recovery import put_back
from broker.store.revocations import listen
from broker.store.shares import Shares
from broker.store.shelf import Shelf
from broker.store.waits import Waits
from broker.turns import Turns

_FIRST_SECONDS: Final = 3.0


class OpenCell:
    """`settings` are the process's, with the cell's own URLs; `weights` those of all cells. To be made in the loop; `begin` it,
    and at last `end` it."""

    def __init__(
        self, cell: Cell, weights: Weights, settings: ApiSettings, shelf: Shelf | None, turns: Turns, aside: Aside,
        bounds: Mapping[str, object], admissions: Admissions, links: Links, revoked: Revoked,
    ) -> None:  # fmt: skip
        settings = settings.of(cell)
        coordination_redis, logs_redis = connect(settings.redis_url), connect_logs(settings.effective_logs_url)
        vault = vault_with(settings.key_service(), coordination_redis)
        logs = Logs(logs_redis, shelf, vault=vault)
        coordination = Coordination(coordination_redis, settings.archive_after_ms)
        self._shelf = shelf
        self._lookout = Lookout(partial(put_back, logs, coordination)) if settings.two_servers else None
        watch = self._lookout.watch if self._lookout else _nothing
        waits = Waits(coordination, settings.tenant_shares)
        limiter = Limiter(coordination_redis, lambda owner: settings.limits_of(owner).in_cell(weights, cell.number))
        submissions = Submissions(
            logs, coordination, round(settings.pickup_grace * 1000), settings.retention,
            Derivation(logs_redis, cell.number) if settings.two_servers else None, watch, cell.number,
            round(settings.background_delay * 1000), settings.queue_limit, waits, settings.all_tenants, settings.keyed,
            limiter.of,
        )  # fmt: skip
        hub = Hub(logs, coordination, settings, watch, turns, admissions)
        agreement = Agreement("api", logs_redis, coordination_redis)
        self.service = Service(
            logs, coordination, submissions, hub, agreement, limiter, settings.trust, aside, bounds, cell.number
        )
        self._erasures = Erasures(self.service.erasing, self._erased, self._may_have_erased)
        self._links = RevokedLinks(cell.number, LinkStore(coordination_redis), links, revoked)
        self.shares = Shares(coordination_redis, weights)
        self._clients = (coordination_redis, logs_redis)
        self._running: set[asyncio.Task[None]] = set()

    async def begin(self, revoked: Callable[[str | None], object]) -> None:
        """Says where it keeps its logs and how it shares submits out, and starts the tasks, which say it again: a Redis that
        does not answer holds up the start for a moment only. `revoked` is told of API keys, as `listen` tells."""

        def tell(message: str | None) -> None:
            revoked(message)
            self._links.heard(message)

        service = self.service
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_SECONDS):
                await asyncio.gather(service.agreement.beat(), self.shares.beat(), self._links.begin())
        runners = [
            each.run()
            for each in (service.hub, service.agreement, self.shares, self._links, self._lookout, self._erasures)
            if each is not None
        ]
        runners.append(listen(service.coordination.redis, tell))
        self._running = {asyncio.create_task(run) for run in runners}

    def _erased(self, ids: Collection[str]) -> None:
        self.service.hub.erased(ids)
        for id_ in ids:
            self.service.logs.vault.forget(id_)
        if self._shelf is not None:
            for id_ in ids:
                self._shelf.forget(id_)

    def _may_have_erased(self) -> None:
        self.service.hub.may_have_erased()
        if self._shelf is not None:
            self._shelf.forget_all(self.service.cell)

    async def end(self) -> None:
        """Ends the tasks, and closes the connections."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)
        if self._lookout is not None:
            await self._lookout.close()
        for client in self._clients:
            await client.aclose(close_connection_pool=True)


def _nothing(_: str) -> None:
    """What one server has accepted, it has with its place."""
