"""What stays of a generation whose record has gone, one string: `<ms of its submit> <for which body> <owner>`, of which the
last two may be empty; or, of one that was erased, `<ms> erased <owner>/<mark of the object that is to be erased yet>`. Pure."""

from typing import Final, NamedTuple

from broker.errors import BrokerError, ErasedGeneration, ExpiredGeneration, UnknownGeneration

_ERASED: Final = "erased "


class Tombstone(NamedTuple):
    """`made_for` is the fingerprint of the body, where the id is an idempotency key's, and is not known of one that was erased;
    `owner`: whose it was."""

    made_ms: int
    made_for: str
    owner: str
    erased: bool


def read(raw: bytes | None) -> Tombstone | None:
    """None where there is none."""
    if raw is None:
        return None
    made_ms, _, rest = raw.decode().partition(" ")
    if rest.startswith(_ERASED):
        return Tombstone(int(made_ms), "", rest.removeprefix(_ERASED).partition("/")[0], True)
    made_for, _, owner = rest.partition(" ")
    return Tombstone(int(made_ms), made_for, owner, False)


def why_gone(raw: bytes | None) -> BrokerError:
    """What a look at a record that is not there raises."""
    found = read(raw)
    if found is None:
        return UnknownGeneration()
    return ErasedGeneration(found.owner) if found.erased else ExpiredGeneration(found.owner)
