"""Webhooks: where one may go, what is told, and what became of it. Pure.

A submitter names a URL, and a worker of ours connects to it: what it may reach is said here, by addresses (SSRF). The list is
explicit, for what `ipaddress` calls global has addresses that lead to private ones by another way.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Literal, cast, get_args
from urllib.parse import SplitResult, urlsplit

import orjson

from broker.ids import EntryId

WebhookEvent = Literal["completed", "failed", "cancelled"]
EVENTS: Final[tuple[WebhookEvent, ...]] = get_args(WebhookEvent)
WebhookState = Literal["pending", "delivered", "failed", "skipped"]

LONGEST_URL: Final = 2048
_SECRET_BYTES: Final = range(24, 65)
"""What Standard Webhooks allows."""

Allowance = Literal["http", "loopback", "private"]
ALLOWANCES: Final[tuple[Allowance, ...]] = get_args(Allowance)

Network = IPv4Network | IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(map(ip_network, texts))


_LOOPBACK: Final = _networks("127.0.0.0/8", "::1/128")
_PRIVATE: Final = _networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
_NEVER: Final = _networks(
    "0.0.0.0/8",  # this host
    "169.254.0.0/16", "fe80::/10",  # link-local: metadata of clouds
    "168.63.129.16/32", "192.0.0.0/24", "fd00:ec2::/32",  # metadata and services of clouds, protocol assignments
    "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15", "2001:db8::/32", "3fff::/20",  # documents, benches
    "192.88.99.0/24", "224.0.0.0/4", "240.0.0.0/4", "ff00::/8",  # 6to4 relays, multicast, reserved, broadcast
    "::/128", "::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48",  # other spellings of IPv4
    "100::/64", "2001::/23", "2002::/16", "5f00::/16", "fec0::/10",  # discard, Teredo and the like, 6to4, SRv6, site-local
)  # fmt: skip
_UNICAST: Final = cast(IPv6Network, ip_network("2000::/3"))


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator has set: whether there is a secret to sign with; what is allowed beside https to public addresses."""

    signed: bool
    allowed: frozenset[Allowance] = frozenset()


def allowances(text: str) -> frozenset[Allowance]:
    """Words with spaces or commas between. Raises ValueError."""
    words = frozenset(text.replace(",", " ").split())
    if not words <= frozenset(ALLOWANCES):
        raise ValueError(f"RESPOOL_WEBHOOK_ALLOW: words of {', '.join(ALLOWANCES)}")
    return cast("frozenset[Allowance]", words)


def secrets_of(text: str) -> tuple[str, ...]:
    """The secrets that a setting has, with spaces or commas between: each signs, so that receivers may change from one to the
    next. Raises ValueError, which names none of them."""
    found = tuple(text.replace(",", " ").split())
    for secret in found:
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            key = b""
        if not secret.startswith("whsec_") or len(key) not in _SECRET_BYTES:
            raise ValueError("RESPOOL_WEBHOOK_SECRET: each is whsec_ and base64 of 24 to 64 bytes")
    return found


def why_not_url(url: str, allowed: frozenset[Allowance]) -> str | None:
    """Why no webhook may have this URL, by its form alone: a sentence's end, which repeats nothing of it."""
    if len(url) > LONGEST_URL or not re.fullmatch(r"[!-~]+", url, re.ASCII) or "\\" in url:
        return f"must be at most {LONGEST_URL} visible ASCII characters, without a backslash"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    schemes = ("https", "http") if "http" in allowed else ("https",)
    if parts.scheme not in schemes:
        return f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    if not host:
        return "must name a host"
    if "@" in parts.netloc:
        return "must have no user or password in it"
    if parts.fragment:
        return "must have no fragment"
    return _why_not_host(parts, host, allowed)


def _why_not_host(parts: SplitResult, host: str, allowed: frozenset[Allowance]) -> str | None:
    name = host.rstrip(".").lower()
    local = name == "localhost" or name.endswith(".localhost")
    if parts.netloc.startswith("[") or re.fullmatch(r"[0-9.]+|0x[0-9a-f.x]*", name):
        return "must not name that address" if why_not_address(host, allowed) else None
    return "must not name this host" if local and "loopback" not in allowed else None


def why_not_address(text: str, allowed: frozenset[Allowance]) -> str | None:
    """Why nothing may connect to this address: a word for it."""
    try:
        address = ip_address(text)
    except ValueError:
        return "unreadable"

    def within(networks: Iterable[Network]) -> bool:
        return any(address.version == each.version and address in each for each in networks)

    if within(_LOOPBACK):
        return None if "loopback" in allowed else "loopback"
    if within(_NEVER):
        return "special"
    if within(_PRIVATE):
        return None if "private" in allowed else "private"
    if isinstance(address, IPv6Address) and (address not in _UNICAST or address.scope_id):
        return "special"
    return None


def host_of(url: str) -> str:
    """All of a URL that a log may have: the rest may be a secret."""
    return urlsplit(url).hostname or ""


# -- of one generation


@dataclass(frozen=True, slots=True)
class Hook:
    """Where the end of a generation is told, and which ends."""

    url: str
    events: tuple[WebhookEvent, ...]

    def __str__(self) -> str:
        """As the record has it."""
        return f"{','.join(self.events)} {self.url}"

    @classmethod
    def of(cls, stored: bytes | None) -> "Hook | None":
        """From the record's field; None if it has none."""
        if not stored:
            return None
        events, _, url = stored.decode().partition(" ")
        return cls(url, cast("tuple[WebhookEvent, ...]", tuple(events.split(","))))


@dataclass(frozen=True, slots=True)
class Delivery:
    """What has become of a webhook. `tries` are those that are over; `last_status` is None where no answer came, `last_error`
    where one came that was a success."""

    state: WebhookState = "pending"
    tries: int = 0
    last_status: int | None = None
    last_error: str | None = None
    next_at_ms: int | None = None

    @classmethod
    def of(cls, stored: bytes | None) -> "Delivery | None":
        """From the record's field; None before the first try."""
        return None if stored is None else cls(**cast("Mapping[str, object]", orjson.loads(stored)))  # type: ignore[arg-type]


def webhook_id(generation_id: str, end: EntryId) -> str:
    """The same for every try to tell this end, and for no other end."""
    return f"{generation_id}_{end}"
