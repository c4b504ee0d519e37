"""A connection to Redis of our own, for the token path: commands are bytes that are ready, replies come in order, and nothing
stands between them and the socket. Everything else goes through redis-py (client.py).
"""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Final, TypeVar, cast

import hiredis
from redis.exceptions import ResponseError

from broker.refusals import SilentError
from broker.store.address import Address, Guided, checks_hostname

_CONNECT_SECONDS: Final = 2.0


class Wire(asyncio.Protocol):
    """One connection. One timer of it looks whether what is due comes; no command has one of its own."""

    tick_seconds = 1.0
    silent_ticks = 4
    """A connection on which something is due and nothing came for so many ticks is half open, or Redis is frozen."""

    def __init__(self) -> None:
        self.reader = hiredis.Reader(replyError=ResponseError)
        self.lost = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.Task[None] | None = None
        self.silent = 0
        self._replies: list[Any] = []
        self._most = 0
        self._answered: asyncio.Future[list[Any]] | None = None

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._timer = self._loop.call_later(self.tick_seconds, self._tick)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        self._fail(ConnectionResetError("Redis closed the connection"))

    def data_received(self, data: bytes) -> None:
        self.silent = 0
        reader, replies = self.reader, self._replies
        reader.feed(data)
        while (reply := reader.gets()) is not False:
            replies.append(reply)
        if len(replies) >= self._most:
            self._answer()

    # -- commands

    async def exchange(self, commands: bytes, replies: int) -> list[Any]:
        """Sends so many commands and waits for the reply to each; an error is a reply. There is one exchange at a time. Raises
        ConnectionResetError, or SilentError if nothing comes for 3 to 4 s."""
        if self._transport is None or self.lost.is_set():
            raise ConnectionResetError("the connection to Redis is closed")
        self.silent, self._replies, self._most = 0, [], replies
        self._answered = self._loop.create_future()
        self._transport.write(commands)
        try:
            return await self._answered
        finally:
            if not self._answered.done() or self._answered.cancelled():
                self.close()  # its replies would be taken for those of the next

    async def ask(self, *words: str) -> Any:
        """One command. Raises its error too, as redis-py's ResponseError."""
        (reply,) = await self.exchange(packed(words), 1)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def replied(self, reply: object) -> None:
        """One reply of the exchange, from a wire that gets other things too."""
        if self._waits:
            self._replies.append(reply)
            if len(self._replies) >= self._most:
                self._answer()

    def send(self, commands: bytes) -> None:
        """Sends commands outside of an exchange."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(commands)

    def end_with(self, moved: Coroutine[Any, Any, None]) -> None:
        """Closes when this is over; it is cancelled with the connection."""
        if self.lost.is_set():
            moved.close()
            return
        self._watch = self._loop.create_task(moved)
        self._watch.add_done_callback(lambda _: self.close())

    def close(self) -> None:
        """At once; what was sent may be executed or not."""
        if self._transport is not None:
            self._transport.abort()
        self._fail(ConnectionResetError("closed"))

    # -- silence

    def due(self) -> bool:
        """Whether Redis owes something. Asked at each tick."""
        return self._waits

    def _tick(self) -> None:
        self.silent = self.silent + 1 if self.due() else 0
        if self.silent >= self.silent_ticks:
            self._fail(SilentError("Redis does not answer"))
            self.close()
        else:
            self._timer = self._loop.call_later(self.tick_seconds, self._tick)

    @property
    def _waits(self) -> bool:
        return self._answered is not None and not self._answered.done()

    def _answer(self) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(self._replies)

    def _fail(self, error: Exception) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)


W = TypeVar("W", bound=Wire)


def packed(words: Iterable[str | bytes]) -> bytes:
    """A command as Redis reads it."""
    return cast(bytes, hiredis.pack_command(tuple(words)))  # type: ignore[arg-type]


async def open_wire(address: Address, make: Callable[[], W]) -> W:
    """Connects to the Redis that is there now, and logs in; the wire ends when that is there no more. Raises OSError,
    SilentError after 2 s, redis-py's ResponseError, or its ConnectionError if it is nowhere."""
    place, where = await address.find(), address.options
    loop = asyncio.get_running_loop()
    secure = _tls(where) if address.secure else None
    wire: W | None = None
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            if place.path:
                _, wire = await loop.create_unix_connection(make, place.path)
            else:
                _, wire = await loop.create_connection(make, place.host, place.port, ssl=secure)
            await _log_in(wire, where)
    except BaseException as error:
        if wire is not None:
            wire.close()
        if isinstance(error, TimeoutError):
            raise SilentError("Redis does not answer") from None
        raise
    if isinstance(address, Guided):
        wire.end_with(address.left(place))
    return wire


async def _log_in(wire: Wire, where: Mapping[str, Any]) -> None:
    if (password := where.get("password")) is not None:
        user = (where["username"],) if where.get("username") else ()
        await wire.ask("AUTH", *user, password)
    if where.get("db"):
        await wire.ask("SELECT", str(where["db"]))
    await wire.ask("ECHO", "")  # that it answers; one whose disk is full refuses PING


def _tls(where: Mapping[str, Any]) -> ssl.SSLContext:
    """TLS as our pool has it by the same URL, so that both connections succeed or fail together."""
    context = ssl.create_default_context(cafile=where.get("ssl_ca_certs"))
    context.check_hostname = checks_hostname(where)
    needs = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL}
    context.verify_mode = needs.get(str(where.get("ssl_cert_reqs", "required")).lower(), ssl.CERT_REQUIRED)
    if (certificate := where.get("ssl_certfile")) is not None:
        context.load_cert_chain(certificate, where.get("ssl_keyfile"))
    return context
