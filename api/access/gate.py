"""Who may do what: one gate for every way to a generation, the quick one included. Pure.

`authenticate` says who asks, or why that is not answered; `may_see` says whether a generation is that one's. What is not yours
does not exist: it is answered as what was never made.

Today's only policy lets everybody in, and everything is everybody's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from api.intake.problems import Code

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `owner`: whose generations it makes and sees; no NUL in it. `sees_all`: everybody's, too."""

    owner: str
    sees_all: bool = False

    def may_see(self, owner: str) -> bool:
        """Whether a generation of this owner is there for it."""
        return self.sees_all or owner == self.owner


class Policy(Protocol):
    """Asked once for each request, before anything of it is looked at but its head. Does no I/O, and raises nothing."""

    def authenticate(self, target: bytes, headers: Iterable[Header]) -> Principal | Code:
        """Who asks for this target (path and query) with these headers (names in lower case), or which problem answers."""


ANONYMOUS: Final = Principal("", sees_all=True)


class Open:
    """The policy of a server that asks nobody who they are."""

    def authenticate(self, target: bytes, headers: Iterable[Header]) -> Principal | Code:
        """ANONYMOUS."""
        return ANONYMOUS
