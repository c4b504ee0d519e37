"""Names of things: generation ids and entry ids. Pure."""

import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PREFIX = "gen_"
_OF_A_CELL = "C"
"""In place of the first character, which 128 bits leave at 0 to 7: the next two are the cell's number."""
_CELL_DIGITS = 2
MOST_CELLS = len(_CROCKFORD) ** _CELL_DIGITS
GENERATION_ID = r"gen_[0-7C][0-9A-HJKMNP-TV-Z]{25}"
_GENERATION = re.compile(GENERATION_ID, re.ASCII)
_ENTRY = re.compile(rb"(0|[1-9][0-9]{0,14})-(0|[1-9][0-9]{0,9})", re.ASCII)


def new_generation_id(cell: int = 0) -> str:
    """`gen_` and 26 characters of Crockford base32. In cell 0 they carry 128 random bits, in any other its number and 115."""
    return _generation_id(secrets.token_bytes(16), cell)


def derived_generation_id(secret: bytes, text: str, cell: int = 0) -> str:
    """The id in this cell that belongs to this text: the same for the same secret, and unguessable without it."""
    return _generation_id(hmac.digest(secret, text.encode(), hashlib.sha256)[:16], cell)


def _generation_id(raw: bytes, cell: int) -> str:
    bits = int.from_bytes(raw)
    characters = "".join(_CROCKFORD[(bits >> shift) & 31] for shift in range(125, -1, -5))
    if cell == 0:
        return _PREFIX + characters
    of_the_cell = _OF_A_CELL + _CROCKFORD[cell >> 5] + _CROCKFORD[cell & 31]
    return _PREFIX + of_the_cell + characters[len(of_the_cell) :]


def cell_of(id_: str) -> int:
    """The cell that a generation of this id is in; `id_` must have the shape of one."""
    if id_[4] != _OF_A_CELL:
        return 0
    return _CROCKFORD.index(id_[5]) << 5 | _CROCKFORD.index(id_[6])


def is_generation_id(text: str) -> bool:
    """Whether `text` has the exact shape of a generation id (it may still name nothing)."""
    return _GENERATION.fullmatch(text) is not None


class EntryId(NamedTuple):
    """`<attempt>-<seq>`: the Redis Stream id of an entry, its SSE `id:` and a viewer's cursor, all one number.

    `attempt` is the millisecond at which Redis granted the attempt's claim; `seq` counts from 0 without holes inside it.
    Ordered as Redis orders them.
    """

    attempt: int
    seq: int

    @classmethod
    def parse(cls, text: str | bytes) -> "EntryId | None":
        """The id, or None if the text is not exactly one: no sign, no leading zero, no space, bounded length."""
        raw = text.encode("ascii", "replace") if isinstance(text, str) else text
        match = _ENTRY.fullmatch(raw)
        return cls(int(match[1]), int(match[2])) if match else None

    @classmethod
    def of_redis(cls, raw: bytes) -> "EntryId":
        """The id in a reply of Redis, which is trusted to be well formed."""
        attempt, _, seq = raw.partition(b"-")
        return cls(int(attempt), int(seq))

    def __str__(self) -> str:
        return f"{self.attempt}-{self.seq}"


BEGINNING = EntryId(0, 0)
"""The cursor before the first entry of every log (attempts are milliseconds since 1970, so nothing sorts below it)."""
