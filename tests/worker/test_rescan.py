"""When and how a worker searches the records, page by page, on a clock that the test moves."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from broker import keys
from broker.errors import StorageUnavailable
from broker.replies import Look
from broker.store.agreement import Agreement
from broker.store.coordination import Coordination
from broker.store.logs import Logs
from broker.tags import Tags
from tests.harness.clockwork import at_once
from worker.rescan import Rescan

WAITING = cast(Look, type("Waiting", (), {"state": "queued", "hooked": False}))


class Store:
    """Both roles. Of the records that it has, page by page, coordination has lost all. `self` is also the agreement."""

    def __init__(self, *pages: Sequence[str]) -> None:
        self.pages = pages
        self.apart = False
        self.run: str | None = "next"
        self.done: list[tuple[Any, ...]] = []
        self.times: list[float] = []
        self.away = 0
        self.redis = self

    def note(self, *what: Any) -> None:
        self.done.append(what)
        self.times.append(round(asyncio.get_running_loop().time() - 1000, 2))

    async def run_id(self) -> str | None:
        self.note("run")
        if self.away:
            self.away -= 1
            raise StorageUnavailable
        return self.run

    async def getex(self, key: str, *, px: int) -> bytes:
        self.note("getex", key, px)
        return b"last"

    async def set(self, key: str, value: Any, *, px: int, nx: bool = False) -> bool:
        self.note("set", key, px, nx)
        return True

    async def pexpire(self, key: str, ms: int) -> None:
        self.note("pexpire", key, ms)

    async def delete(self, key: str) -> None:
        self.note("delete", key)

    async def scan(self, cursor: int, *, match: str, count: int) -> tuple[int, list[bytes]]:
        self.note("scan", cursor, match, count)
        return (cursor + 1) % len(self.pages), [keys.record(id_).encode() for id_ in self.pages[cursor]]

    async def without_look(self, ids: Sequence[str]) -> list[str]:
        return list(ids)

    async def looks(self, ids: Sequence[str]) -> dict[str, Look]:
        return dict.fromkeys(ids, WAITING)

    async def records(self, ids: Sequence[str]) -> list[None]:
        return [None for _ in ids]

    async def list_again(self, lost: dict[str, Look], tags: dict[str, Tags]) -> None:
        assert tags == {}
        self.note("again", *lost)

    @property
    def rescan(self) -> Rescan:
        return Rescan(cast(Logs, self), cast(Coordination, self), cast(Agreement, self))


def test_a_search_goes_by_pages_with_a_pause_between_and_holds_its_place_meanwhile() -> None:
    store = Store(["gen_a", "gen_b"], [], ["gen_c"])
    assert at_once(store.rescan.look()) == 3
    renewed = ("pexpire", keys.RECOVERING, 15_000)
    assert store.done == [
        ("run",),
        ("getex", keys.RECOVERED, keys.INDEX_MS),
        ("set", keys.RECOVERING, 15_000, True),
        ("scan", 0, "{gen_*}:record", 500), renewed, ("again", "gen_a", "gen_b"),
        ("scan", 1, "{gen_*}:record", 500), renewed,
        ("scan", 2, "{gen_*}:record", 500), renewed, ("again", "gen_c"),
        ("set", keys.RECOVERED, keys.INDEX_MS, False),
        ("delete", keys.RECOVERING),
    ]  # fmt: skip
    assert [at for what, at in zip(store.done, store.times, strict=True) if what[0] == "scan"] == [0, 0.05, 0.1]


def test_a_worker_whose_logs_are_elsewhere_searches_nothing() -> None:
    store = Store(["gen_a"])
    store.apart = True
    assert at_once(store.rescan.look()) is None
    assert store.done == []


def test_a_worker_asks_every_5_seconds_also_while_redis_is_away(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    store.run, store.away = None, 2

    async def scene() -> None:
        running = asyncio.create_task(store.rescan.run())
        await asyncio.sleep(16)
        assert not running.done()
        running.cancel()
        await asyncio.wait([running])

    at_once(scene())
    assert store.times == [0, 5, 10, 15]
    assert len(caplog.messages) == 2
