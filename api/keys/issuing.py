"""Makes, changes and revokes API keys: what the command and the admin's routes have in common."""

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, get_args

from api.access.api_keys import new_key
from api.access.gate import Scope
from api.access.peppers import Peppers
from api.keys.everywhere import Everywhere
from broker.api_keys import LONGEST_NAME, MOST_LIVE, KeyRecord, is_tenant

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
GRACE_MS: Final = 24 * 3600 * 1000
"""For so long a key is valid besides the one that was made in its place, where nothing else is said."""

Why = Literal["unknown", "not_live", "too_many", "has_successor"]
_SAID: Final[dict[Why, str]] = {
    "unknown": "there is no such key",
    "not_live": "the key has expired or was revoked",
    "too_many": f"the tenant has {MOST_LIVE} live keys: revoke one first",
    "has_successor": "another key was made in its place already: rotate or revoke that one",
}


class KeyRefused(Exception):
    """What was asked for cannot be done; the text says why."""

    def __init__(self, why: Why) -> None:
        super().__init__(_SAID[why])
        self.why = why


class Issued(NamedTuple):
    """`text`: the key itself, for its holder alone; it is kept nowhere."""

    text: str
    record: KeyRecord


class Issuer:
    """Methods raise StorageUnavailable if no cell of Redis answers, and KeyRefused."""

    def __init__(self, store: Everywhere, peppers: Peppers) -> None:
        self._store = store
        self._peppers = peppers

    async def create(self, tenant: str, scopes: Iterable[Scope], name: str = "", lasts_ms: int | None = None) -> Issued:
        """A new key of this tenant, valid for so long; None: until it is revoked."""
        assert is_tenant(tenant)
        assert len(name) <= LONGEST_NAME
        now_ms = (await self._store.read(())).now_ms
        key = new_key()
        record = KeyRecord(
            id=key.id, tenant=tenant, name=name, scopes=tuple(each for each in SCOPES if each in frozenset(scopes)),
            pepper=self._peppers.newest, digest=self._peppers.digest(key), created_ms=now_ms, changed_ms=now_ms,
            expires_ms=None if lasts_ms is None else now_ms + lasts_ms,
        )  # fmt: skip
        kept = await self._store.keep(record, now_ms, MOST_LIVE)
        if "many" in kept:
            if "kept" in kept:  # by a cell that did not know of the others
                await self._store.keep(record.changed(now_ms, revoked_ms=now_ms), now_ms)
            raise KeyRefused("too_many")
        return Issued(key.text.decode(), record)

    async def rotate(self, id_: str, grace_ms: int = GRACE_MS) -> Issued:
        """A new key that may do what this one may, for as long; this one is valid for `grace_ms` more, besides."""
        before, now_ms = await self._found(id_)
        if before.state(now_ms) != "live":
            raise KeyRefused("not_live")
        if before.successor is not None:
            raise KeyRefused("has_successor")
        lasts_ms = None if before.expires_ms is None else before.expires_ms - before.created_ms
        scopes = [each for each in SCOPES if each in before.scopes]
        issued = await self.create(before.tenant, scopes, before.name, lasts_ms)
        ends = min(now_ms + grace_ms, before.expires_ms or now_ms + grace_ms)
        over: dict[str, object] = {"revoked_ms": now_ms} if grace_ms <= 0 else {"expires_ms": ends}
        await self._store.keep(before.changed(now_ms, successor=issued.record.id, **over), now_ms)
        return issued

    async def revoke(self, id_: str) -> KeyRecord:
        """The key as it is then: nobody is let in by it any more. One that was revoked before stays as it was."""
        record, now_ms = await self._found(id_)
        if record.revoked_ms is not None:
            return record
        revoked = record.changed(now_ms, revoked_ms=now_ms)
        await self._store.keep(revoked, now_ms)
        return revoked

    async def all(self, tenant: str | None = None) -> tuple[list[KeyRecord], int]:
        """All keys that are remembered, or a tenant's, the oldest first; and what time it is."""
        found = await self._store.all(tenant)
        there = [record for record in found.records.values() if record is not None]
        return sorted(there, key=lambda record: (record.tenant, record.created_ms, record.id)), found.now_ms

    async def _found(self, id_: str) -> tuple[KeyRecord, int]:
        found = await self._store.read((id_,))
        record = found.records[id_]
        if record is None:
            raise KeyRefused("unknown")
        return record, found.now_ms
