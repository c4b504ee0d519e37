"""A cluster of real servers on this machine, made by hand as an operator's tool would, and what may happen to it."""

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from redis.crc import key_slot

from broker import keys
from broker.local.embedded import EmbeddedServer, free_port
from tests.harness.stack import until

_SLOTS = 16_384
_PASSWORD = "of-all-nodes"
_STARTS = 30.0
_MOVES = 60.0
_PASSES = (
    "Unpaused before failover completed",
    "Slot is already being imported on the target by a different migration",
)
"""Why a job failed that an operator just starts again: the machine was too busy for the few seconds for which writes may be
stopped; what the last try had brought over is still being cleared."""


@dataclass
class Node:
    """One server. `primary` is whose replica it was made as, None if as a primary."""

    server: EmbeddedServer
    port: int
    bus: int
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

    def view(self) -> list[tuple[int, int, int]]:
        """Who has which slots, as it says: from, to, and the port of the one that has them."""
        return sorted((begin, end, owner[1]) for begin, end, owner, *_ in self.command("CLUSTER", "SLOTS"))

    def jobs(self) -> dict[str, tuple[str, str]]:
        """Of each job that moved slots from here or to here, its state and what is said of it."""
        told = [dict(zip(job[::2], job[1::2], strict=True)) for job in self.command("CLUSTER", "GETSLOTMIGRATIONS")]
        return {job[b"name"].decode(): (job[b"state"].decode(), job[b"message"].decode()) for job in told}


class EmbeddedCluster:
    """Primaries that share the slots evenly, each with one replica. Use it as a context. `node_timeout_ms`: after how long of
    silence a primary is replaced."""

    def __init__(
        self, folder: Path, *, primaries: int = 3, replicas: bool = True, node_timeout_ms: int = 1000, **config: str
    ) -> None:
        self._stack = ExitStack()
        self._folder = folder
        self._config = {
            "cluster-enabled": "yes", "cluster-node-timeout": str(node_timeout_ms), "cluster-replica-validity-factor": "0",
            "repl-diskless-sync-delay": "0", **config,
        }  # fmt: skip
        self._made = 0
        self.nodes: list[Node] = []
        for number in range(primaries * (2 if replicas else 1)):
            self.nodes.append(self._node(self.nodes[number - primaries] if number >= primaries else None))
        self.primaries = primaries

    def _node(self, primary: Node | None) -> Node:
        port, bus = free_port(), free_port()
        config = {**self._config, "cluster-port": str(bus)}
        self._made += 1
        server = EmbeddedServer(self._folder / f"node-{self._made}", port, password=_PASSWORD, config=config)
        return Node(server, port, bus, primary)

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
        for number, node in enumerate(self.nodes[: self.primaries]):
            begin, end = (_SLOTS * each // self.primaries for each in (number, number + 1))
            node.command("CLUSTER", "ADDSLOTSRANGE", begin, end - 1)
        for number, node in enumerate(self.nodes, 1):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number)
        for node in others:
            first.command("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus)
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
            for begin, end, port in node.view():
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

    def migrate_at_once(self, slots: range, source: Node, target: Node) -> None:
        """Moves slots in one step, as Valkey 9 can. Who has just joined takes none before it knows whose they are: the job
        would fail (`Slot 0 has no node served`). Fails with what the server says of a job that failed."""
        until(self._agree, "everybody knows where all slots are", _MOVES)
        job = self._export(slots, source, target)

        def everybody_knows() -> bool:
            nonlocal job
            state, message = source.jobs()[job]
            if state in ("failed", "canceled"):
                assert message in _PASSES, f"slots {slots[0]} to {slots[-1]} have not moved: {message}"
                job = self._export(slots, source, target)
            return state == "success" and all(self._serves(node, target, slots) for node in self.nodes)

        until(everybody_knows, "everybody knows where they are", _MOVES)

    @staticmethod
    def _export(slots: range, source: Node, target: Node) -> str:
        """The name of a job that is to move them."""
        before = source.jobs().keys()
        source.command("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slots[0], slots[-1], "NODE", target.id)
        (job,) = source.jobs().keys() - before
        return job

    def _agree(self) -> bool:
        """Whether all who run say the same of who has which slots, and none is missing."""
        views = {tuple(node.view()) for node in self.nodes if node.server.pid is not None}
        return len(views) == 1 and sum(end + 1 - begin for begin, end, _ in views.pop()) == _SLOTS

    def grow(self) -> Node:
        """One more primary, without a replica, that is given its share of the slots of the others."""
        node = self._node(None)
        self._stack.enter_context(node.server)
        self.nodes[0].command("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus)
        primaries = [each for each in self.nodes if each.is_primary]
        self.nodes.append(node)
        until(lambda: all(self._knows_all(each) for each in self.nodes), "all nodes know each other", _STARTS)
        self.primaries += 1
        for source in primaries:
            slots = max(self._slots_of(source), key=len)
            self.migrate_at_once(slots[: len(slots) // self.primaries], source, node)
        return node

    def shrink(self, node: Node) -> None:
        """Its slots go to the others, who forget it, and it ends."""
        others = [each for each in self.nodes if each is not node]
        targets = cycle([each for each in others if each.is_primary])
        for slots in self._slots_of(node):
            self.migrate_at_once(slots, node, next(targets))
        id_ = node.id
        for each in others:
            each.command("CLUSTER", "FORGET", id_)
        self.nodes.remove(node)
        self.primaries -= 1
        node.server.stop()

    @staticmethod
    def _slots_of(node: Node) -> list[range]:
        return [range(begin, end + 1) for begin, end, port in node.view() if port == node.port]

    @staticmethod
    def _serves(asked: Node, node: Node, slots: range) -> bool:
        """Whether it does as the one says who is asked."""
        return asked.server.pid is None or any(
            begin <= slots[0] and slots[-1] <= end and port == node.port for begin, end, port in asked.view()
        )


# -- what may happen while a generation streams


def other_than(cluster: EmbeddedCluster, node: Node) -> Node:
    return next(each for each in cluster.nodes if each.server.pid and each.is_primary and each is not node)


def moves_key_by_key(cluster: EmbeddedCluster, id_: str) -> None:
    source = cluster.primary_of(keys.record(id_))
    cluster.migrate(key_slot(keys.record(id_).encode()), source, other_than(cluster, source), pause=0.3)


def moves_at_once(cluster: EmbeddedCluster, id_: str) -> None:
    source = cluster.primary_of(keys.record(id_))
    slot = key_slot(keys.record(id_).encode())
    cluster.migrate_at_once(range(slot, slot + 1), source, other_than(cluster, source))


def fails_over(cluster: EmbeddedCluster, id_: str) -> None:
    cluster.fail_over(cluster.primary_of(keys.record(id_)))


def is_killed(cluster: EmbeddedCluster, id_: str) -> None:
    before = cluster.primary_of(keys.record(id_))
    replica = cluster.replica_of(before)
    before.server.kill()
    until(lambda: replica.is_primary, "its replica has taken over", 30)
    before.server.start()


def freezes_and_thaws(cluster: EmbeddedCluster, id_: str) -> None:
    """It thaws when another is the primary, and does not know it yet."""
    before = cluster.primary_of(keys.record(id_))
    replica = cluster.replica_of(before)
    before.server.signal(signal.SIGSTOP)
    try:
        until(lambda: replica.is_primary, "its replica has taken over", 30)
    finally:
        before.server.signal(signal.SIGCONT)


def grows_and_shrinks(cluster: EmbeddedCluster, id_: str) -> None:
    """Whether or not this generation is among those that move, and move back."""
    cluster.shrink(cluster.grow())


EVENTS: dict[str, Callable[[EmbeddedCluster, str], None]] = {
    "its slot moves key by key": moves_key_by_key,
    "its slot moves at once": moves_at_once,
    "its primary is replaced by its operator": fails_over,
    "its primary is killed": is_killed,
    "its primary freezes and thaws": freezes_and_thaws,
    "the cluster grows and shrinks": grows_and_shrinks,
}
"""By name: what may happen to the server that has the log of a generation."""
