"""Erasures, by real processes: viewers on every API, workers that are just writing, the archive, Redis' own file."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis

from broker import keys
from broker.local.embedded import EmbeddedServer
from tests.broker.store.scripted import Server
from tests.harness.client import Client, Frame, check_log
from tests.harness.clusters import EmbeddedCluster
from tests.harness.stack import Stack, until
from worker.rewriting import Rewriting, servers_behind

SLOW = "sim-1?tps=200&ttft_ms=0&tokens=5000"
QUICK = "sim-1?tps=0&ttft_ms=0&tokens=10"
CANARY = "canary-of-a-prompt"
PATIENCE = 30.0


def erase(client: Client, id_: str) -> dict[str, Any]:
    answer = client.http.delete(f"/v1/generations/{id_}")
    assert answer.status_code in (200, 202), answer.text
    receipt: dict[str, Any] = answer.json()
    return receipt


def watched_to_its_cut(client: Client, id_: str) -> list[Frame]:
    """Whoever ends it otherwise fails the test."""
    seen: list[Frame] = []

    def watch() -> None:
        with client.stream(id_) as events:
            seen.extend(iter(events))

    with pytest.raises(httpx2.RemoteProtocolError):
        watch()
    return seen


def left_of(url: str, ids: list[str]) -> list[str]:
    """Keys of the logs' that these generations have yet."""
    with redis.Redis.from_url(url) as server:
        return [
            str(key)
            for id_ in ids
            for key in (keys.record(id_), keys.log(id_), keys.webhook(id_))
            if server.exists(key)
        ]


def test_viewers_of_every_api_are_told_and_cut_and_the_upstream_is_closed(
    client: Client, other_client: Client, shared: Stack
) -> None:
    generation = client.submit(SLOW)
    with ThreadPoolExecutor(4) as pool:
        watching = [pool.submit(watched_to_its_cut, each, generation.id) for each in (client, other_client) * 2]
        until(lambda: shared.asked(generation.user_id), "upstream is asked")
        receipt = erase(other_client, generation.id)
        for watcher in watching:
            seen = watcher.result(PATIENCE)
            assert (seen[-1].type, seen[-1].data["reason"], seen[-1].id) == ("gap", "erased", None)
    assert (receipt["was"], receipt["complete"]) == ("running", True)
    for each in (client, other_client):
        for path in (f"/v1/generations/{generation.id}", f"/v1/generations/{generation.id}/events"):
            answer = each.http.get(path)
            assert (answer.status_code, answer.json()["code"]) == (410, "erased")
    until(lambda: [call["closed_by"] for call in shared.asked(generation.user_id)] == ["client"], "upstream is closed")
    assert left_of(shared.server.url, [generation.id]) == []


def test_who_waits_for_an_end_is_told_that_there_is_none(client: Client, other_client: Client) -> None:
    generation = client.submit(SLOW)
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(client.http.get, f"/v1/generations/{generation.id}?wait=20")
        until(lambda: other_client.record(generation.id)["state"] == "running", "it runs")
        erase(other_client, generation.id)
        answer = waits.result(PATIENCE)
    assert (answer.status_code, answer.json()["code"]) == (410, "erased")


def test_nothing_that_is_under_way_writes_it_again(client: Client, shared: Stack) -> None:
    """Wherever it is: in the queue, about to be claimed, in the middle, at its end."""
    chance = random.Random(7)

    def one(_: int) -> str:
        generation = client.submit(f"sim-1?tps=500&ttft_ms=0&tokens={chance.randint(1, 60)}", labels={"erase": "race"})
        time.sleep(chance.random() * 0.15)
        erase(client, generation.id)
        return generation.id

    with ThreadPoolExecutor(10) as pool:
        ids = list(pool.map(one, range(50)))
    again = client.submit(QUICK)
    check_log(client.events(again.id))  # the worker has gone on
    assert left_of(shared.server.url, ids) == []
    assert client.http.get("/v1/generations?label.erase=race").json()["data"] == []
    assert {client.http.get(f"/v1/generations/{id_}").json()["code"] for id_ in ids} == {"erased"}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(tmp_path / "cluster", replicas=False) as made:
        yield made


def test_logs_apart_on_a_cluster_and_in_an_archive_are_erased_as_well(
    shared: Stack, cluster: EmbeddedCluster, tmp_path: Path
) -> None:
    folder = tmp_path / "archive"
    with Stack(
        upstream=shared.upstream_url, logs_url=cluster.url, archive_url=f"file://{folder}", archive_after=1
    ) as stack:
        client = stack.client()
        key = {"idempotency-key": "k"}
        body = {"model": QUICK, "messages": [{"role": "user", "content": CANARY}]}
        keyed = client.http.post("/v1/generations", json=body, headers=key).json()["id"]
        running, archived = client.submit(SLOW), client.submit(QUICK)
        for id_ in (keyed, archived.id):
            check_log(client.events(id_))
        until(lambda: len(list(folder.glob("gen_*"))) == 2, "they are archived", PATIENCE)
        until(lambda: client.record(running.id)["state"] == "running", "it runs", PATIENCE)
        for id_ in (keyed, running.id, archived.id):
            assert erase(client, id_)["complete"]
            node = cluster.primary_of(keys.record(id_))
            assert node.command("EXISTS", keys.record(id_), keys.log(id_), keys.webhook(id_)) == 0
        assert list(folder.glob("gen_*")) == []
        answer = client.http.post("/v1/generations", json=body, headers=key)
        assert (answer.status_code, answer.json()["code"]) == (410, "erased")
        assert CANARY.encode() not in b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_what_was_erased_is_not_in_redis_file_once_that_is_rewritten(tmp_path: Path) -> None:
    data = tmp_path / "data"

    def has_canary() -> bool:
        return any(CANARY.encode() in file.read_bytes() for file in data.rglob("*") if file.is_file())

    with EmbeddedServer(data) as embedded, Server(embedded.url) as server:
        rewriting = Rewriting(server.redis, servers_behind(server.redis, server.redis), period=3600)
        server.command("SET", "prompt", CANARY)
        server.command("WAITAOF", 1, 0, 5000)
        assert has_canary()
        server.command("DEL", "prompt")
        server.command("WAITAOF", 1, 0, 5000)
        assert server.do(rewriting.look()) == 1
        until(lambda: not has_canary(), "the file is rewritten", PATIENCE)
        assert server.do(rewriting.look()) == 0, "not again so soon"
