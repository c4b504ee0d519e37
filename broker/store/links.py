"""What one cell's coordination keeps of view links: which were revoked, and, where no secret is set, the secret that signs
them. Of a link itself nothing is kept."""

import secrets
from collections.abc import Sequence
from typing import Final, NamedTuple

from arq.connections import ArqRedis

from broker import keys
from broker.errors import StorageFull
from broker.store.client import storage_errors
from broker.store.lua import Call, Script

MOST_REVOKED: Final = 100_000
"""Links that are remembered as revoked: a denial-of-service guard."""
_PAGE: Final = 1000
_EVER_MS: Final = 1 << 50
_REVOKE: Final = Script("revoke_links")


class Revocation(NamedTuple):
    """`name`: a link's, `<generation>/<link>`; or a generation's, all of whose links are void that were made until `at_ms`."""

    name: str
    at_ms: int


def name_of(generation: str, link: str | None = None) -> str:
    """Under which it is revoked."""
    return generation if link is None else f"{generation}/{link}"


def parsed(message: str) -> Revocation | None:
    """What was published, if it is of a link: other names go over the same channel."""
    name, _, at = message.partition(" ")
    return Revocation(name, int(at)) if name.startswith("gen_") and at.isdecimal() and at.isascii() else None


class LinkStore:
    """Every method may raise StorageUnavailable or StorageForbidden."""

    def __init__(self, redis: ArqRedis) -> None:
        self.redis = redis

    async def secret(self) -> bytes:
        """That of this cell, which is made if there is none."""
        with storage_errors():
            pipe = self.redis.pipeline(transaction=True)
            pipe.set(keys.LINK_SECRET, secrets.token_hex(32), nx=True, px=keys.INDEX_MS)
            pipe.getex(keys.LINK_SECRET, px=keys.INDEX_MS)
            _, secret = await pipe.execute()
        found: bytes = secret
        return found

    async def now_ms(self) -> int:
        """By Redis' clock."""
        with storage_errors():
            seconds, micros = await self.redis.time()
        return int(seconds) * 1000 + int(micros) // 1000

    async def revoke(self, generation: str, link: str | None = None) -> None:
        """The link, or all links of the generation that were made until now. Raises StorageFull, too, where 100,000 were
        revoked within a day."""
        args = (name_of(generation, link), keys.REVOKED, keys.LINKS_REVOKED_MS, MOST_REVOKED)
        if not await Call(_REVOKE, (keys.LINKS_REVOKED,), args, bool).run(self.redis):
            raise StorageFull

    async def revoked(self, since_ms: int) -> Sequence[Revocation]:
        """All that is remembered from then on, in order."""
        found, more = list[Revocation](), True
        while more:
            with storage_errors():
                page = await self.redis.zrange(
                    keys.LINKS_REVOKED, since_ms, _EVER_MS, byscore=True, offset=len(found), num=_PAGE, withscores=True
                )
            found += [Revocation(name.decode(), int(at)) for name, at in page]
            more = len(page) == _PAGE
        return found
