"""A cluster of real servers on this machine, made by hand as an operator's tool would, and what may happen to it."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from redis.crc import key_slot

from broker.local.embedded import EmbeddedServer, free_port
from tests.harness.stack import until

_SLOTS = 16_384
_PASSWORD = "of-all-nodes"
_STARTS = 30.0


@dataclass
class Node:
    """One server. `primary` is whose replica it was made as, None if as a primary."""

    server: EmbeddedServer
    port: int
    primary: "Node | None" = None

    def command(self, *words: str | bytes | int) -> Any:
        with redis.Redis(host="127.0.0.1", port=self.port, password=_PASSWORD, socket_timeout=5) as client:
            return client.execute_command(*words)

    @property
    def id(self) -> str:
        return str(self.command("CLUSTER", "MYID").decode())

    @property
    def is_primary(self) -> bool:
        return bool(self.command("ROLE")[0] == b"master")


class EmbeddedCluster:
    """Primaries that share the slots evenly, each with one replica. Use it as a context. `node_timeout_ms`: after how long of
    silence a primary is replaced."""

    def __init__(
        self, folder: Path, *, primaries: int = 3, replicas: bool = True, node_timeout_ms: int = 1000, **config: str
    ) -> None:
        self._stack = ExitStack()
        self.nodes: list[Node] = []
        for number in range(primaries * (2 if replicas else 1)):
            port, bus = free_port(), free_port()
            own = {
                "cluster-enabled": "yes", "cluster-port": str(bus), "cluster-node-timeout": str(node_timeout_ms),
                "cluster-replica-validity-factor": "0", "repl-diskless-sync-delay": "0", **config,
            }  # fmt: skip
            server = EmbeddedServer(folder / f"node-{number}", port, password=_PASSWORD, config=own)
            self.nodes.append(Node(server, port, self.nodes[number - primaries] if number >= primaries else None))
        self.primaries = primaries

    @property
    def url(self) -> str:
        """It names two of the nodes: the others are found."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:2])
        return f"redis+cluster://:{_PASSWORD}@{hosts}"

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                self._stack.enter_context(node.server)
            self._join()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def _join(self) -> None:
        first, *others = self.nodes
        bus = {node.port: node.command("CONFIG", "GET", "cluster-port") for node in self.nodes}
        for number, node in enumerate(self.nodes[: self.primaries]):
            begin, end = (_SLOTS * each // self.primaries for each in (number, number + 1))
            node.command("CLUSTER", "ADDSLOTSRANGE", begin, end - 1)
        for number, node in enumerate(self.nodes, 1):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number)
        for node in others:
            port = bus[node.port]
            port = (port[b"cluster-port"] if isinstance(port, dict) else port[1]).decode()
            first.command("CLUSTER", "MEET", "127.0.0.1", node.port, port)
        until(lambda: all(self._knows_all(node) for node in self.nodes), "all nodes know each other", _STARTS)
        for node in self.nodes:
            if node.primary is not None:
                node.command("CLUSTER", "REPLICATE", node.primary.id)
        until(self.whole, "the cluster is whole", _STARTS)

    def _knows_all(self, node: Node) -> bool:
        return len(node.command("CLUSTER", "NODES").decode().splitlines()) == len(self.nodes)

    def whole(self) -> bool:
        """Whether all slots are served, and every replica has what its primary has."""
        for node in self.nodes:
            if b"cluster_state:ok" not in node.command("CLUSTER", "INFO"):
                return False
            if not node.is_primary and node.command("ROLE")[3] != b"connected":
                return False
        return sum(node.is_primary for node in self.nodes) == self.primaries

    # -- what happens to it

    def primary_of(self, key: str) -> Node:
        """Who serves the slot of this key now."""
        slot = key_slot(key.encode())
        for node in self.nodes:
            if node.server.pid is None:
                continue
            for begin, end, (_, port, *_), *_ in node.command("CLUSTER", "SLOTS"):
                if begin <= slot <= end:
                    return next(each for each in self.nodes if each.port == port)
        raise AssertionError(f"nobody serves slot {slot}")

    def replica_of(self, primary: Node) -> Node:
        """A node that follows it now."""
        id_ = primary.id
        for node in self.nodes:
            if node is not primary and node.server.pid is not None and not node.is_primary:
                mine = next(line for line in node.command("CLUSTER", "NODES").decode().splitlines() if "myself" in line)
                if id_ in mine:
                    return node
        raise AssertionError("it has no replica")

    def fail_over(self, primary: Node) -> Node:
        """Its replica takes over, nothing is lost; returns the new primary."""
        replica = self.replica_of(primary)
        replica.command("CLUSTER", "FAILOVER")
        until(lambda: replica.is_primary, "the replica has taken over")
        return replica

    def migrate(self, slot: int, source: Node, target: Node, *, pause: float = 0.0) -> None:
        """Moves a slot as tools have always done, key by key; between two keys it waits for `pause` seconds."""
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        while found := source.command("CLUSTER", "GETKEYSINSLOT", slot, 1):
            time.sleep(pause)
            source.command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "AUTH", _PASSWORD, "KEYS", *found)
        time.sleep(pause)
        for node in (target, source, *self.nodes):
            if node.is_primary:
                node.command("CLUSTER", "SETSLOT", slot, "NODE", target.id)

    def migrate_at_once(self, slot: int, source: Node, target: Node) -> None:
        """Moves a slot in one step, as Valkey 9 can."""
        source.command("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target.id)
        until(lambda: self._serves(target, slot), "the slot has moved", 20)

    def _serves(self, node: Node, slot: int) -> bool:
        return any(begin <= slot <= end and owner[1] == node.port
                   for begin, end, owner, *_ in node.command("CLUSTER", "SLOTS"))  # fmt: skip
