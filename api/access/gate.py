"""Who may do what: one gate for every way to a generation, the quick one included. Pure, but for `look_up`.

`authenticate` says who asks, or why that is not answered; a `Principal` says what that one may do, and which generations are
there for it. What is not yours does not exist: it is answered as what was never made.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol, get_args

from api.intake.problems import Code, Problem

Header = tuple[bytes, bytes]
Scope = Literal["submit", "view", "cancel", "admin"]
ALL: Final[frozenset[Scope]] = frozenset(get_args(Scope))
WHO: Final = "respool.who"
"""Under which name a request's scope has its `Principal`, from where the gate was asked."""
OPEN: Final = frozenset(
    {"/healthz", "/readyz", "/openapi.json", "/docs", "/docs/start.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css",
     "/docs/favicon-32x32.png"}
)  # fmt: skip
"""Paths that are answered to anybody: they say how a process is, and what any copy of this program says of itself; nothing of a
generation or a tenant. Probes and readers of the page have no key."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, and what it may do."""

    owner: str
    """The tenant whose generations it makes and sees; "" where nobody is asked who they are."""
    key: str = ""
    """Id of the API key; of a view link: the link's; "" where none is asked for."""
    scopes: frozenset[Scope] = ALL
    sees_all: bool = False
    """Everybody's generations: an open server's."""
    only: str | None = None
    """The one generation that a view link is for."""
    redacted: bool = False
    """It is shown text only."""
    expires_ms: int | None = None
    """When what it holds ends, in ms since 1970, and its streams with it."""
    address: str = ""
    """Its peer's, where the server told it; behind a proxy, the proxy's."""

    def may_see(self, owner: str, id_: str) -> bool:
        """Whether this generation of this owner is there for it."""
        return (self.sees_all or owner == self.owner) and (self.only is None or self.only == id_)

    def refuse_without(self, scope: Scope) -> None:
        """Raises Problem (403) if it does not hold this scope."""
        if scope not in self.scopes:
            raise Problem(Code.FORBIDDEN, scope=scope)

    def at(self, address: str) -> "Principal":
        """The same, asking from this address."""
        if address == self.address:
            return self
        # As `replace` makes it, for a third of its time: it is on the quick way in.
        return Principal(
            self.owner, self.key, self.scopes, self.sees_all, self.only, self.redacted, self.expires_ms, address
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered. `unknown`: what it names is not known here, which is no verdict yet: who can wait has it
    looked up, and asks again."""

    code: Code = Code.UNAUTHENTICATED
    detail: str | None = None
    unknown: str = ""
    """The id of a key."""
    address: str = ""
    """As of a Principal."""

    def at(self, address: str) -> "Refusal":
        """The same, of one who asks from this address."""
        return replace(self, address=address)

    def problem(self) -> Problem:
        return Problem(self.code, self.detail)


class Policy(Protocol):
    """Asked once for each request, before anything of it is looked at but its head."""

    def authenticate(self, target: bytes, headers: Iterable[Header]) -> Principal | Refusal:
        """Who asks for this target (path and query) with these headers (names in lower case), or why it is not answered. Does
        no I/O, and raises nothing."""

    async def look_up(self, refusal: Refusal) -> None:
        """Asks the store for what the refusal names as unknown, so that `authenticate` knows. Waits a few seconds at most.
        Raises Problem (503) or StorageUnavailable if the store does not tell."""

    def holds(self, who: Principal) -> bool:
        """Whether what was let in before would be let in now, as far as is known here: asked for streams that are open. Does no
        I/O."""


async def admitted(policy: Policy, target: bytes, headers: Iterable[Header], address: str) -> Principal | Refusal:
    """As `authenticate`, with what is not known here looked up, once. Raises as `look_up`."""
    who = policy.authenticate(target, headers)
    if isinstance(who, Refusal) and who.unknown:
        await policy.look_up(who.at(address))
        who = policy.authenticate(target, headers)
    return who.at(address)


ANONYMOUS: Final = Principal("", sees_all=True)


class Open:
    """The policy of a server that asks nobody who they are."""

    def authenticate(self, target: bytes, headers: Iterable[Header]) -> Principal | Refusal:
        """ANONYMOUS."""
        return ANONYMOUS

    async def look_up(self, refusal: Refusal) -> None:
        """There is nothing to look up."""

    def holds(self, who: Principal) -> bool:
        """Always."""
        return True
