"""The live connection of an API process: bytes from Redis to the hub, with as little as possible in between.

redis-py's PubSub would do the same for three times the CPU; this is the token path. It reconnects for ever.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final, Protocol

from redis.crc import key_slot
from redis.exceptions import RedisError

from broker.store.address import address_of
from broker.store.topology import Topology, is_cluster
from broker.store.wire import Wire, open_wire, packed

log = logging.getLogger("respool.subscription")

_LONGEST_PAUSE = 0.5
_LOOK_SECONDS: Final = 1.0
_PING: Final = packed(("PING",))


class Listener(Protocol):
    """Whom a Subscription tells."""

    def live_up(self) -> None:
        """There is a connection, or one more. What was known before it may not be so any more."""

    def lost(self, channels: Collection[bytes]) -> None:
        """Whatever is published on these from now on is missed, until they are subscribed again."""

    def subscribed(self, channel: bytes) -> None:
        """From here on nothing that is published on this channel is missed."""

    def published(self, channel: bytes, payload: bytes) -> None: ...

    def read(self) -> None:
        """All that had come when the socket was read has been told."""


class Subscription:
    """To one server. Run it as a task; what is subscribed while there is no connection is subscribed when there is one. Each
    server of a cluster has its own channels: those of its slots."""

    def __init__(self, url: str, listener: Listener) -> None:
        self._address = address_of(url)
        self._listener = listener
        self._wire: _Wire | None = None
        self.channels: set[bytes] = set()

    @property
    def up(self) -> bool:
        """Whether there is a connection."""
        return self._wire is not None

    async def run(self) -> None:
        pause = 0.0
        while True:
            try:
                wire = await open_wire(self._address, lambda: _Wire(self._listener, self._left))
                pause = 0.0
            except (OSError, RedisError) as error:
                pause = min(_LONGEST_PAUSE, pause * 2 or 0.05)
                log.warning("live connection: %r", error)
                await asyncio.sleep(pause)
                continue
            self._wire = wire
            self._listener.live_up()
            self.subscribe_anew(self.channels)
            try:
                await wire.lost.wait()
            finally:
                self._wire = None
                wire.close()
                self._listener.lost(self.channels)

    def subscribe(self, channel: bytes) -> None:
        self.channels.add(channel)
        self.subscribe_anew([channel])

    def subscribe_anew(self, channels: Collection[bytes]) -> None:
        """Asks once more for what was subscribed; the listener is told again."""
        if self._wire is not None and channels:
            self._wire.send(b"".join([packed(("SSUBSCRIBE", channel)) for channel in channels]))

    def unsubscribe(self, channel: bytes) -> None:
        self.channels.discard(channel)
        if self._wire is not None:
            self._wire.send(packed(("SUNSUBSCRIBE", channel)))

    def _left(self, channel: bytes) -> None:
        """The server publishes it no more, by our wish or because its slot has another server."""
        if channel in self.channels:
            self._listener.lost([channel])
            self.subscribe_anew([channel])


class _Wire(Wire):
    """The connection. Replies that are no messages answer the one exchange that may be open; what keeps it alive is a ping each
    tick."""

    tick_seconds = 2.0
    silent_ticks = 3

    def __init__(self, listener: Listener, left: Callable[[bytes], None]) -> None:
        super().__init__()
        self._listener = listener
        self._left = left

    def data_received(self, data: bytes) -> None:
        self.silent = 0
        reader, published = self.reader, self._listener.published
        reader.feed(data)
        while (reply := reader.gets()) is not False:
            if type(reply) is list:
                if reply[0] == b"smessage":
                    published(reply[1], reply[2])
                elif reply[0] == b"ssubscribe":
                    self._listener.subscribed(reply[1])
                elif reply[0] == b"sunsubscribe":
                    self._left(reply[1])
            else:
                self.replied(reply)
        self._listener.read()

    def due(self) -> bool:
        self.send(_PING)
        return True


class ClusterSubscription:
    """To the primaries of a cluster, a connection to each. Run it as a task. A channel is subscribed where its slot is; when
    that changes it is lost, and subscribed where it is then."""

    def __init__(self, url: str, listener: Listener) -> None:
        self._topology = Topology(url)
        self._listener = listener
        self._servers: dict[str, tuple[Subscription, asyncio.Task[None]]] = {}
        self._where: dict[bytes, str | None] = {}
        self._heard: set[bytes] = set()
        self._look = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None

    @property
    def up(self) -> bool:
        return bool(self._servers) and all(server.up for server, _ in self._servers.values())

    def subscribe(self, channel: bytes) -> None:
        self._where[channel] = None
        self._settle(channel)

    def unsubscribe(self, channel: bytes) -> None:
        self._heard.discard(channel)
        if (place := self._where.pop(channel, None)) in self._servers:
            self._servers[place][0].unsubscribe(channel)

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as self._group:
                while True:
                    await self._follow()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_SECONDS):
                            await self._look.wait()
        finally:
            self._topology.close()

    async def _follow(self) -> None:
        """Looks where the slots are, has each channel there, and asks again for those that are not heard."""
        self._look.clear()
        await self._topology.refresh()
        for channel in list(self._where):
            self._settle(channel)
        for server, _ in self._servers.values():
            server.subscribe_anew(server.channels - self._heard)
        for place in self._servers.keys() - self._topology.primaries:
            self._servers.pop(place)[1].cancel()

    def _settle(self, channel: bytes) -> None:
        before, place = self._where[channel], self._topology.of(key_slot(channel))
        if place is None or place == before:
            return
        if before in self._servers:
            self._servers[before][0].unsubscribe(channel)
        if channel in self._heard:
            self.lost([channel])
        self._where[channel] = place
        self._server(place).subscribe(channel)

    def _server(self, place: str) -> Subscription:
        if place not in self._servers:
            assert self._group is not None, "slots are known to who runs"
            server = Subscription(self._topology.url(place), self)
            self._servers[place] = server, self._group.create_task(server.run())
        return self._servers[place][0]

    # -- a listener between each server and ours

    def live_up(self) -> None:
        self._listener.live_up()

    def lost(self, channels: Collection[bytes]) -> None:
        """Perhaps because its slot has moved: that is looked for at once."""
        self._heard.difference_update(channels)
        self._listener.lost(channels)
        self._look.set()

    def subscribed(self, channel: bytes) -> None:
        if channel in self._where:
            self._heard.add(channel)
        self._listener.subscribed(channel)

    def published(self, channel: bytes, payload: bytes) -> None:
        self._listener.published(channel, payload)

    def read(self) -> None:
        self._listener.read()


def subscription_to(url: str, listener: Listener) -> Subscription | ClusterSubscription:
    """To the Redis, or the cluster, of this URL."""
    return ClusterSubscription(url, listener) if is_cluster(url) else Subscription(url, listener)
