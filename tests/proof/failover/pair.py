"""A primary and a replica that lags behind it, and the address under which clients find whoever is the primary."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import redis

from broker import keys
from broker.local.embedded import EmbeddedServer, free_port
from tests.harness.stack import until
from tests.proof.chaos.proxy import FaultProxy, Mode

T = TypeVar("T")

_SECONDS = 10.0
_PASSWORD = "of-both"
"""A replica shows its primary its own."""
_CONFIG = {"repl-diskless-sync-delay": "0", "repl-ping-replica-period": "1"}


class Front(EmbeddedServer):
    """What a Stack takes for its server: an address. The servers behind it are started and stopped by their Pair."""

    def start(self) -> None:
        pass

    def stop(self, grace: float = 0.0) -> None:
        pass


class Network:
    """An event loop in a thread of its own, in which proxies run while a test waits."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)

    def call(self, change: Callable[[], object]) -> None:
        """Runs the function in the loop; it is done when this returns."""

        async def run() -> None:
            change()

        self.do(run())

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)
        self._loop.close()


class Pair:
    """Use it as a context. `front` is for clients; `link` carries the replication, late by `lag` seconds. There is no replica
    before `follow`, nor after `promote`."""

    def __init__(self, folder: Path) -> None:
        self.primary = EmbeddedServer(folder / "one", free_port(), password=_PASSWORD, config=_CONFIG)
        self.replica = EmbeddedServer(folder / "two", free_port(), password=_PASSWORD, config=_CONFIG)
        self.network = Network()
        self._front = FaultProxy(("127.0.0.1", self.primary.port))
        self._front.port = free_port()
        self.front = Front(folder / "front", self._front.port, password=_PASSWORD)
        self.link = FaultProxy(("127.0.0.1", self.primary.port))

    def __enter__(self) -> Self:
        try:
            self.primary.start()
            self.network.do(self._front.start())
            self.network.do(self.link.start())
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for proxy in (self._front, self.link):
            self.network.do(proxy.close())
        self.network.close()
        self.replica.kill()
        self.primary.kill()

    def follow(self) -> None:
        """Starts the replica and waits until it has all that the primary has."""

        def renew() -> None:
            self._cut(self.link)
            self.link.target = ("127.0.0.1", self.primary.port)
            self.link.set(Mode.PASS)

        self.network.call(renew)
        self.replica.start()
        self._tell(self.replica, "REPLICAOF", "127.0.0.1", self.link.port)
        until(lambda: self._info(self.replica)["master_link_status"] == "up", "the replica follows", 20)

    def lag(self, seconds: float) -> None:
        self.network.call(lambda: self.link.set(Mode.DELAY, seconds))

    def lose_primary(self) -> None:
        """It dies, and what it has said and the replica has not heard dies with it."""
        self.network.call(lambda: self.link.set(Mode.HOLD))
        self.primary.kill()

    def promote(self) -> float:
        """The replica takes over, and clients are led to it. When that was."""
        self._tell(self.replica, "REPLICAOF", "NO", "ONE")
        self.primary, self.replica = self.replica, self.primary
        self._front.target = ("127.0.0.1", self.primary.port)
        return time.monotonic()

    def last_ids(self, ids: list[str]) -> list[tuple[int, int]]:
        """The id of each log's last entry, as the replica knows it; (0, 0) if it knows of none."""
        with redis.Redis.from_url(self.replica.url) as client:
            rows = [client.xrevrange(keys.log(id_), count=1) for id_ in ids]
        return [_id(row[0][0].decode()) if row else (0, 0) for row in rows]

    def knows(self, id_: str) -> bool:
        """Whether the replica has the generation's record."""
        with redis.Redis.from_url(self.replica.url) as client:
            return bool(client.exists(keys.record(id_)))

    @staticmethod
    def _cut(proxy: FaultProxy) -> None:
        for link in list(proxy.links):
            link.reset()

    @staticmethod
    def _tell(server: EmbeddedServer, *words: str | int) -> None:
        with redis.Redis.from_url(server.url) as client:
            client.execute_command(*words)

    @staticmethod
    def _info(server: EmbeddedServer) -> dict[str, Any]:
        with redis.Redis.from_url(server.url) as client:
            found: dict[str, Any] = client.info("replication")
            return found


def _id(text: str) -> tuple[int, int]:
    attempt, _, seq = text.partition("-")
    return int(attempt), int(seq)
