"""Which hosts the API answers for, and which pages may change something in it. Pure.

A browser takes its user's place on the network. A page whose name was rebound to a loopback address is of the API's origin and
could read everything: it is known by its Host. A page of another origin may not read, but it may post: it is known by
Sec-Fetch-Site or Origin, which no other client sends.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from api.problems import Code

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN: Final = frozenset({b"same-origin", b"none"})
_HEALTH: Final = frozenset({"/healthz", "/readyz"})
"""Asked by machines, for a host of their own choice; they tell nothing."""


def is_loopback(host: str) -> bool:
    """Whether the name or address, without a port, is this machine's own, whoever looks it up."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def name_of(host: str) -> str:
    """The host of an authority: lower case, without a port, an address of IPv6 without its brackets."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0].removesuffix(".")


class Origins:
    """`hosts` are those to answer for, beside the loopback ones; None: any. `others` are origins whose pages may do
    everything. One object per process."""

    def __init__(self, hosts: frozenset[str] | None, others: frozenset[str] = frozenset()) -> None:
        self._others = {origin.encode() for origin in others}

        @lru_cache(maxsize=256)
        def answers_for(host: bytes) -> bool:
            name = name_of(host.decode("latin-1"))
            return hosts is None or name in hosts or is_loopback(name)

        self.answers_for = answers_for

    def refusal(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]]) -> Code | None:
        """Why the request is not answered, or None. Header names are lower case."""
        host, origin, site = b"", None, None
        for name, value in headers:
            if name == b"host":
                host = value.lower()
            elif name == b"origin":
                origin = value.lower()
            elif name == b"sec-fetch-site":
                site = value
        if host and not self.answers_for(host) and path not in _HEALTH:
            return Code.HOST_NOT_ALLOWED
        if method in _SAFE or origin in self._others:
            return None
        own = site in _OWN if site is not None else origin is None or origin.partition(b"://")[2] == host
        return None if own else Code.CROSS_SITE
