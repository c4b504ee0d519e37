"""Which Redis a process starts on, and how long it waits for one."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import BusyLoadingError, ConnectionError, NoPermissionError, OutOfMemoryError, ResponseError

from broker import keys
from broker.errors import StorageForbidden, StorageUnavailable, UnsafeStorage
from broker.settings import Trust
from broker.store import safety
from broker.store.safety import check_cell, check_safe, check_writable, reach
from tests.broker.store.scripted import Server

SAFE: dict[str, Any] = {"maxmemory_policy": "noeviction", "aof_enabled": 1, "loading": 0}


class Told:
    """A Redis that tells so of itself, or raises; each section has its own fields."""

    connection_pool = None

    def __init__(self, *said: dict[str, Any] | Exception) -> None:
        self.said = list(said)

    async def getex(self, *_: object, **__: object) -> bytes:
        return b"0"

    async def info(self, section: str) -> dict[str, Any]:
        if section == "cluster":
            return {}
        said = self.said[0] if len(self.said) == 1 or section == "memory" else self.said.pop(0)
        if isinstance(said, Exception):
            if len(self.said) > 1:
                self.said.pop(0)
            raise said
        fields = {"memory": ["maxmemory_policy"], "persistence": ["aof_enabled", "loading"]}[section]
        return {name: value for name, value in said.items() if name in fields}


EVICTS, FORGETS = {"maxmemory_policy": "allkeys-lru"}, {"aof_enabled": 0}
NOT_TOLD = "does not tell .* RESPOOL_STORAGE=trusted"
FORBIDDEN = NoPermissionError("this user has no permissions to run the 'info' command")


@pytest.mark.parametrize(
    ("said", "checked", "trusted"),
    [
        (SAFE, None, None),
        (SAFE | EVICTS, "maxmemory-policy allkeys-lru", "maxmemory-policy allkeys-lru"),
        (SAFE | FORGETS, "appendonly no", None),
        ({"maxmemory_policy": "noeviction"}, NOT_TOLD, None),
        ({"aof_enabled": 1}, NOT_TOLD, None),
        ({}, NOT_TOLD, None),
        (FORBIDDEN, NOT_TOLD, None),
        (ResponseError("ERR unknown command"), NOT_TOLD, None),
    ],
)
def test_a_redis_must_be_seen_to_keep_what_it_is_given_unless_its_operator_says_so_or_it_need_not(
    said: dict[str, Any] | Exception, checked: str | None, trusted: str | None
) -> None:
    raised: dict[Trust, str | None] = {"checked": checked, "trusted": trusted, "ephemeral": trusted}
    for trust, why in raised.items():
        check = check_safe(Told(said), trust)  # type: ignore[arg-type]
        if why is None:
            asyncio.run(check)
        else:
            with pytest.raises(UnsafeStorage, match=why):
                asyncio.run(check)


def test_while_it_reads_its_file_nothing_is_known_of_it() -> None:
    with pytest.raises(StorageUnavailable) as caught:
        asyncio.run(check_safe(Told(SAFE | {"loading": 1, "aof_enabled": 0}), "checked"))  # type: ignore[arg-type]
    assert caught.value.why == "LOADING"


def test_a_start_waits_until_redis_is_there_and_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", pause)
    redis: Any = Told(ConnectionError(), BusyLoadingError("LOADING"), SAFE)
    with caplog.at_level(logging.WARNING):
        asyncio.run(reach(redis, "checked"))
    assert pauses == [0.25, 0.25]
    assert [record.getMessage() for record in caplog.records] == [
        "waiting for Redis: unreachable", "waiting for Redis: LOADING",
    ]  # fmt: skip
    with pytest.raises(UnsafeStorage):
        asyncio.run(reach(Told(SAFE | {"aof_enabled": 0}), "checked"))  # type: ignore[arg-type]
    asyncio.run(reach(Told(SAFE | {"aof_enabled": 0}), "ephemeral"))  # type: ignore[arg-type]


def test_a_start_waits_for_a_minute_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    assert safety._START_SECONDS == 60.0
    monkeypatch.setattr(safety, "_START_SECONDS", 0.0)
    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(reach(Told(ConnectionError()), "checked"))  # type: ignore[arg-type]


def test_whether_it_takes_writes_is_found_by_one_that_is_soon_gone(server: Server) -> None:
    server.do(check_writable(server.redis))
    assert server.command("GET", keys.PROBE) == b"1"
    assert keys.PROBE_MS // 2 < server.command("PTTL", keys.PROBE) <= keys.PROBE_MS


def test_a_redis_is_one_cell_s_for_as_long_as_it_is_used(server: Server) -> None:
    for _ in range(2):
        server.do(check_cell(server.redis, 3))
        assert server.command("GET", keys.CELL) == b"3"
        assert keys.INDEX_MS - 60_000 < server.command("PTTL", keys.CELL) <= keys.INDEX_MS
        server.command("PEXPIRE", keys.CELL, 1000)
    for other in (0, 4):
        with pytest.raises(UnsafeStorage, match=f"of cell 3, and RESPOOL_CELLS has it as cell {other}"):
            server.do(check_cell(server.redis, other))


@pytest.mark.parametrize(
    ("said", "raised"),
    [
        (OutOfMemoryError("OOM"), None),
        (ResponseError("NOPERM no permissions"), StorageForbidden),
        (ResponseError("READONLY You can't write"), StorageUnavailable),
    ],
)
def test_one_that_is_full_counts_as_writable_and_one_that_refuses_does_not(
    said: Exception, raised: type[Exception] | None
) -> None:
    class Refusing:
        async def set(self, *_: object, **__: object) -> None:
            raise said

    check: Callable[[], Any] = lambda: asyncio.run(check_writable(Refusing()))  # type: ignore[arg-type]  # noqa: E731
    if raised is None:
        check()
    else:
        with pytest.raises(raised):
            check()
