"""Which server of a Redis Cluster has which slot, found out by a wire of our own.

redis+cluster://user:password@host:port,host:port     some of the servers; the others are found through them
rediss+cluster://…                                    the same over TLS
"""

import asyncio
import logging
from typing import Any, Final

from redis.crc import REDIS_CLUSTER_HASH_SLOTS
from redis.exceptions import RedisError

from broker.store.address import address_of
from broker.store.wire import Wire, open_wire

log = logging.getLogger("respool.topology")

SCHEMES: Final = ("redis+cluster://", "rediss+cluster://")
_ASK_SECONDS: Final = 1.0


def is_cluster(url: str) -> bool:
    """Whether the URL names a cluster."""
    return url.startswith(SCHEMES)


class Topology:
    """Places are `host:port`. `of` is what was known last; `refresh` asks anew."""

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        login, _, where = rest.rpartition("@")
        hosts, mark, query = where.partition("?")
        self._begin = f"{scheme.removesuffix('+cluster')}://{login}{'@' if login else ''}"
        self._end = "/0" + mark + query
        self._seeds = hosts.removesuffix("/0").removesuffix("/").split(",")
        self._slots: list[str | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self.primaries: frozenset[str] = frozenset()
        """Who has any slot."""
        self.is_none = False
        """Whether a server has said that it is no cluster."""
        self._turn = 0
        self._refreshing: asyncio.Task[bool] | None = None
        self._wires: dict[str, Wire] = {}

    def of(self, slot: int) -> str | None:
        """Who has the slot, as far as we know."""
        return self._slots[slot]

    def url(self, place: str) -> str:
        """How to connect to it."""
        return f"{self._begin}{place}{self._end}"

    async def refresh(self) -> bool:
        """Asks one server after the other until one answers, each for a second at most; whether anything has changed. Whoever
        comes while it asks gets the same answer."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
        return await asyncio.shield(self._refreshing)

    async def _refresh(self) -> bool:
        asked = sorted(self.primaries | set(self._seeds))
        self._turn += 1
        for number in range(len(asked)):
            place = asked[(self._turn + number) % len(asked)]
            try:
                async with asyncio.timeout(_ASK_SECONDS):
                    found = await self._ask(place)
            except (OSError, RedisError) as error:
                self.is_none |= "cluster support disabled" in str(error)
                log.debug("%s does not tell who has which slot: %s", place, type(error).__name__)
                self._drop(place)
                continue
            if found.count(None) == len(found):
                continue
            changed, self._slots, self.is_none = found != self._slots, found, False
            self.primaries = frozenset(place for place in found if place is not None)
            return changed
        return False

    async def _ask(self, place: str) -> list[str | None]:
        wire = self._wires.get(place)
        if wire is None or wire.lost.is_set():
            wire = self._wires[place] = await open_wire(address_of(self.url(place)), Wire)
        slots: list[str | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        rows: list[list[Any]] = await wire.ask("CLUSTER", "SLOTS")
        for first, last, (host, port, *_), *_ in rows:
            # A server that does not know its own name means: where you have asked.
            owner = f"{host.decode()}:{port}" if host else f"{place.rpartition(':')[0]}:{port}"
            slots[first : last + 1] = [owner] * (last + 1 - first)
        return slots

    def _drop(self, place: str) -> None:
        if (wire := self._wires.pop(place, None)) is not None:
            wire.close()

    def close(self) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
        for place in list(self._wires):
            self._drop(place)
