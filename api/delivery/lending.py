"""A connection's socket, lent to a rendition, which sends to it by itself."""

import asyncio
from socket import SocketType
from typing import Final

from api.viewing.rendition import Loan

MOST_BUFFERED: Final = 64 * 1024
"""What a transport may hold back of a connection that nobody has borrowed."""


class Borrowed:
    """While the transport holds nothing back, the socket takes what is sent: with a mark of 0 that is whenever the transport
    has not paused its protocol. (On TLS such a mark would pause it for ever: there the transport gets it all.)"""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._socket: SocketType | None = None
        if transport.get_extra_info("sslcontext") is None:
            transport.set_write_buffer_limits(high=0)
            lent = transport.get_extra_info("socket")
            self._socket = SocketType(lent.family, lent.type, lent.proto, lent.fileno())
        self.loan = Loan(self._socket.send if self._socket else _take_nothing, transport.write)

    def give_back(self) -> None:
        """The transport alone has the socket again, and closes it."""
        if self._socket is not None:
            self._socket.detach()
            self._socket = None
            self._transport.set_write_buffer_limits(high=MOST_BUFFERED)


def _take_nothing(_: bytes) -> int:
    """There is no socket to send to: the transport gets it all."""
    return 0
