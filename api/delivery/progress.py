"""Whether a client takes what it is sent. A buffer of ours that is full tells little: behind it one client reads nothing, and
another two kilobytes a second."""

import asyncio
import socket
import sys
from typing import Final

_ACKED: Final = slice(120, 128)
"""`tcpi_bytes_acked` in Linux's `struct tcp_info` (linux/tcp.h, since 4.1; fields are only ever added at its end)."""


def bytes_taken(transport: asyncio.Transport) -> int:
    """A number that changes whenever the client has taken something: on Linux how many bytes it has acknowledged, elsewhere
    only what has left the transport's buffer."""
    lent = transport.get_extra_info("socket")
    if sys.platform == "linux" and lent is not None and lent.fileno() >= 0:
        sock = socket.socket(lent.family, lent.type, lent.proto, lent.fileno())
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED.stop)
            return int.from_bytes(info[_ACKED], sys.byteorder)
        except OSError:
            pass  # not TCP, or gone
        finally:
            sock.detach()
    return -transport.get_write_buffer_size()
