"""What a process knows of view links that were revoked: it is told of each at once, reads anew every 5 s what it may not have
heard, and has the secret that signs links where none is set. Redis being away, a link is good until it ends.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from api.access.linked import Revoked
from api.access.links import Links
from broker import keys
from broker.errors import BrokerError
from broker.store.links import LinkStore, parsed

log = logging.getLogger("respool.links")

_EVERY_SECONDS: Final = 5.0
_OVERLAP_MS: Final = 60_000
"""What was noted in so long before the last read is read again: Redis' clock may have been set back."""


class RevokedLinks:
    """Of one cell. Run it as a task."""

    def __init__(self, cell: int, store: LinkStore, links: Links, revoked: Revoked) -> None:
        self._cell = cell
        self._store = store
        self._links = links
        self._revoked = revoked
        self._since = 0
        self._knows_secret = not links.learns

    async def begin(self) -> None:
        """Knows what was revoked before anybody is let in, unless Redis does not tell."""
        with suppress(BrokerError):
            await self.read()

    async def read(self) -> None:
        """What has been revoked since the last time, or, behind a failure, at all. Raises BrokerError."""
        since, self._since = self._since, 0
        if not self._knows_secret:
            self._links.learn(self._cell, await self._store.secret())
            self._knows_secret = True
        now_ms = await self._store.now_ms()
        for name, at_ms in await self._store.revoked(since):
            self._revoked.note(name, at_ms)
        self._revoked.forget_before(now_ms - keys.LINKS_REVOKED_MS)
        self._since = max(1, now_ms - _OVERLAP_MS)

    def heard(self, message: str | None) -> None:
        """What was published; None: it may have been missed, and is read a little later."""
        if message is not None and (found := parsed(message)) is not None:
            self._revoked.note(*found)

    async def run(self) -> None:
        """Reads until cancelled."""
        while True:
            try:
                await self.read()
            except BrokerError as error:
                log.warning("links that were revoked are not read: %s", error)
            await asyncio.sleep(_EVERY_SECONDS)
