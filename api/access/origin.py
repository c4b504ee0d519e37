"""Which hosts the API answers for, and which pages may read it and change something in it. Pure.

A browser takes its user's place on the network. A page whose name was rebound to a loopback address is of the API's origin and
could read everything: it is known by its Host. A page of another origin may not read, but it may post: it is known by
Sec-Fetch-Site or Origin, which no other client sends.

Pages of the origins that an operator names may do both (CORS). Starlette's middleware for that sees neither what the parser
refuses nor a stream that begins without a call of the application, so ours makes the headers, for all of them.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from api.intake.problems import Code

ORIGINS: Final = "respool.origins"
"""Under which name the application's life span puts the process's `Origins` into its state."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
SOCKET: Final = "WEBSOCKET"
"""In the place of a method: a page of any origin may open one, and what it then reads no browser withholds from it."""
_OWN: Final = frozenset({b"same-origin", b"none"})
_HEALTH: Final = frozenset({"/healthz", "/readyz"})
"""Asked by machines, for a host of their own choice; they tell nothing."""

Header = tuple[bytes, bytes]
LOOPBACK: Final = "loopback"
"""Stands for every origin of HTTP or HTTPS whose host is a loopback one."""
_NOSNIFF: Final[Header] = (b"x-content-type-options", b"nosniff")
"""No browser takes an answer for what it does not say."""
_VARY: Final[Header] = (b"vary", b"Origin")
"""No cache gives one origin's answer to another."""
_ALLOW: Final = b"access-control-allow-origin"
_EXPOSE: Final[Header] = (
    b"access-control-expose-headers",
    b"Location, Retry-After, Generation-Id, Respool-Generation, RateLimit, RateLimit-Policy, "
    b"X-Should-Retry, Request-Id, X-Workflow-Run-Id, X-Workflow-Stream-Tail-Index, "
    b"Stream-Next-Offset, Stream-Up-To-Date, Stream-Closed, Stream-Cursor, ETag",
)
SENT_BY_SDKS: Final = (
    "Anthropic-Version", "Anthropic-Beta", "Anthropic-Dangerous-Direct-Browser-Access", "OpenAI-Organization", "OpenAI-Project",
    *(f"X-Stainless-{name}" for name in (
        "Arch", "Async", "Helper", "Helper-Method", "Lang", "OS", "Package-Version", "Poll-Helper", "Read-Timeout",
        "Retry-Count", "Runtime", "Runtime-Version", "Timeout",
    )),
)  # fmt: skip
"""Headers that the SDKs of Anthropic and OpenAI send with all that they ask, in a browser too."""
PREFLIGHT: Final[Sequence[Header]] = (
    (b"access-control-allow-methods", b"GET, POST, DELETE"),
    (
        b"access-control-allow-headers",
        b"Content-Type, Accept, Last-Event-ID, Idempotency-Key, Authorization, X-Api-Key, "
        + ", ".join(SENT_BY_SDKS).encode(),
    ),
    (b"access-control-max-age", b"600"),
)
"""What a page may send: the answer to its preflight."""
_WEB: Final = re.compile(r"https?://(\[[0-9a-f:.]+\]|[0-9a-z._-]+)(?::[0-9]+)?")
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[0-9a-z._-]+)(?::[0-9]+)?")
_DEFAULT_PORT: Final = re.compile(r"http://.*:80|https://.*:443")


def is_loopback(host: str) -> bool:
    """Whether the name or address, without a port, is this machine's own, for any resolver."""
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


def origins_of(text: str) -> frozenset[str]:
    """The origins that are named, with commas between. Raises ValueError with a sentence that says what is wrong."""
    named = frozenset(part.strip().lower() for part in text.split(",")) - {""}
    for origin in named - {LOOPBACK}:
        if (wrong := _fault(origin)) is not None:
            raise ValueError(wrong)
    return named


def _fault(origin: str) -> str | None:
    """What is wrong with an origin, without a word of it."""
    if "*" in origin:
        return "`*` would let any page read and spend: name each origin"
    if origin == "null":
        return "`null` is the origin of any sandboxed page and any file: it names nobody"
    if "://" not in origin:
        return "an origin begins with its scheme, as in https://app.example"
    if "/" in origin.partition("://")[2]:
        return "an origin has no path, and no slash at its end"
    if not _ORIGIN.fullmatch(origin):
        return "an origin is scheme://host or scheme://host:port, in ASCII, and nothing more"
    if _DEFAULT_PORT.fullmatch(origin):
        return "browsers leave a scheme's own port out of an origin: leave it out too"
    return None


class Origins:
    """`hosts` are those to answer for, beside the loopback ones; None: any. `others` are origins whose pages may do
    everything, as `origins_of` makes them. One object per process."""

    def __init__(self, hosts: frozenset[str] | None, others: frozenset[str] = frozenset()) -> None:
        self.standing: Sequence[Header] = (_NOSNIFF, _VARY) if others else (_NOSNIFF,)
        """Headers of every answer."""

        @lru_cache(maxsize=256)
        def answers_for(host: bytes) -> bool:
            name = name_of(host.decode("latin-1"))
            return hosts is None or name in hosts or is_loopback(name)

        exact = others - {LOOPBACK}

        @lru_cache(maxsize=256)
        def lets_in(origin: bytes) -> bool:
            text = origin.decode("latin-1")
            web = _WEB.fullmatch(text) if LOOPBACK in others else None
            return text in exact or (web is not None and is_loopback(name_of(web[1])))

        self.answers_for = answers_for
        self._lets_in = lets_in

    def refusal(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]]) -> Code | None:
        """Why the request is not answered, or None. Header names are lower case."""
        host, origin, site = b"", None, None
        for name, value in headers:
            if name == b"host":
                host = value.lower()
            elif name == b"origin":
                origin = value if origin is None else b"null"
            elif name == b"sec-fetch-site":
                site = value
        if host and not self.answers_for(host) and path not in _HEALTH:
            return Code.HOST_NOT_ALLOWED
        if method in _SAFE or (origin is not None and self._lets_in(origin)):
            return None
        own = site in _OWN if site is not None else origin is None or origin.lower().partition(b"://")[2] == host
        return None if own else Code.CROSS_SITE

    def sharing(self, headers: Iterable[Header]) -> Sequence[Header]:
        """Headers of the answer to a request with these, which let the page read it that asked, if a page asked and it may."""
        given = [value for name, value in headers if name == b"origin"]
        return ((_ALLOW, given[0]), _EXPOSE) if len(given) == 1 and self._lets_in(given[0]) else ()

    def is_preflight(self, method: str, headers: Iterable[Header]) -> bool:
        """Whether a browser asks what a page may send that may send something."""
        return (
            method == "OPTIONS"
            and any(name == b"access-control-request-method" for name, _ in headers)
            and bool(self.sharing(headers))
        )
