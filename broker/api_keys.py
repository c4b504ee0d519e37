"""What is kept of an API key: whose it is, what it may do, how long. The key itself is nowhere, only a hash that needs a secret
of the operator's. Pure.

The ids of keys are no secrets. Times are ms since 1970 by the clock of Redis.
"""

import re
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from broker import keys
from broker.tenants import TENANT

KEY_ID: Final = "[a-z2-7]{16}"
"""80 random bits: nobody meets one that there is by trying."""
LONGEST_NAME: Final = 64
MOST_LIVE: Final = 20
"""Live keys of a tenant: two of each service of its own while it changes one for the other."""

KeyState = Literal["live", "expired", "revoked"]
_TENANT: Final = re.compile(TENANT, re.ASCII)


def is_tenant(text: str) -> bool:
    return _TENANT.fullmatch(text) is not None


class KeyRecord(BaseModel):
    """`pepper` is the version of the operator's secret that `digest` was made with. Of two records of one key that with the
    later `changed_ms` is right; but an end that one of them has is one."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    tenant: str
    name: str = ""
    scopes: tuple[str, ...]
    pepper: str
    digest: str
    created_ms: int
    changed_ms: int
    expires_ms: int | None = None
    revoked_ms: int | None = None
    successor: str | None = None
    """The id of the key that was made in its place."""

    def state(self, now_ms: float) -> KeyState:
        if self.revoked_ms is not None:
            return "revoked"
        return "expired" if self.expires_ms is not None and self.expires_ms <= now_ms else "live"

    def life_ms(self, now_ms: int) -> int:
        """How much longer it is kept, unless it is used: a key that has ended is remembered for a while, so that who has it is
        told why, and a cell that was away does not bring it back."""
        ends = [each for each in (self.expires_ms, self.revoked_ms) if each is not None]
        if not ends:
            return keys.INDEX_MS
        return min(keys.INDEX_MS, max(0, min(ends) - now_ms) + keys.KEY_REMEMBERED_MS)

    def changed(self, now_ms: int, **changes: object) -> "KeyRecord":
        """The record with these changes, later than it was."""
        return self.model_copy(update={**changes, "changed_ms": max(now_ms, self.changed_ms + 1)})


def read_record(raw: bytes) -> KeyRecord | None:
    """None for what is no record: a key that cannot be read lets nobody in."""
    try:
        return KeyRecord.model_validate_json(raw)
    except ValidationError:
        return None


def agreed_on(records: "list[KeyRecord]") -> KeyRecord | None:
    """What is right of several of one key: the newest, with the earliest end that any of them has."""
    if not records:
        return None
    newest = max(records, key=lambda record: record.changed_ms)
    expires_ms = min((each.expires_ms for each in records if each.expires_ms is not None), default=None)
    revoked_ms = min((each.revoked_ms for each in records if each.revoked_ms is not None), default=None)
    if (newest.expires_ms, newest.revoked_ms) == (expires_ms, revoked_ms):
        return newest
    return newest.changed(0, expires_ms=expires_ms, revoked_ms=revoked_ms)
