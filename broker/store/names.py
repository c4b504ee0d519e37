"""What one cell's coordination keeps of names that clients give: which generation a chat or a thread has come to.

A client that knows no ids of ours comes back with the name that it gave when it submitted. A name is its tenant's, and tells
only which generation was made under it last: whether that is there for who asks is asked of its record, at every use. What
coordination has forgotten is no name any more.
"""

import hashlib
from typing import Final, Literal, NamedTuple

from arq.connections import ArqRedis

from broker import keys
from broker.store.client import storage_errors
from broker.store.lua import Call, Script

Kind = Literal["chat", "thread"]
LONGEST_NAME: Final = 256
_DIGEST_CHARACTERS: Final = 32
_NAME: Final = Script("name")


class Name(NamedTuple):
    """Of this kind, as its client spells it, at most LONGEST_NAME characters; whose it is, "" where nobody is asked."""

    kind: Kind
    text: str
    owner: str

    @property
    def key(self) -> str:
        """Names of keys are seen by whoever looks after Redis: 128 bits of a digest, in hex."""
        digest = hashlib.sha256(self.text.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_CHARACTERS]
        return keys.name(self.kind, digest, self.owner)


class Named(NamedTuple):
    """The generation that a name stands for, and when it was made, in ms by the clock of its cell. The later one is the
    greater."""

    made_ms: int
    id: str


def give(name: Name, named: Named, retention_ms: int) -> Call[bool]:
    """Has the name stand for this generation, for as long as that may be there with this retention; False if it stands for a
    later one. May be repeated."""
    args = (named.id, named.made_ms, retention_ms + keys.NAME_SLACK_MS)
    return Call(_NAME, [name.key], args, bool)


async def look_up(redis: ArqRedis, name: Name) -> Named | None:
    """What the name stands for in this cell, if for anything. Raises StorageUnavailable."""
    with storage_errors():
        found: bytes | None = await redis.get(name.key)
    if found is None:
        return None
    made_ms, _, id_ = found.decode().partition(" ")
    return Named(int(made_ms), id_)
