"""Who has which streams open in this process: how many a key, a generation and an address have, and which to close when what
let their viewers in has ended.

No viewer has a timer here, and nothing is done per token: every half a second each key that has streams open is asked about,
once, however many viewers it has. A viewer who was not asked who it is, and is not counted, is not known here at all.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final, Literal

from api.access.gate import Principal
from api.viewing.stream_limits import NO_LIMITS, StreamLimits
from broker.vocabulary import ClosedReason

_EVERY_SECONDS: Final = 0.5
_NETWORK: Final = 64
"""Bits of an address of IPv6 that are counted as one: who has one has the rest of them too."""
Full = Literal["key", "generation", "address"]


class Closed(Exception):
    """What let in whoever waits has ended meanwhile."""


class Admission:
    """An open stream, of somebody. `close` ends it, from outside."""

    __slots__ = ("address", "close", "id", "key")

    def __init__(self, key: str, id_: str, address: str, close: Callable[[ClosedReason], None]) -> None:
        self.key = key
        self.id = id_
        self.address = address
        self.close = close


class _Standing:
    """One key, or view link, that has streams open."""

    __slots__ = ("connections", "streams", "who")

    def __init__(self, who: Principal) -> None:
        self.who = who
        self.streams: dict[Admission, None] = {}
        self.connections: dict[Admission, None] = {}


class Admissions:
    """Of one process. Run it as a task."""

    def __init__(self, limits: StreamLimits = NO_LIMITS) -> None:
        self._limits = limits
        self._counts = bool(limits.per_generation or limits.per_address)
        self._standing: dict[str, _Standing] = {}
        self._generations: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()

    def full(self, who: Principal, id_: str) -> Full | None:
        """What has as many streams open as it may, so that this one would be one too many."""
        limits = self._limits
        standing = self._standing.get(who.key) if limits.per_key else None
        if standing is not None and len(standing.streams) >= limits.per_key:
            return "key"
        if limits.per_generation and self._generations[id_] >= limits.per_generation:
            return "generation"
        if limits.per_address and who.address and self._addresses[counted(who.address)] >= limits.per_address:
            return "address"
        return None

    def enter(self, who: Principal, id_: str, close: Callable[[ClosedReason], None]) -> Admission | None:
        """A stream has been opened, to be given back to `leave`. None if nothing need be known of it."""
        if not who.key and not self._counts:
            return None
        admission = Admission(who.key, id_, counted(who.address) if who.address else "", close)
        if who.key:
            self._of(who).streams[admission] = None
        if self._counts:
            self._generations[id_] += 1
            if admission.address:
                self._addresses[admission.address] += 1
        return admission

    def connect(self, who: Principal, close: Callable[[ClosedReason], None]) -> Admission | None:
        """A connection has been opened that may carry streams, and is none itself: to be given back to `leave`. None if nothing
        need be known of it."""
        if not who.key:
            return None
        admission = Admission(who.key, "", "", close)
        self._of(who).connections[admission] = None
        return admission

    def _of(self, who: Principal) -> _Standing:
        standing = self._standing.get(who.key)
        if standing is None:
            standing = self._standing[who.key] = _Standing(who)
        return standing

    def leave(self, admission: Admission | None) -> None:
        """It has ended, for whatever reason. Once for each."""
        if admission is None:
            return
        standing = self._standing.get(admission.key)
        if standing is not None:
            standing.streams.pop(admission, None)
            standing.connections.pop(admission, None)
            if not standing.streams and not standing.connections:
                del self._standing[admission.key]
        if self._counts and admission.id:
            _less(self._generations, admission.id)
            _less(self._addresses, admission.address)

    async def run(self, holds: Callable[[Principal], bool]) -> None:
        """Closes, until cancelled, what does not hold any more: `holds` is the gate's."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            self.review(holds, time.time() * 1000)

    def review(self, holds: Callable[[Principal], bool], now_ms: float) -> None:
        """Closes all streams of whoever would not be let in now."""
        for standing in list(self._standing.values()):
            who = standing.who
            ended = who.expires_ms is not None and who.expires_ms <= now_ms
            if ended or not holds(who):
                for admission in (*standing.streams, *standing.connections):
                    admission.close("expired" if ended else "revoked")


def _less(counter: Counter[str], name: str) -> None:
    if counter[name] > 1:
        counter[name] -= 1
    else:
        counter.pop(name, None)


@lru_cache(maxsize=4096)
def counted(address: str) -> str:
    """As what an address is counted."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return f"{int(found) >> (128 - _NETWORK):x}/{_NETWORK}"
    return str(found)
