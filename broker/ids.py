"""Names of things: generation ids and entry ids. Pure."""

import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
GENERATION_ID = r"gen_[0-7][0-9A-HJKMNP-TV-Z]{25}"
_GENERATION = re.compile(GENERATION_ID, re.ASCII)
_ENTRY = re.compile(rb"(0|[1-9][0-9]{0,14})-(0|[1-9][0-9]{0,9})", re.ASCII)


def new_generation_id() -> str:
    """`gen_` and 26 characters of Crockford base32 that carry 128 random bits."""
    return _generation_id(secrets.token_bytes(16))


def derived_generation_id(secret: bytes, text: str) -> str:
    """The id that belongs to this text: the same for the same secret, and unguessable without it."""
    return _generation_id(hmac.digest(secret, text.encode(), hashlib.sha256)[:16])


def _generation_id(raw: bytes) -> str:
    bits = int.from_bytes(raw)
    return "gen_" + "".join(_CROCKFORD[(bits >> shift) & 31] for shift in range(125, -1, -5))


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
