"""The atomic steps of the archive as typed functions, as in log_steps.py and coordination_steps.py. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, cast

from broker import keys
from broker.ids import EntryId
from broker.store.lua import Argument, Call, Script

_ARCHIVE: Final = Script("archive")
_ARCHIVE_DUE: Final = Script("archive_due")
_LOOK_AGAIN: Final = Script("look_again")

Shelved = Literal["archived", "gone", "changed", "late"]
"""What became of a log that should leave Redis; see archive.lua."""


def archive(id_: str, mark: str, last: EntryId, entries: int, until_ms: int) -> Call[Shelved]:
    """Takes the log out of Redis if it is still what the object of this mark was made from, no later than `until_ms` after the
    generation's end."""
    args: list[Argument] = [mark, str(last), entries, until_ms]
    return Call(_ARCHIVE, [keys.record(id_), keys.log(id_)], args, _shelved)


def _shelved(reply: bytes) -> Shelved:
    return cast(Shelved, reply.decode())


def due(limit: int, again_ms: int) -> Call[list[str]]:
    """Takes up to `limit` generations and objects whose time has come; nobody else gets them for `again_ms`."""
    return Call(_ARCHIVE_DUE, [keys.ARCHIVE], [limit, again_ms, keys.INDEX_MS], _names)


def _names(reply: Sequence[bytes]) -> list[str]:
    return [raw.decode() for raw in reply]


def look_in(in_ms: Mapping[str, int]) -> Call[None]:
    """Sets when an archiver looks at generations and objects, in ms from now by Redis's clock."""
    args: list[Argument] = [keys.INDEX_MS]
    for at in in_ms.items():
        args += at
    return Call(_LOOK_AGAIN, [keys.ARCHIVE], args, _nothing)


def _nothing(_: object) -> None:
    return None
