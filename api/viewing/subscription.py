"""The one subscription of an API process: bytes from Redis to the hub, with as little as possible in between.

redis-py's PubSub would do the same for three times the CPU; this is the token path. It knows five commands and
reconnects for ever.
"""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from typing import Any, Protocol, cast

import hiredis
from redis.asyncio.connection import SSLConnection, parse_url

from broker.store.client import checks_hostname

log = logging.getLogger("respool.subscription")

_CONNECT_SECONDS = 2.0
_PING_EVERY = 2.0
_DEAD_AFTER = 6.0
"""A connection on which nothing came for so long, not even the answer to a ping, is half open or Redis is frozen."""
_LONGEST_PAUSE = 0.5


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
        self._url = url
        self._listener = listener
        self._wire: _Wire | None = None

    async def run(self) -> None:
        pause = 0.0
        while True:
            try:
                wire = await self._connect()
                pause = 0.0
            except (OSError, TimeoutError, hiredis.HiredisError) as error:
                pause = min(_LONGEST_PAUSE, pause * 2 or 0.05)
                log.warning("live connection: %r", error)
                await asyncio.sleep(pause)
                continue
            self._wire = wire
            self._listener.live_up()
            try:
                await wire.watch()
            finally:
                self._wire = None
                wire.close()
                self._listener.live_down()

    def subscribe(self, channel: bytes) -> None:
        if self._wire is not None:
            self._wire.send("SUBSCRIBE", channel)

    def unsubscribe(self, channel: bytes) -> None:
        if self._wire is not None:
            self._wire.send("UNSUBSCRIBE", channel)

    async def _connect(self) -> "_Wire":
        where = parse_url(self._url)
        loop = asyncio.get_running_loop()
        secure = _tls(where) if where.get("connection_class") is SSLConnection else None
        async with asyncio.timeout(_CONNECT_SECONDS):
            if "path" in where:
                _, wire = await loop.create_unix_connection(lambda: _Wire(self._listener), where["path"])
            else:
                _, wire = await loop.create_connection(
                    lambda: _Wire(self._listener), where.get("host", "localhost"), where.get("port", 6379), ssl=secure
                )
            if (password := where.get("password")) is not None:
                user = (where["username"],) if where.get("username") else ()
                await wire.ask("AUTH", *user, password)
            await wire.ask("ECHO", "")  # a Redis whose disk is full refuses PING
        return wire


class _Wire(asyncio.Protocol):
    """One connection. Replies that are no messages answer the one `ask` that may be open."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()
        self._answer: asyncio.Future[object] | None = None
        self._heard = 0.0
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._heard = self._loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost.set()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("Redis closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        reader, published = self._reader, self._listener.published
        reader.feed(data)
        while (reply := reader.gets()) is not False:
            if type(reply) is list:
                if reply[0] == b"message":
                    published(reply[1], reply[2])
                elif reply[0] == b"subscribe":
                    self._listener.subscribed(reply[1])
            elif self._answer is not None and not self._answer.done():
                self._answer.set_result(reply)
        self._listener.read()

    async def ask(self, *words: str) -> None:
        """Sends a command before anything is subscribed. Raises its error."""
        self._answer = self._loop.create_future()
        self.send(*words)
        reply = await self._answer
        if isinstance(reply, Exception):
            raise reply

    def send(self, *words: str | bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(hiredis.pack_command(words))  # type: ignore[arg-type]

    async def watch(self) -> None:
        """Pings until the connection is lost or nothing comes back."""
        while not self._lost.is_set() and self._loop.time() - self._heard < _DEAD_AFTER:
            self.send("PING")
            try:
                async with asyncio.timeout(_PING_EVERY):
                    await self._lost.wait()
            except TimeoutError:
                continue

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _tls(where: Mapping[str, Any]) -> ssl.SSLContext:
    """TLS as our pool has it by the same URL, so that both connections succeed or fail together."""
    context = ssl.create_default_context(cafile=where.get("ssl_ca_certs"))
    context.check_hostname = checks_hostname(where)
    needs = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL}
    context.verify_mode = needs.get(str(where.get("ssl_cert_reqs", "required")).lower(), ssl.CERT_REQUIRED)
    if (certificate := where.get("ssl_certfile")) is not None:
        context.load_cert_chain(certificate, where.get("ssl_keyfile"))
    return context
