"""Whether APIs and workers keep logs on one server: `RESPOOL_LOGS_URL` may name different ones by mistake.

Each logs server has an identity, a key that every process there restores. Each process announces it in coordination under
its role, and hears what the other role announces. While the other role lives and no process of it has this identity, this one
is `apart`: an API accepts nothing, a worker takes nothing. It stays, for a move of the logs restarts one role after the other.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final, Literal, cast

from arq.connections import ArqRedis

from broker import keys
from broker.errors import BrokerError
from broker.store import coordination_steps
from broker.store.client import storage_errors

log = logging.getLogger("respool.agreement")

Role = Literal["api", "worker"]

_EVERY_SECONDS = 5.0
_SOON_SECONDS = 0.5
_OTHER: Final[dict[Role, Role]] = {"api": "worker", "worker": "api"}
_PATIENCE: Final[dict[Role, float]] = {"api": 15.0, "worker": 0.0}
"""Seconds: what was accepted meanwhile waits, but a worker must not take what it will not find."""
_APART: Final[dict[Role, str]] = {
    "api": "the workers keep logs on another server: nothing is accepted until RESPOOL_LOGS_URL is the same for both",
    "worker": "the APIs keep logs on another server: no job is taken until RESPOOL_LOGS_URL is the same for both",
}


@dataclass(frozen=True, slots=True)
class Heard:
    """Identities: that of our logs server, those where the other role works now, those where APIs did in the last 7 days."""

    ours: str
    live: frozenset[str]
    remembered: frozenset[str]

    @property
    def differs(self) -> bool:
        """The other role lives, and no process of it works on our logs server."""
        return bool(self.live) and self.ours not in self.live

    @property
    def elsewhere(self) -> bool:
        """A generation whose record is not on our logs server may have it on another."""
        return not self.remembered <= {self.ours}


class Agreement:
    """Run it as a task, after a first `beat`. `apart` is what the process goes by. `hears`: whether both servers answered when
    they were asked last; who finds out sooner that one does not may say so."""

    def __init__(
        self, role: Role, logs: ArqRedis, coordination: ArqRedis, clock: Callable[[], float] = monotonic
    ) -> None:
        self.apart = False
        self.hears = True
        self._role: Role = role
        self._logs = logs
        self._coordination = coordination
        self._clock = clock
        self._identity: str | None = None
        self._differs_since: float | None = None

    async def run(self) -> None:
        """Announces every 5 s, until cancelled."""
        while True:
            announced = await self.beat()
            await asyncio.sleep(_EVERY_SECONDS if announced else _SOON_SECONDS)

    async def beat(self) -> bool:
        """Restores the identity, announces it and hears the others. False if coordination could not be asked, or it is not
        known yet what logs server this is: then all is as it was."""
        identified = False
        with suppress(BrokerError):
            await self._identify()
            identified = True
        try:
            await self._hear()
        except BrokerError:
            self.hears = False
            return False
        self.hears = identified
        return True

    async def lost(self, ids: Sequence[str]) -> list[str]:
        """Which of these generations, whose records our logs server does not have, are on no other either: those that it
        remembers, and all, unless an API worked on another in the last 7 days. Asks anew. Raises StorageUnavailable."""
        heard = await self._hear()
        if not heard.elsewhere:
            return list(ids)
        with storage_errors():
            pipe = self._logs.pipeline(transaction=False)
            for id_ in ids:
                pipe.exists(keys.tombstone(id_))
            known = await pipe.execute()
        return [id_ for id_, remembered in zip(ids, known, strict=True) if remembered]

    async def _identify(self) -> str:
        """The identity that the logs server has now: ours, where it has none (any more)."""
        drawn = self._identity or secrets.token_hex(16)
        with storage_errors():
            pipe = self._logs.pipeline(transaction=True)
            pipe.set(keys.IDENTITY, drawn, nx=True, px=keys.INDEX_MS)
            pipe.getex(keys.IDENTITY, px=keys.INDEX_MS)
            _, there = await pipe.execute()
        self._identity = cast(bytes, there).decode()
        return self._identity

    async def _hear(self) -> Heard:
        ours = self._identity or await self._identify()
        reply = await coordination_steps.announce(ours, self._role, _OTHER[self._role]).run(self._coordination)
        heard = Heard(ours, reply.live, reply.remembered)
        self._judge(heard)
        return heard

    def _judge(self, heard: Heard) -> None:
        now = self._clock()
        since = self._differs_since if self._differs_since is not None else now
        apart = heard.differs and now - since >= _PATIENCE[self._role]
        self._differs_since = since if heard.differs else None
        if apart and not self.apart:
            log.error(_APART[self._role])
        elif self.apart and not apart:
            log.info("APIs and workers keep logs on one server again")
        self.apart = apart
