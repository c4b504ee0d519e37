"""The one subscription of an API process: bytes from Redis to the hub, with as little as possible in between.

redis-py's PubSub would do the same for three times the CPU; this is the token path. It reconnects for ever.
"""

import asyncio
import logging
from typing import Final, Protocol

from redis.exceptions import RedisError

from broker.store.address import address_of
from broker.store.wire import Wire, open_wire, packed

log = logging.getLogger("respool.subscription")

_LONGEST_PAUSE = 0.5
_PING: Final = packed(("PING",))


class Listener(Protocol):
    """Whom a Subscription tells."""

    def live_up(self) -> None:
        """Connected, nothing subscribed yet."""

    def live_down(self) -> None:
        """Whatever is published from now on is missed."""

    def subscribed(self, channel: bytes) -> None:
        """From here on nothing that is published on this channel is missed."""

    def published(self, channel: bytes, payload: bytes) -> None: ...

    def read(self) -> None:
        """All that had come when the socket was read has been told."""


class Subscription:
    """Run it as a task. `subscribe` and `unsubscribe` do nothing while it is down: `live_up` is when to subscribe anew."""

    def __init__(self, url: str, listener: Listener) -> None:
        self._address = address_of(url)
        self._listener = listener
        self._wire: _Wire | None = None

    async def run(self) -> None:
        pause = 0.0
        while True:
            try:
                wire = await self._connect()
                pause = 0.0
            except (OSError, TimeoutError, RedisError) as error:
                pause = min(_LONGEST_PAUSE, pause * 2 or 0.05)
                log.warning("live connection: %r", error)
                await asyncio.sleep(pause)
                continue
            self._wire = wire
            self._listener.live_up()
            try:
                await wire.lost.wait()
            finally:
                self._wire = None
                wire.close()
                self._listener.live_down()

    def subscribe(self, channel: bytes) -> None:
        if self._wire is not None:
            self._wire.send(packed(("SUBSCRIBE", channel)))

    def unsubscribe(self, channel: bytes) -> None:
        if self._wire is not None:
            self._wire.send(packed(("UNSUBSCRIBE", channel)))

    async def _connect(self) -> "_Wire":
        return await open_wire(self._address, lambda: _Wire(self._listener))


class _Wire(Wire):
    """The connection. Replies that are no messages answer the one exchange that may be open; what keeps it alive is a ping each
    tick."""

    tick_seconds = 2.0
    silent_ticks = 3

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self._listener = listener

    def data_received(self, data: bytes) -> None:
        self.silent = 0
        reader, published = self.reader, self._listener.published
        reader.feed(data)
        while (reply := reader.gets()) is not False:
            if type(reply) is list:
                if reply[0] == b"message":
                    published(reply[1], reply[2])
                elif reply[0] == b"subscribe":
                    self._listener.subscribed(reply[1])
            else:
                self.replied(reply)
        self._listener.read()

    def due(self) -> bool:
        self.send(_PING)
        return True
