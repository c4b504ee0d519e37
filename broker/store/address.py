"""Where the server of a URL is now, for whoever connects to it: the pools, and the wires of our own.

redis://user:password@host:6379/0                 there
rediss://…                                        there, over TLS
unix:///path?db=0                                 there
redis+sentinel://user:password@h1:26379,h2/name   where the Sentinels say that the primary `name` is
rediss+sentinel://…                               the same, the Sentinels and the primary over TLS
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from redis.asyncio import SSLConnection
from redis.asyncio.connection import parse_url

from broker.errors import BrokerError
from broker.store.sentinels import SENTINEL_PORT, Place, Sentinels

_ONE: Final = ("redis", "rediss", "unix")
_SENTINEL: Final = ("redis+sentinel", "rediss+sentinel")
_CLUSTER: Final = ("redis+cluster", "rediss+cluster")


class BadAddress(BrokerError):
    """A URL of Redis names no server; the text says why, and nothing of the URL."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the URL of Redis cannot be used: {why}")


@dataclass(frozen=True, slots=True)
class Fixed:
    """Of one server, which stays where it is. `options`: how to connect, by redis-py's names (`db`, `username`, `ssl_ca_certs`,
    …); `secure`: over TLS."""

    place: Place
    options: Mapping[str, Any]
    secure: bool = False

    @property
    def known(self) -> Place | None:
        """Where it was found last; None before."""
        return self.place

    async def find(self) -> Place:
        """Where it is. Raises ConnectionError, redis-py's, if that cannot be found out within 1.5 s."""
        return self.place


@dataclass(frozen=True, slots=True)
class Guided:
    """Of a primary, which is where its Sentinels say."""

    sentinels: Sentinels
    options: Mapping[str, Any]
    secure: bool = False

    @property
    def known(self) -> Place | None:
        return self.sentinels.known

    async def find(self) -> Place:
        return await self.sentinels.find()

    async def left(self, place: Place) -> None:
        """Returns when it is not there (any more), or is about to leave."""
        await self.sentinels.left(place)


Address = Fixed | Guided


def address_of(url: str) -> Address:
    """What the URL names. Raises BadAddress, which says nothing of the URL: a password may be in it."""
    scheme = url.partition("://")[0].lower()
    if scheme in _CLUSTER:
        raise BadAddress(
            "a cluster can have the logs alone (RESPOOL_LOGS_URL); the queue needs one server, or Sentinels'"
        )
    if scheme in _SENTINEL:
        return _guided(url, secure=scheme.startswith("rediss"))
    if scheme not in _ONE:
        raise BadAddress(f"its scheme is none of {', '.join(_ONE + _SENTINEL)}")
    options = _options(url)
    secure = options.pop("connection_class", None) is SSLConnection
    if secure:
        options["ssl_check_hostname"] = checks_hostname(options)
    place = Place(options.pop("host", "localhost"), options.pop("port", 6379), options.pop("path", ""))
    return Fixed(place, options, secure)


def checks_hostname(options: Mapping[str, object]) -> bool:
    """Whether TLS by these options of a `rediss://` URL takes a certificate for its server's name alone: by default, which
    redis-py's is not, unless no certificate is asked for at all."""
    asks = str(options.get("ssl_cert_reqs", "required")).lower() != "none"
    return bool(options.get("ssl_check_hostname", asks))


def _options(url: str) -> dict[str, Any]:
    try:
        return dict(parse_url(url))
    except ValueError:  # whose text may have a part of the password in it
        raise BadAddress("a host, a port or an option of it cannot be read") from None


def _guided(url: str, *, secure: bool) -> Guided:
    try:
        parts = urlsplit(url)
        login, _, listed = parts.netloc.rpartition("@")
        split = [urlsplit(f"//{each}") for each in listed.split(",")]
        hosts = [(unquote(each.hostname or ""), each.port or SENTINEL_PORT) for each in split]
    except ValueError:
        raise BadAddress("a host or a port of it cannot be read") from None
    name = unquote(parts.path.removeprefix("/"))
    if not name or "/" in name:
        raise BadAddress("behind the Sentinels it must have the primary's name, and no more: …/name?db=0")
    if not all(host for host, _ in hosts):
        raise BadAddress("it must have the hosts of the Sentinels, with commas between")
    options = _options(f"{'rediss' if secure else 'redis'}://{login}{'@' if login else ''}_/?{parts.query}")
    for known in ("host", "connection_class"):
        options.pop(known, None)
    if secure:
        options["ssl_check_hostname"] = checks_hostname(options)
    own = {name: options.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    tls = {option: value for option, value in options.items() if option.startswith("ssl_")}
    return Guided(Sentinels(hosts, name, secure=secure, **own, **tls), options, secure)


__all__ = ["Address", "BadAddress", "Fixed", "Guided", "address_of", "checks_hostname"]
