"""Whose address a request comes from, where a proxy stands before the API. Pure.

A proxy adds to the right end of X-Forwarded-For the address that it was asked from; what stands further left may be anything
that a client made up. So the header is read from its right end, as far as the proxies go that the operator trusts: the first
address that is none of theirs is the client's.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Header = tuple[bytes, bytes]
_MOST_HOPS: Final = 16


def networks_of(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks and addresses that are named, with commas between. Raises ValueError with a sentence that says what is
    wrong."""
    found = []
    for part in filter(None, map(str.strip, text.split(","))):
        try:
            found.append(ip_network(part))
        except ValueError:
            raise ValueError("each is an address or a network, as in 10.0.0.0/8 or fd00::/8") from None
    return tuple(found)


class Peers:
    """`trusted` are the proxies'. Without any the address of a connection is the client's, whatever it says."""

    def __init__(self, trusted: Iterable[IPv4Network | IPv6Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def address(self, peer: str, headers: Iterable[Header]) -> str:
        """The client's, of a request with these headers (names in lower case) from this peer; "" if it is not known."""
        if not self._trusted or not self._is_proxy(peer):
            return peer
        hops = [hop for name, value in headers if name == b"x-forwarded-for" for hop in value.split(b",")]
        address = peer
        for hop in reversed(hops[-_MOST_HOPS:]):
            found = _address(hop)
            if found is None:
                break
            address = found
            if not self._is_proxy(found):
                break
        return address

    def _is_proxy(self, address: str) -> bool:
        found = _parsed(address)
        return found is not None and any(found in network for network in self._trusted)


DIRECT: Final = Peers()
"""No proxy is trusted."""


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _address(hop: bytes) -> str | None:
    """The address that a proxy wrote, which may have a port behind it."""
    text = hop.strip().decode("latin-1")
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    found = _parsed(text)
    return None if found is None else str(found)
