"""Logs on a cluster whose slots move and whose primaries die, while people watch: nobody sees wrong text or misses any."""

import time
from collections.abc import Iterator

import pytest
from redis.crc import key_slot

from broker import keys
from tests.harness.clusters import EVENTS, EmbeddedCluster
from tests.harness.stack import Stack, until
from tests.system.faults.watching import Watched, goes_on, watch, whole
from tests.system.main_path import main_path

STEADY = "sim-1?ttft_ms=20&tps=40&tokens=400"
QUICK = "sim-1?ttft_ms=20&tps=200&tokens=20"
STEADY_END = "sim-1?ttft_ms=20&tps=40&tokens=60"
GENERATIONS = 6
VERDICT = 90.0
LEASE = 30
"""Seconds: longer than a failover takes on a busy machine, so that nobody else takes over meanwhile."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def stack(cluster: EmbeddedCluster) -> Iterator[Stack]:
    with Stack(apis=2, workers=2, lease=LEASE, pickup_grace=1, logs_url=cluster.url) as stack:
        yield stack


def test_the_main_path_is_the_same_with_logs_on_a_cluster(cluster: EmbeddedCluster, stack: Stack) -> None:
    ids = main_path(stack)
    assert len({cluster.primary_of(keys.record(id_)).port for id_ in ids}) > 1


@pytest.mark.long
@pytest.mark.parametrize("event", EVENTS)
def test_what_happens_to_a_server_of_the_cluster_costs_no_viewer_a_word(
    cluster: EmbeddedCluster, stack: Stack, event: str
) -> None:
    before = [child.pid for child in (*stack.apis, *stack.workers)]
    running = [watch(stack, STEADY) for _ in range(GENERATIONS)]
    for each in running:
        each.runs()
    EVENTS[event](cluster, running[0].id)
    moment = time.monotonic()
    until(lambda: all(goes_on(each, moment) for each in running), "every viewer gets more text", 30)
    for each in running:
        whole(each, VERDICT)
    assert watch(stack, QUICK).verdict()["state"] == "completed"
    until(cluster.whole, "the cluster is whole again", 30)
    assert [child.pid for child in (*stack.apis, *stack.workers) if child.running] == before
    until(lambda: all(map(stack.is_ready, stack.urls)), "every API is ready")


def test_a_strict_end_waits_for_the_disk_of_its_own_server_and_moves_with_its_slot(
    cluster: EmbeddedCluster, stack: Stack
) -> None:
    one, other = two_apart(cluster, stack)
    node = cluster.primary_of(keys.record(one.id))
    slot = key_slot(keys.record(one.id).encode())
    node.command("CONFIG", "SET", "appendfsync", "no")
    try:
        assert other.verdict()["state"] == "completed"
        until(lambda: node.command("HGET", keys.record(one.id), "state") == b"completed", "its end is written")
        assert not any(watcher.ended for watcher in one.watchers)
        cluster.migrate_at_once(range(slot, slot + 1), node, cluster.primary_of(keys.record(other.id)))
        assert one.verdict()["state"] == "completed"
    finally:
        node.command("CONFIG", "SET", "appendfsync", "everysec")


def two_apart(cluster: EmbeddedCluster, stack: Stack) -> tuple[Watched, Watched]:
    """Strict generations of two servers of the cluster."""
    one = watch(stack, STEADY_END, durability="strict")
    while True:
        other = watch(stack, STEADY_END, durability="strict")
        if cluster.primary_of(keys.record(other.id)) is not cluster.primary_of(keys.record(one.id)):
            return one, other
