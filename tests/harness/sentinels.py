"""A primary, its replicas and three Sentinels that fail over, of the embedded server's binary; and what a stack takes for its
server: their URL."""

import secrets
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urlencode

import redis

from broker.local.embedded import EmbeddedServer, free_port, server_binary
from broker.processes.orphans import Orphans
from tests.harness.processes import Child
from tests.harness.stack import until

NAME = "respool"
PASSWORD = "of-all"
"""Of the servers: a replica shows its primary its own."""
SENTINEL_PASSWORD = "of-the-sentinels"
DOWN_SECONDS = 1.0
"""After so long without an answer a Sentinel takes a server for dead."""
STARTS = 30.0
AGREE = 75.0
"""Seconds: a Sentinel whose timer was late by two (a busy machine) acts on nothing for the next 30."""
MOVES = 30.0
"""Seconds that a failover may take on a busy machine; it takes two or three."""
_CONFIG = {"repl-diskless-sync-delay": "0", "repl-ping-replica-period": "1", "repl-timeout": "5"}


class Front(EmbeddedServer):
    """What a Stack takes for its server: a URL. The servers behind it are started and stopped by their Trio."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder)
        self._url = url

    @property
    def url(self) -> str:
        return self._url

    def start(self) -> None:
        pass

    def stop(self, grace: float = 0.0) -> None:
        pass


class Trio:
    """Use it as a context. `replicas`: how many there are; `guarded`: `min-replicas-to-write 1` on all servers."""

    def __init__(self, folder: Path, *, replicas: int = 1, guarded: bool = True) -> None:
        self._folder = folder
        self._orphans = Orphans()
        guard = {"min-replicas-to-write": "1", "min-replicas-max-lag": "3"} if guarded else {}
        self.servers = [
            EmbeddedServer(
                folder / f"server-{number}", free_port(), password=PASSWORD, config={**_CONFIG, **guard},
                orphans=self._orphans,
            )
            for number in range(1 + replicas)
        ]  # fmt: skip
        self._ports = [free_port() for _ in range(3)]
        self.sentinels: list[Child] = []

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        return f"redis+sentinel://:{PASSWORD}@{hosts}/{NAME}?{urlencode({'sentinel_password': SENTINEL_PASSWORD})}"

    @property
    def front(self) -> Front:
        return Front(self._folder / "front", self.url)

    def __enter__(self) -> Self:
        try:
            for server in self.servers:
                server.launch()
            for server in self.servers:
                until(server.ready, "a server starts", STARTS)
            for server in self.servers[1:]:
                tell(server, "REPLICAOF", "127.0.0.1", self.servers[0].port)
            until(self._replicated, "the replicas follow", STARTS)
            self._start_sentinels()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for sentinel in self.sentinels:
            if sentinel.running:
                sentinel.kill()
        for server in self.servers:
            server.kill()
        self._orphans.close()

    def _replicated(self) -> bool:
        return all(info(server)["master_link_status"] == "up" for server in self.servers[1:])

    def _start_sentinels(self) -> None:
        """Each is told of the others and of the replicas: to find them by itself takes it seconds."""
        ids = [secrets.token_hex(20) for _ in self._ports]
        for at, port in enumerate(self._ports):
            folder = self._folder / f"sentinel-{at}"
            folder.mkdir()
            others = [(other, id_) for other, id_ in zip(self._ports, ids, strict=True) if other != port]
            lines = [
                f"port {port}", "bind 127.0.0.1", "protected-mode no", 'logfile ""', f"requirepass {SENTINEL_PASSWORD}",
                f"sentinel sentinel-pass {SENTINEL_PASSWORD}",
                f"sentinel myid {ids[at]}", f"sentinel monitor {NAME} 127.0.0.1 {self.servers[0].port} 2",
                f"sentinel auth-pass {NAME} {PASSWORD}",
                f"sentinel down-after-milliseconds {NAME} {round(DOWN_SECONDS * 1000)}",
                f"sentinel failover-timeout {NAME} 6000", f"sentinel parallel-syncs {NAME} 1",
                *(f"sentinel known-replica {NAME} 127.0.0.1 {server.port}" for server in self.servers[1:]),
                *(f"sentinel known-sentinel {NAME} 127.0.0.1 {other} {id_}" for other, id_ in others),
            ]  # fmt: skip
            (folder / "sentinel.conf").write_text("\n".join(lines) + "\n")
            command = [str(server_binary()), "sentinel.conf", "--sentinel"]
            self.sentinels.append(Child(f"sentinel-{at}", command, {}, folder, self._orphans, cwd=folder).start())
        until(self._agree, "the Sentinels know of everything", AGREE)

    def _agree(self) -> bool:
        try:
            told = [self.ask(at, "SENTINEL", "MASTER", NAME) for at in range(3)]
        except redis.RedisError:
            return False
        views = [dict(zip(each[::2], each[1::2], strict=True)) for each in told]
        return all(
            view["flags"] == "master" and int(view["num-slaves"]) == len(self.servers) - 1
            and int(view["num-other-sentinels"]) == 2
            for view in views
        )  # fmt: skip

    # -- what is so now

    def ask(self, at: int, *words: str) -> Any:
        """A Sentinel's own answer."""
        with redis.Redis(
            port=self._ports[at], password=SENTINEL_PASSWORD, decode_responses=True, socket_timeout=2
        ) as client:
            return client.execute_command(*words)

    @property
    def primary(self) -> EmbeddedServer:
        """By what most of the Sentinels say."""
        said = []
        for at in range(3):
            try:
                said.append(int(self.ask(at, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1]))
            except redis.RedisError:
                continue
        port = max(set(said), key=said.count)
        return next(server for server in self.servers if server.port == port)

    def moved_from(self, server: EmbeddedServer) -> EmbeddedServer:
        """Waits until another is the primary, and says so itself."""

        def elsewhere() -> EmbeddedServer | None:
            now = self.primary
            return now if now is not server and info(now)["role"] == "master" else None

        return cast(EmbeddedServer, until(elsewhere, "another is the primary", MOVES))

    def whole(self) -> None:
        """Waits until all servers follow the primary."""

        def follow() -> bool:
            now = self.primary
            try:
                return all(
                    info(server)["role"] == "slave" and info(server)["master_link_status"] == "up"
                    for server in self.servers
                    if server is not now
                )
            except redis.RedisError:
                return False

        until(follow, "all follow the primary", 2 * MOVES)

    def fail_over(self) -> None:
        """As an operator does it; not before the Sentinels have got over the last one."""

        def begun() -> bool:
            try:
                self.ask(0, "SENTINEL", "FAILOVER", NAME)
            except redis.ResponseError:  # INPROG, NOGOODSLAVE
                time.sleep(0.2)
                return False
            return True

        until(begun, "a failover begins", MOVES)


def tell(server: EmbeddedServer, *words: str | int) -> Any:
    with redis.Redis.from_url(server.url, socket_timeout=5) as client:
        return client.execute_command(*words)


def info(server: EmbeddedServer, section: str = "replication") -> dict[str, Any]:
    with redis.Redis.from_url(server.url, socket_timeout=2) as client:
        return cast(dict[str, Any], client.info(section))
