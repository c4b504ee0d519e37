"""How what is written at once lies on its connection. Pure."""

from collections.abc import Callable
from typing import TypeAlias

Framing: TypeAlias = Callable[[bytes], bytes]
"""Makes of a body, which is not empty, what a connection carries."""


def plain(body: bytes) -> bytes:
    """As it is: an ASGI server frames by itself."""
    return body


def chunk(body: bytes) -> bytes:
    """One chunk of a response (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(body), body)
