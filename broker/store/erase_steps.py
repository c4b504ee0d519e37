"""The steps of an erasure as typed functions, as in log_steps.py and coordination_steps.py. Pure."""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, cast

from broker import keys
from broker.record import State
from broker.store.lua import Argument, Call, Script

_ERASE: Final = Script("erase")
_ERASED_OBJECT: Final = Script("erased_object")
_ERASED_TELL: Final = Script("erased_tell")
_REWRITE_DUE: Final = Script("rewrite_due")
_DUE: Final = Script("archive_due")
_LOOK_AGAIN: Final = Script("look_again")
_MOST_TOLD: Final = 100_000
"""A denial-of-service guard: an API that lags by more than these forgets all that it keeps."""


class Erased(NamedTuple):
    """`erased`: now; `again`: it was before; or nothing was done. `mark`: of the object that the archive has of it yet, or
    empty."""

    why: Literal["erased", "again", "unknown", "expired"]
    was: State | None = None
    owner: str = ""
    mark: str = ""


def erase(id_: str) -> Call[Erased]:
    """Erases what the logs have of it."""
    touched = [keys.record(id_), keys.log(id_), keys.tombstone(id_), keys.webhook(id_), keys.sync(id_)]
    args: list[Argument] = [keys.live(id_), keys.CANCELS, id_, keys.REMEMBERED_MS]
    return Call(_ERASE, touched, args, _erased)


def _erased(reply: Sequence[Any]) -> Erased:
    why, *rest = (raw.decode() for raw in reply)
    if not rest:
        return Erased(cast('Literal["unknown", "expired"]', why))
    state, owner, mark = rest
    return Erased(cast('Literal["erased", "again"]', why), cast(State, state) or None, owner, mark)


def erased_object(id_: str, mark: str) -> Call[None]:
    """Notes that the archive has nothing of it any more."""
    return Call(_ERASED_OBJECT, [keys.tombstone(id_)], [mark], _nothing)


def tell(ids: Sequence[str]) -> Call[None]:
    """Tells all APIs that these were erased."""
    return Call(_ERASED_TELL, [keys.ERASED, keys.NEWEST], [keys.TOLD_MS, _MOST_TOLD, keys.INDEX_MS, *ids], _nothing)


def rewrite_due(run: str, period_ms: int, soon_ms: int) -> Call[bool]:
    """Whether the server of this run is to rewrite its append-only file now: it has not for `period_ms`, or for `soon_ms` and
    something was erased since. Who is told so has it do that."""
    return Call(_REWRITE_DUE, [keys.rewritten(run), keys.NEWEST], [period_ms, soon_ms], _is_one)


def _is_one(reply: int) -> bool:
    return reply == 1


def look_in(id_: str, in_ms: int) -> Call[None]:
    """Sets when a sweeper sees to it that the erasure is complete."""
    return Call(_LOOK_AGAIN, [keys.ERASING], [keys.INDEX_MS, id_, in_ms], _nothing)


def due(limit: int, again_ms: int) -> Call[list[str]]:
    """Takes up to `limit` generations whose erasures are to be completed; nobody else gets them for `again_ms`."""
    return Call(_DUE, [keys.ERASING], [limit, again_ms, keys.INDEX_MS], _names)


def _names(reply: Sequence[bytes]) -> list[str]:
    return [raw.decode() for raw in reply]


def _nothing(_: object) -> None:
    return None
