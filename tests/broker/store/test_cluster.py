"""A client of a cluster and the lanes to it, against real servers: each command goes to who has its key, wherever that is."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from arq.connections import ArqRedis
from redis.crc import key_slot
from redis.exceptions import ResponseError

from broker import keys
from broker.errors import StorageUnavailable, UnsafeStorage
from broker.events import TEXT, Content
from broker.ids import BEGINNING, new_generation_id
from broker.local.embedded import EmbeddedServer, free_port
from broker.record import Ending
from broker.replies import Appended, Finished, Granted, NotAppended
from broker.store.address import BadAddress
from broker.store.appends import AttemptLog
from broker.store.client import connect
from broker.store.cluster import ClusterRedis, connect_logs, servers_of
from broker.store.lanes import ClusterLanes
from broker.store.logs import Logs
from broker.store.safety import check_safe
from broker.store.topology import Topology
from tests.harness import clusters
from tests.harness.clusters import EmbeddedCluster, Node
from tests.harness.stack import until

T = TypeVar("T")
A = Content(TEXT, b"a")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(tmp_path_factory.mktemp("cluster"), replicas=False) as cluster:
        yield cluster


def with_client(cluster: EmbeddedCluster, work: Callable[[ClusterRedis], Awaitable[T]]) -> T:
    async def run() -> T:
        redis = ClusterRedis(cluster.url)
        try:
            return await work(redis)
        finally:
            await redis.aclose(close_connection_pool=True)

    return asyncio.run(run())


def two(cluster: EmbeddedCluster, key: str) -> tuple[Node, Node]:
    """Who has the key, and somebody else."""
    source = cluster.primary_of(key)
    return source, next(node for node in cluster.nodes if node is not source)


def test_commands_of_many_slots_are_answered_in_order_and_a_transaction_of_one_is_one(cluster: EmbeddedCluster) -> None:
    async def work(redis: ClusterRedis) -> None:
        names = [f"key-{number}" for number in range(60)]
        pipe = redis.pipeline(transaction=False)
        for name in names:
            pipe.set(name, name, px=60_000)
        assert await pipe.execute() == [True] * 60
        for name in names:
            pipe.get(name)
        assert await pipe.execute() == [name.encode() for name in names]
        assert [await redis.get(name) for name in names] == [name.encode() for name in names]
        assert len(await servers_of(redis)) == 3
        pipe = redis.pipeline(transaction=True)
        pipe.incr("{a}n")
        pipe.pexpire("{a}n", 60_000)
        assert await pipe.execute() == [1, True]

    with_client(cluster, work)


def test_an_error_is_the_reply_of_its_own_command_and_quotes_nothing(cluster: EmbeddedCluster) -> None:
    async def work(redis: ClusterRedis) -> None:
        await redis.set("text", "x", px=60_000)
        pipe = redis.pipeline(transaction=False)
        pipe.incr("text")
        pipe.get("text")
        pipe.get("other")
        error, text, nothing = await pipe.execute(raise_on_error=False)
        assert isinstance(error, ResponseError)
        assert (text, nothing) == (b"x", None)
        pipe.hset("text", "prompt", "a canary")
        with pytest.raises(ResponseError, match="WRONGTYPE") as caught:
            await pipe.execute()
        assert "canary" not in str(caught.value)

    with_client(cluster, work)


def test_the_steps_of_a_generation_are_made_where_it_is_while_its_slot_moves(cluster: EmbeddedCluster) -> None:
    id_ = new_generation_id()
    slot, (source, target) = key_slot(id_.encode()), two(cluster, keys.record(id_))

    async def work(redis: ClusterRedis) -> None:
        logs, lanes = Logs(redis), ClusterLanes(cluster.url)
        assert await logs.create(id_, b"{}", "m", 60_000)
        granted = await logs.claim(
            id_, "w", lease_ms=60_000, most_attempts=3, planned_from=BEGINNING, run=True, start_json=b'{"type":"x"}',
            kept_chunks=0,
        )  # fmt: skip
        assert isinstance(granted, Granted)
        log = AttemptLog(id_, granted.attempt)
        written = 0

        async def append() -> None:
            nonlocal written
            try:
                (reply,) = await lanes.of(slot).send([log.append(written + 1, [A])])
            except StorageUnavailable:
                reply = NotAppended(StorageUnavailable())
            if isinstance(reply, Appended):
                written = reply.seq
            else:
                assert isinstance(reply, NotAppended)
                assert isinstance(reply.error, StorageUnavailable)
                await lanes.look_again(lambda: None)

        for move in (
            lambda: cluster.migrate(slot, source, target, pause=0.1),
            lambda: cluster.migrate_at_once(range(slot, slot + 1), target, source),
        ):
            moving = threading.Thread(target=move)
            moving.start()
            while moving.is_alive():
                await append()
                assert (await logs.visit(id_, None)).state == "running"
            moving.join()
        before = written
        while written < before + 3:
            await append()
        assert await logs.finish(id_, granted.attempt, written + 1, Ending("completed")) == Finished("ended")
        assert [entry.id.seq for entry in await logs.from_(id_, BEGINNING, 10_000)] == [*range(written + 1), 0]
        lanes.close()

    with_client(cluster, work)
    assert cluster.primary_of(keys.record(id_)) is source


def test_a_lane_to_a_server_that_has_no_slots_any_more_is_closed_and_what_is_sent_over_it_waits() -> None:
    async def run() -> None:
        lanes = ClusterLanes("redis+cluster://one:1,two:2")
        topology = Topologies()
        vars(lanes)["_topology"] = topology
        moved: list[str] = []
        nowhere = lanes.of(1)
        with pytest.raises(StorageUnavailable):
            await nowhere.send([AttemptLog("g", 1).append(1, [A])])
        topology.next = {1: "one:1", 2: "two:2"}
        await lanes.look_again(lambda: moved.append("first"))
        one, other = lanes.of(1), lanes.of(2)
        assert one is lanes.of(1) is not other
        await lanes.look_again(lambda: moved.append("nothing new"))
        topology.next = {1: "two:2", 2: "two:2"}
        await lanes.look_again(lambda: moved.append("second"))
        assert moved == ["first", "second"]
        assert lanes.of(1) is other
        assert (one.closed, other.closed) == (True, False)
        with pytest.raises(StorageUnavailable):
            await one.send([AttemptLog("g", 1).append(1, [A])])
        lanes.close()
        assert other.closed

    asyncio.run(run())


class Topologies:
    """What is known of a cluster; `next` is what it is now."""

    def __init__(self) -> None:
        self.known: dict[int, str] = {}
        self.next: dict[int, str] = {}

    def of(self, slot: int) -> str | None:
        return self.known.get(slot)

    @property
    def primaries(self) -> set[str]:
        return set(self.known.values())

    def url(self, place: str) -> str:
        return f"redis://{place}"

    async def refresh(self) -> bool:
        changed, self.known = self.known != self.next, self.next
        return changed

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("url", "place", "there"),
    [
        ("redis+cluster://a:1,b:2", "c:3", "redis://c:3/0"),
        ("redis+cluster://:secret@a:1", "c:3", "redis://:secret@c:3/0"),
        ("redis+cluster://user:se%40cret@a:1,b:2/0", "c:3", "redis://user:se%40cret@c:3/0"),
        ("rediss+cluster://a:1,b:2?ssl_ca_certs=/ca.pem", "c:3", "rediss://c:3/0?ssl_ca_certs=/ca.pem"),
    ],
)
def test_a_server_of_the_cluster_is_connected_to_as_the_url_says(url: str, place: str, there: str) -> None:
    assert Topology(url).url(place) == there


def test_who_has_which_slot_is_asked_of_each_until_one_answers(cluster: EmbeddedCluster) -> None:
    login, nobody = cluster.url.partition("@")[0], free_port()

    async def ask(url: str) -> Any:
        topology = Topology(url)
        try:
            return await topology.refresh(), await topology.refresh(), topology.primaries, topology.of(0)
        finally:
            topology.close()

    places = {f"127.0.0.1:{node.port}" for node in cluster.nodes}
    for url in (f"{login}@127.0.0.1:{nobody},127.0.0.1:{cluster.nodes[2].port}", cluster.url):
        assert asyncio.run(ask(url)) == (True, False, places, f"127.0.0.1:{cluster.nodes[0].port}")
    assert asyncio.run(ask(f"{login}@127.0.0.1:{nobody}")) == (False, False, set(), None)


def test_a_cluster_where_one_server_is_needed_or_the_reverse_is_refused_with_what_to_set(
    cluster: EmbeddedCluster, tmp_path: Path
) -> None:
    async def check(url: str) -> None:
        redis = connect_logs(url, connections=2, retries=0)
        try:
            await check_safe(redis, "checked")
        finally:
            await redis.aclose(close_connection_pool=True)

    asyncio.run(check(cluster.url))
    with pytest.raises(UnsafeStorage, match=r"RESPOOL_LOGS_URL to redis\+cluster://"):
        asyncio.run(check(cluster.nodes[0].server.url))
    with EmbeddedServer(tmp_path, free_port()) as one, pytest.raises(UnsafeStorage, match="Redis is none there"):
        asyncio.run(check(one.url.replace("redis://", "redis+cluster://")))
    with pytest.raises(BadAddress, match="a cluster can have the logs alone"):
        connect(cluster.url)


def test_of_a_cluster_every_primary_is_asked_whether_it_keeps_what_it_is_given(cluster: EmbeddedCluster) -> None:
    cluster.nodes[2].command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(UnsafeStorage, match="allkeys-lru"):
            with_client(cluster, lambda redis: check_safe(redis, "checked"))
    finally:
        cluster.nodes[2].command("CONFIG", "SET", "maxmemory-policy", "noeviction")


def test_an_end_is_confirmed_by_the_server_that_has_it_and_by_no_other(cluster: EmbeddedCluster) -> None:
    id_ = new_generation_id()
    slot = key_slot(keys.record(id_).encode())
    source = cluster.primary_of(keys.record(id_))
    target = next(node for node in cluster.nodes if node is not source)

    def run_of(node: Node) -> str:
        return str(node.command("INFO", "server")["run_id"])

    async def work(redis: ArqRedis) -> None:
        logs = Logs(redis)
        assert await logs.create(id_, b"{}", "m", 60_000, "strict")
        here = await logs.at(id_)
        assert await here.can_confirm()
        assert await here.acknowledged() == "disk"
        sample = await here.fsyncs()
        assert sample is not None
        assert sample.server == run_of(source)
        cluster.migrate_at_once(range(slot, slot + 1), source, target)
        assert await here.acknowledged() == "disk", "it has one, though not for this generation"
        with pytest.raises(StorageUnavailable):
            await here.confirm(id_, BEGINNING)
        there = await logs.at(id_)
        sample = await there.fsyncs()
        assert sample is not None
        assert sample.server == run_of(target)
        assert not await there.confirm(id_, BEGINNING), "it does not end so"

    with_client(cluster, work)
    cluster.migrate_at_once(range(slot, slot + 1), target, source)


def test_the_servers_of_a_cluster_are_those_that_there_are_now(cluster: EmbeddedCluster) -> None:
    async def work(redis: ArqRedis) -> None:
        assert len(await servers_of(redis)) == 3
        more = cluster.grow()
        assert len(await servers_of(redis)) == 4
        cluster.shrink(more)
        assert [await server.ping() for server in await servers_of(redis)] == [True] * 3

    with_client(cluster, work)


def test_slots_that_an_operator_cannot_move_stay_and_why_is_told_and_what_passes_is_tried_again(
    cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = two(cluster, "key")
    slots = range(key_slot(b"key"), key_slot(b"key") + 1)
    _, right = source.command("CONFIG", "GET", "primaryauth")
    source.command("CONFIG", "SET", "primaryauth", "wrong")
    try:
        with pytest.raises(AssertionError, match="have not moved: Failed to AUTH to target node") as caught:
            cluster.migrate_at_once(slots, source, target)
        monkeypatch.setattr(clusters, "_PASSES", (str(caught.value).partition("have not moved: ")[2],))
        tries = len(source.jobs())
        moving = threading.Thread(target=lambda: cluster.migrate_at_once(slots, source, target))
        moving.start()
        until(lambda: len(source.jobs()) > tries + 2, "it was tried again, and again")
    finally:
        source.command("CONFIG", "SET", "primaryauth", right)
    moving.join()
    assert cluster.primary_of("key") is target
    cluster.migrate_at_once(slots, target, source)
