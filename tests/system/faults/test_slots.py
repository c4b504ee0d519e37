"""The logs on a node of a cluster that has all slots, and gives one away: what it answers then (ASK, MOVED, TRYAGAIN) is waited
out, and told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis

from broker import keys
from broker.local.embedded import EmbeddedServer, free_port
from tests.harness.stack import Stack, until
from tests.system.faults.watching import watch, whole_text

STEADY = "sim-1?ttft_ms=20&tps=50&tokens=200"
QUICK = "sim-1?ttft_ms=20&tps=200&tokens=20"
BODY = {"model": QUICK, "messages": [{"role": "user", "content": "?"}]}
CLUSTER = {"cluster-enabled": "yes", "cluster-node-timeout": "60000", "cluster-require-full-coverage": "no"}
PASSWORD = "of-both"


class Node(EmbeddedServer):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder, free_port(), password=PASSWORD, config=CLUSTER)

    def tell(self, *words: str | int) -> Any:
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            return client.execute_command(*words)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    with Node(tmp_path / "one") as one, Node(tmp_path / "two") as two:
        one.tell("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        one.tell("CLUSTER", "MEET", "127.0.0.1", two.port)
        until(lambda: two.tell("CLUSTER INFO")["cluster_known_nodes"] == "2", "they know each other", 20)
        until(lambda: one.tell("CLUSTER INFO")["cluster_state"] == "ok", "the cluster is whole", 20)
        yield one, two


def test_a_generation_whose_slot_is_elsewhere_waits_and_goes_on_where_it_was(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    here, there = one.tell("CLUSTER", "MYID"), two.tell("CLUSTER", "MYID")
    with Stack(apis=1, lease=30, pickup_grace=1, logs_url=one.url) as stack:
        watched = watch(stack, STEADY)
        watched.runs()
        slot = one.tell("CLUSTER", "KEYSLOT", keys.record(watched.id))
        one.tell("CLUSTER", "SETSLOT", slot, "NODE", there)
        until(lambda: stack.workers[0].said("Redis is away: MOVED"), "the worker has noticed")
        answer = httpx2.get(f"{stack.url}/v1/generations/{watched.id}")
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_cluster")
        one.tell("CLUSTER", "SETSLOT", slot, "NODE", here)
        record = watched.verdict()
        assert (record["state"], record["text"], record["attempt"]) == ("completed", whole_text(STEADY), 1)


def test_what_would_be_new_while_slots_are_on_their_way_is_refused_for_now_and_what_runs_goes_on(
    nodes: tuple[Node, Node],
) -> None:
    one, two = nodes
    there = two.tell("CLUSTER", "MYID")
    with Stack(apis=1, lease=30, pickup_grace=1, logs_url=one.url) as stack:
        watched = watch(stack, STEADY)
        watched.runs()
        every_slot(one, "MIGRATING", there)
        answer = httpx2.post(f"{stack.url}/v1/generations", json=BODY)
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_cluster")
        every_slot(one, "STABLE")
        record = watched.verdict()
        assert (record["state"], record["text"], record["attempt"]) == ("completed", whole_text(STEADY), 1)
        assert watch(stack, QUICK).verdict()["state"] == "completed"


def every_slot(node: Node, *state: str) -> None:
    with redis.Redis.from_url(node.url) as client:
        pipe = client.pipeline(transaction=False)
        for slot in range(16384):
            pipe.execute_command("CLUSTER", "SETSLOT", slot, *state)
        pipe.execute()
