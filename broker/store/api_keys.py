"""What one cell's coordination keeps of API keys."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from arq.connections import ArqRedis

from broker import keys
from broker.api_keys import KeyRecord
from broker.store.client import storage_errors
from broker.store.lua import Call, Script

Kept = Literal["kept", "older", "many"]
_KEEP: Final = Script("key_keep")


class Told(NamedTuple):
    """`now_ms`: by the clock of Redis. `raw`: of each id that was asked for its record as it is kept; None: there is none."""

    now_ms: int
    raw: list[bytes | None]


def keep(record: KeyRecord, now_ms: int, most_live: int = 0) -> Call[Kept]:
    """Keeps this record, unless a newer one is there, and publishes the id of one that is revoked by it."""
    args = (
        record.model_dump_json(), record.changed_ms, record.life_ms(now_ms), f"{record.tenant}:{record.id}", keys.INDEX_MS,
        keys.REVOKED, most_live, keys.api_key(""),
    )  # fmt: skip
    return Call(_KEEP, (keys.api_key(record.id), keys.API_KEYS), args, lambda reply: reply.decode())


async def read(redis: ArqRedis, ids: Sequence[str]) -> Told:
    """Raises StorageUnavailable."""
    with storage_errors():
        pipe = redis.pipeline(transaction=False)
        pipe.time()
        if ids:
            pipe.mget([keys.api_key(id_) for id_ in ids])
        (seconds, micros), *found = await pipe.execute()
    return Told(seconds * 1000 + micros // 1000, found[0] if ids else [])


async def listed(redis: ArqRedis, tenant: str | None = None) -> list[str]:
    """The ids of all keys, or of a tenant's. Raises StorageUnavailable."""
    low, high = ("-", "+") if tenant is None else (f"[{tenant}:", f"({tenant};")
    with storage_errors():
        members: list[bytes] = await redis.zrangebylex(keys.API_KEYS, low, high)
    return [member.decode().partition(":")[2] for member in members]


async def renew(redis: ArqRedis, lives: Sequence[tuple[str, int]]) -> None:
    """Keeps these keys for so many ms more, and the list of all. Raises StorageUnavailable."""
    pipe = redis.pipeline(transaction=False)
    for id_, life_ms in lives:
        pipe.pexpire(keys.api_key(id_), life_ms)
    pipe.pexpire(keys.API_KEYS, keys.INDEX_MS)
    with storage_errors():
        await pipe.execute()
