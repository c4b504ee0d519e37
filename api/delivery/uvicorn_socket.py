"""Our uvicorn protocol classes for WebSockets: uvicorn's own, on `websockets`, bounded, and with an extension in each scope.

`SocketProtocol` has `respool.socket`, with which the application ends a connection from outside, and says whether it carries
anything. `DirectSocketProtocol` can `carry` a bundle of viewers besides: what they have is written here, their renditions send
to the socket by themselves, and the application's task waits for what the client says alone.
"""

import asyncio
import logging
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from api.delivery.bounded import SOCKETS
from api.delivery.connections import Connections, Owed
from api.delivery.lending import MOST_BUFFERED, Borrowed
from api.delivery.progress import bytes_taken
from api.viewing.bundle import Bundle

SOCKET: Final = "respool.socket"
CLOSE_SECONDS: Final = 5.0
PONG_SECONDS: Final = 20.0
"""For how long a client that takes nothing owes an answer to a ping."""
_MOST_FRAMES: Final = 64
"""Of a message: none of ours need be sent in pieces, and an empty piece costs too."""
_DRAIN_SECONDS: Final = 0.2
_log: Final = logging.getLogger("respool.socket")
"""Uvicorn's own would be told targets, tokens of view links in them, and at its lowest level all that is said."""
_log.setLevel(logging.WARNING)


class SocketProtocol(WebSocketsSansIOProtocol):
    """`owed` is FOLLOW while it carries nothing."""

    owed: Owed | None = None
    _dying: asyncio.TimerHandle | None = None
    _taken = -1

    def __init__(self, connections: Connections, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections = connections
        self.logger = self.conn.logger = _log
        self.conn.debug = False

    # -- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=MOST_BUFFERED)
        self._connections.take(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._connections.leave(self)
        if self._dying is not None:
            self._dying.cancel()

    def overdue(self, owed: Owed) -> None:
        if owed is Owed.FOLLOW and not self.close_sent:
            self._close(CloseCode.NORMAL_CLOSURE, "idle")
        else:
            self.give_way()

    def give_way(self) -> None:
        self.transport.abort()

    def shutdown(self) -> None:
        """A moment later: what its viewers were told is on its way."""
        if self.handshake_complete and not self.close_sent:
            self.loop.call_later(_DRAIN_SECONDS, self._close, CloseCode.SERVICE_RESTART, "drain")
        else:
            super().shutdown()

    def _close(self, code: int, reason: str) -> None:
        """Says so, and ends the connection when that is written; if the client does not take it, without."""
        if self.transport.is_closing():
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if not self.close_sent:
            self.close_sent = True
            self.conn.send_close(code, reason)
            self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.close()
        self._dying = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)

    # -- what comes

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing() and self._dying is None:
            self._dying = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            self.conn.max_message_size = self.app_state[SOCKETS][event.path.partition("?")[0].encode()]
            self.scope["extensions"] = {**(self.scope["extensions"] or {}), SOCKET: self._extension()}

    def _extension(self) -> dict[object, object]:
        return {"abort": self.give_way, "carries": self.carries, "taken": self.taken}

    def carries(self, something: bool) -> None:
        """Whether the connection carries anything now."""
        self._connections.wait_for(self, None if something else Owed.FOLLOW)

    def taken(self) -> int:
        """A number that changes whenever the client has taken something."""
        return bytes_taken(self.transport)

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= _MOST_FRAMES:
            self._close(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
        else:
            super().handle_cont(event)

    def handle_ping(self) -> None:
        """Who takes nothing gets no pongs: they would gather here."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def keepalive_timeout(self) -> None:
        """A slow client has the ping behind much else: it lives while it takes something."""
        if (taken := self.taken()) != self._taken:
            self._taken = taken
            self.pong_timer = self.loop.call_later(PONG_SECONDS, self.keepalive_timeout)
            return
        super().keepalive_timeout()
        self.give_way()


class DirectSocketProtocol(SocketProtocol):
    """The same, and `carry`."""

    _bundle: Bundle | None = None
    _borrowed: Borrowed | None = None
    _writing = False

    def _extension(self) -> dict[object, object]:
        return {**super()._extension(), "carry": self.carry, "put_down": self.put_down}

    def carry(self, bundle: Bundle) -> None:
        """Writes what the viewers of this bundle have, until they are put down or the connection is lost."""
        if self.transport.is_closing():
            return
        self._bundle, self._borrowed = bundle, Borrowed(self.transport)
        bundle.wake = self._write
        self._lets_write(self.writable.is_set())

    def put_down(self) -> None:
        """Nothing of the bundle is written any more."""
        bundle, self._bundle = self._bundle, None
        if bundle is not None:
            bundle.lend(None)
        if self._borrowed is not None:
            self._borrowed.give_back()
            self._borrowed = None

    def _write(self) -> None:
        """Everything that the bundle has and the transport takes. Who is asked may wake others."""
        bundle = self._bundle
        if bundle is None or self._writing:
            return
        self._writing = True
        try:
            while self.writable.is_set() and (body := bundle.take()):
                self.transport.write(body)
        finally:
            self._writing = False

    def _lets_write(self, lets: bool) -> None:
        if self._bundle is not None and self._borrowed is not None:
            if lets:
                self._bundle.lend(self._borrowed.loan)
                self._write()
            else:
                self._bundle.lend(None, self.loop.time())

    # -- what uvicorn and the loop tell

    def pause_writing(self) -> None:
        super().pause_writing()
        self._lets_write(False)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._lets_write(True)

    def _close(self, code: int, reason: str) -> None:
        if self._bundle is not None:
            self._bundle.settle()
            self._write()
        self.put_down()
        super()._close(code, reason)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.put_down()
