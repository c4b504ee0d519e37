"""Who comes with a view link, before any other policy. Pure.

A token stands in the query (`?token=`: an EventSource sends no header), in `Authorization: Bearer`, or in a cookie that is the
generation's own. A cookie is sent by a browser unasked, so it counts only where nothing else says who asks, and for reading
that one generation. A link opens what is listed here and nothing else, whatever routes there are.
"""

import re
import time
from collections.abc import Callable, Iterable
from typing import Final

from api.access.gate import Header, Policy, Principal, Refusal, Scope
from api.access.links import Link, Links, made_ms
from api.intake.problems import Code
from broker.ids import GENERATION_ID

SESSION: Final = b"/v1/view-links/session"
"""Where a token is exchanged for a cookie."""
SOCKET: Final = b"/v1/ws"
"""Where one connection follows generations: of a link, its one."""
COOKIE: Final = "__Host-respool-"
"""How a cookie's name begins; behind it is the generation's id. A browser keeps such a one for this host alone, over TLS."""
_READS: Final = re.compile(rb"/v1/generations/(%s)(?:/events)?" % GENERATION_ID.encode())
_ANY: Final = re.compile(rb"/v1/generations/[^/]+(?:/events)?")
_VIEW: Final[frozenset[Scope]] = frozenset({"view"})
_LOOKS_SIGNED: Final = b"eyJ"

NO_LINK: Final = Refusal(detail="The view link's token is not valid.")
ENDED: Final = Refusal(detail="The view link has ended.")
REVOKED: Final = Refusal(detail="The view link was revoked.")
TWICE: Final = Refusal(detail="Who asks is named more than once: in headers, or in a header and the query.")
READS_ONE: Final = Refusal(Code.FORBIDDEN, "A view link reads its generation, and does nothing else.")


class Revoked:
    """Which links were revoked, as far as this process knows: no more than the cells remember."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}

    def note(self, name: str, at_ms: int) -> None:
        """`<generation>/<link>`; or `<generation>`, of which all links are void that were made until then."""
        self._names[name] = max(at_ms, self._names.get(name, 0))

    def forget_before(self, ms: int) -> None:
        """No link lives any more that was made before."""
        self._names = {name: at_ms for name, at_ms in self._names.items() if at_ms >= ms}

    def has(self, generation: str, link: str) -> bool:
        if not self._names:
            return False
        if f"{generation}/{link}" in self._names:
            return True
        until_ms = self._names.get(generation)
        return until_ms is not None and until_ms >= made_ms(link)


class Linked:
    """`inner` is asked about whoever comes without a link."""

    def __init__(self, inner: Policy, links: Links, revoked: Revoked, clock: Callable[[], float] = time.time) -> None:
        self._inner = inner
        self._links = links
        self._revoked = revoked
        self._clock = clock

    def authenticate(self, target: bytes, headers: Iterable[Header]) -> Principal | Refusal:
        """A token in the query that is not valid is refused, even where anybody would be let in without. In a header it may be
        another system's."""
        headers = list(headers)
        path, _, query = target.partition(b"?")
        named = [value for name, value in headers if name in (b"authorization", b"x-api-key")]
        in_query = [part[6:] for part in query.split(b"&") if part.startswith(b"token=")] if query else []
        if in_query:
            return TWICE if named or len(in_query) > 1 else self._let_in(self._links.read(in_query[0]), path)
        if len(named) == 1 and (token := bearer(named[0])) and (link := self._links.read(token)) is not None:
            return self._let_in(link, path)
        if not named and (link := self._in_cookie(path, headers)) is not None:
            return self._let_in(link, path)
        return self._inner.authenticate(target, headers)

    async def look_up(self, refusal: Refusal) -> None:
        """As the inner policy: of a link nothing need be looked up."""
        await self._inner.look_up(refusal)

    def holds(self, who: Principal) -> bool:
        """Until the link has ended or was revoked."""
        if who.only is None or who.expires_ms is None:
            return self._inner.holds(who)
        return who.expires_ms > self._clock() * 1000 and not self._revoked.has(who.only, who.key)

    def _let_in(self, link: Link | None, path: bytes) -> Principal | Refusal:
        if link is None:
            return NO_LINK
        if link.expires_ms <= self._clock() * 1000:
            return ENDED
        if self._revoked.has(link.generation, link.id):
            return REVOKED
        if not _ANY.fullmatch(path) and path not in (SESSION, SOCKET):
            return READS_ONE
        return Principal(
            link.owner, link.id, _VIEW, only=link.generation, redacted=link.redacted, expires_ms=link.expires_ms
        )

    def _in_cookie(self, path: bytes, headers: Iterable[Header]) -> Link | None:
        """That of the generation in the path; one that is not valid is not looked at."""
        match = _READS.fullmatch(path)
        if match is None:
            return None
        name = COOKIE.encode() + match[1] + b"="
        for header, value in headers:
            if header == b"cookie":
                for part in value.split(b";"):
                    if (part := part.strip()).startswith(name):
                        link = self._links.read(part[len(name) :])
                        return link if link is not None and link.generation.encode() == match[1] else None
        return None


def bearer(value: bytes) -> bytes:
    """The token in this value of `Authorization`, if it looks like one of ours."""
    scheme, _, text = value.partition(b" ")
    return text if scheme.lower() == b"bearer" and text.startswith(_LOOKS_SIGNED) else b""
