"""The id that an idempotency key gives to its generation, where the logs have a server of their own: derived from the key, so
that whoever makes the record first decides what the key has made, even after coordination has lost the key.

It is derived from the day too, for a key may be used again when its 24 hours are over. What a key names was therefore made
under the id of today or of a neighbour (a day begins between two submits, and clocks differ): all three are looked at.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from time import time
from typing import Final

from arq.connections import ArqRedis

from broker import keys
from broker.errors import IdempotencyMismatch, StorageUnavailable
from broker.ids import derived_generation_id
from broker.keyed import same
from broker.store.client import storage_errors
from broker.tombstones import read

_MOST_SECRETS: Final = 3
"""So often another process may restore another secret while this one asks."""


@dataclass(frozen=True, slots=True)
class Derived:
    """`known`: a generation of this id was made with the key, less than 24 hours ago."""

    id: str
    known: bool


class Derivation:
    """Derives ids of its cell with a secret that the logs server keeps: each submit with a key renews it, or restores it."""

    def __init__(self, logs: ArqRedis, cell: int = 0) -> None:
        self._logs = logs
        self._cell = cell
        self._secret = secrets.token_hex(32).encode()

    async def of(self, key: str, fingerprint: str) -> Derived:
        """The id to submit a body of this fingerprint under. Raises IdempotencyMismatch, StorageUnavailable or StorageFull."""
        day = round(time() * 1000) // keys.IDEMPOTENCY_MS
        for _ in range(_MOST_SECRETS):
            secret = self._secret
            ids = [derived_generation_id(secret, f"{each} {key}", self._cell) for each in (day - 1, day, day + 1)]
            with storage_errors():
                pipe = self._logs.pipeline(transaction=False)
                pipe.set(keys.PEPPER, secret, nx=True, px=keys.INDEX_MS)
                pipe.getex(keys.PEPPER, px=keys.INDEX_MS)
                pipe.time()
                for id_ in ids:
                    pipe.get(keys.tombstone(id_))
                _, self._secret, (seconds, micros), *made = await pipe.execute()
            if self._secret == secret:
                return choose(ids, made, seconds * 1000 + micros // 1000, fingerprint)
        raise StorageUnavailable


def choose(ids: Sequence[str], made: Sequence[bytes | None], now_ms: int, fingerprint: str) -> Derived:
    """Of the ids of yesterday, today and tomorrow, by the tombstone of each: the one that the key names now, else the first,
    from today on, that was never used. Pure. Raises IdempotencyMismatch."""
    for id_, raw in zip(ids, made, strict=True):
        tombstone = read(raw)
        if tombstone is not None and now_ms - tombstone.made_ms < keys.IDEMPOTENCY_MS:
            # Of what was erased nobody knows any more what it was made for.
            if not tombstone.erased and not same(tombstone.made_for, fingerprint):
                raise IdempotencyMismatch
            return Derived(id_, True)
    unused = [id_ for id_, tombstone in zip(ids[1:], made[1:], strict=True) if tombstone is None]
    return Derived(unused[0] if unused else ids[-1], False)


__all__ = ["Derivation", "Derived", "choose"]
