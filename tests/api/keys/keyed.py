"""An application that asks for keys, in this process, and those who make them."""

from collections.abc import Iterable
from typing import Any, Final

from arq.connections import ArqRedis

from api.access.gate import Scope
from api.access.peppers import peppers_of
from api.keys.everywhere import Everywhere
from api.keys.issuing import SCOPES, Issued, Issuer
from api.keys.ring import Ring
from tests.broker.store.scripted import Server

PEPPER: Final = "p1:" + "s3cret-of-the-operator-" * 2
EARLIER: Final = "p0:" + "0" * 40


class Desk:
    """Makes keys in the cell of this server, or of these clients, and has rings that know them."""

    def __init__(self, server: Server, *clients: ArqRedis, pepper: str = PEPPER) -> None:
        self.server = server
        self.peppers = peppers_of(pepper)
        self.store = Everywhere(clients or (server.redis,))
        self.issuer = Issuer(self.store, self.peppers)

    def make(self, tenant: str = "acme", scopes: Iterable[Scope] = SCOPES, **how: Any) -> Issued:
        return self.server.do(self.issuer.create(tenant, scopes, **how))

    def ring(self) -> Ring:
        async def make() -> Ring:
            return Ring(self.store, self.peppers)

        return self.server.do(make())


def bearer(issued: Issued) -> dict[str, str]:
    """Headers, as Api takes them."""
    return {"authorization": f"Bearer {issued.text}"}
