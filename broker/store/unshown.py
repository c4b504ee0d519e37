"""What one cell's coordination keeps of generations that nobody was shown: whose asker lost its connection before anything that
a model said was written to it. A client that repeats the same request by itself, without a name for it, is given one of them.

Each is given once. What coordination has forgotten is not given: then a repeat is a generation of its own, as any other.
"""

import hashlib
from typing import Final, NamedTuple

from arq.connections import ArqRedis

from broker import keys
from broker.store.client import storage_errors
from broker.store.lua import Call, Script

MOST: Final = 100
"""How many of one request are kept: nobody who repeats it would look further."""
_DIGEST_CHARACTERS: Final = 32
_UNSHOWN: Final = Script("unshown")


class Asked(NamedTuple):
    """A request by what tells it from others: whose it is, "" where nobody is asked, by which API key, on which path, and the
    fingerprint of its body."""

    owner: str
    by: str
    path: str
    fingerprint: str

    @property
    def key(self) -> str:
        """128 bits of a digest, in hex."""
        digest = hashlib.sha256("\0".join((self.by, self.path, self.fingerprint)).encode()).hexdigest()
        return keys.unshown(digest[:_DIGEST_CHARACTERS], self.owner)


def note(asked: Asked, id_: str) -> Call[bool]:
    """Has a repeat of this find the generation. Not to be repeated: it would be given twice."""
    return Call(_UNSHOWN, [asked.key], (id_, MOST, keys.UNSHOWN_MS), bool)


async def take(redis: ArqRedis, asked: Asked) -> str | None:
    """The one that was noted last, and is noted no more; None if there is none. Raises StorageUnavailable."""
    with storage_errors():
        found: bytes | None = await redis.execute_command("LPOP", asked.key)  # type: ignore[no-untyped-call]
    return None if found is None else found.decode()
