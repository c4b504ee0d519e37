"""What one cell's coordination keeps of names that clients give: which generation a chat or a thread has come to.

A client that knows no ids of ours comes back with the name that it gave when it submitted. A name is its tenant's, and tells
only which generation was made under it last: whether that is there for who asks is asked of its record, at every use. What
coordination has forgotten is no name any more.

A thread's name is claimed before its next generation is made: of two that ask at one moment one has it. What was claimed and
never made is told from what was by its record.
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
_CLAIM: Final = Script("name_claim")
_RELEASE: Final = Script("name_release")
_NONE: Final = "-"


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
    greater. One that is claimed has `until_ms`, until when it may yet be made, and the id of the one `before` it, if there is
    one."""

    made_ms: int
    id: str
    until_ms: int | None = None
    before: str | None = None

    @classmethod
    def read(cls, text: str) -> "Named | None":
        """What is kept: `made_ms id`, or `made_ms id until_ms before`; None of nothing."""
        match text.split(" "):
            case [made_ms, id_]:
                return cls(int(made_ms), id_)
            case [made_ms, id_, until_ms, before]:
                return cls(int(made_ms), id_, int(until_ms), None if before == _NONE else before)
        return None

    @property
    def text(self) -> str:
        """As it is kept."""
        if self.until_ms is None:
            return f"{self.made_ms} {self.id}"
        return f"{self.made_ms} {self.id} {self.until_ms} {self.before or _NONE}"


def give(name: Name, named: Named, retention_ms: int) -> Call[bool]:
    """Has the name stand for this generation, for as long as that may be there with this retention; False if it stands for a
    later one. May be repeated."""
    args = (named.id, named.made_ms, retention_ms + keys.NAME_SLACK_MS)
    return Call(_NAME, [name.key], args, bool)


def claim(
    name: Name,
    seen: Named | None,
    id_: str,
    before: str | None,
    *,
    is_there: bool,
    not_before_ms: int,
    retention_ms: int,
) -> Call[Named | None]:
    """Has the name stand for a generation that is made next, behind the one `before`, if it stands for what was `seen`; where
    that is a claim, only if what was claimed `is_there`, or its time is over. What it stands for now: another generation, or
    nothing, if it was not claimed. Not to be repeated."""
    stood = "" if seen is None else seen.text
    lives_ms = retention_ms + keys.NAME_SLACK_MS
    args = (stood, int(is_there), id_, before or _NONE, not_before_ms, keys.CLAIMED_MS, lives_ms)
    return Call(_CLAIM, [name.key], args, _read)


def release(name: Name, claimed: Named, stood: Named | None) -> Call[bool]:
    """Has the name stand for what it did before it was claimed, if nothing has come in between."""
    return Call(_RELEASE, [name.key], (claimed.text, "" if stood is None else stood.text), bool)


def _read(reply: bytes) -> Named | None:
    return Named.read(reply.decode())


async def look_up(redis: ArqRedis, name: Name) -> Named | None:
    """What the name stands for in this cell, if for anything. Raises StorageUnavailable."""
    with storage_errors():
        found: bytes | None = await redis.get(name.key)
    return None if found is None else Named.read(found.decode())
