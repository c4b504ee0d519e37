"""A worker whose RESPOOL_LOGS_URL is not that of the APIs: everybody is told, and nothing that was accepted is lost."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import redis

from broker import keys
from broker.local.embedded import EmbeddedServer
from tests.harness.client import Client, Generation
from tests.harness.stack import Stack, until
from tests.system.faults.watching import PROMPT, whole_text

MODEL = "sim-1?ttft_ms=20&tps=200&tokens=20"
BODY = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]}
TOLD = 30
"""Seconds: 15 of patience, a beat, and what a busy machine adds."""


@pytest.fixture
def right(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "right") as server:
        yield server


@pytest.fixture
def wrong(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "wrong") as server:
        yield server


def mismatch(answer: httpx2.Response) -> bool:
    return answer.status_code == 503 and answer.json()["code"] == "storage_mismatch"


def completes(client: Client, generation: Generation) -> None:
    until(lambda: client.record(generation.id)["state"] == "completed", "it completes")
    assert client.record(generation.id)["text"] == whole_text(MODEL)


def test_submits_are_refused_and_the_worker_says_why_until_it_has_the_logs_of_the_api(
    right: EmbeddedServer, wrong: EmbeddedServer
) -> None:
    with Stack(workers=0, logs_url=right.url) as stack:
        client = stack.client()
        accepted = client.submit(MODEL, PROMPT)
        worker = stack.add_worker(logs_url=wrong.url)
        assert worker.said("no job is taken until RESPOOL_LOGS_URL is the same")
        until(lambda: mismatch(client.http.get("/readyz")), "the API is not ready", TOLD)
        assert mismatch(client.http.post("/v1/generations", json=BODY))
        assert mismatch(client.http.post("/v1/chat/stream", json={"model": MODEL, "messages": BODY["messages"]}))
        assert client.record(accepted.id)["state"] == "queued"
        with redis.Redis.from_url(stack.server.url) as coordination:
            assert coordination.zscore(keys.QUEUE, f"{accepted.id}:1") is not None
        assert stack.apis[0].log.count("nothing is accepted until RESPOOL_LOGS_URL is the same") == 1
        assert worker.log.count("RESPOOL_LOGS_URL") == 1
        assert worker.stop() == 0
        stack.add_worker()
        completes(client, accepted)
        until(lambda: client.http.get("/readyz").status_code == 200, "the API is ready again")
        completes(client, client.submit(MODEL, PROMPT))


def test_a_worker_that_hears_of_no_api_drops_nothing_that_one_accepted(
    right: EmbeddedServer, wrong: EmbeddedServer
) -> None:
    with Stack(workers=0, logs_url=right.url, pickup_grace=0.5) as stack:
        accepted = stack.client().submit(MODEL, PROMPT)
        stack.apis[0].kill()
        with redis.Redis.from_url(stack.server.url) as coordination:
            (identity,) = coordination.zrange(keys.announced("api"), 0, -1)
            coordination.zincrby(keys.announced("api"), -60_000, identity)  # it died a minute ago
            worker = stack.add_worker(logs_url=wrong.url)
            until(lambda: coordination.zscore(keys.QUEUE, f"{accepted.id}:1") is None, "it takes the job")
            due = coordination.zscore(keys.DUE, accepted.id)
            until(lambda: coordination.zscore(keys.DUE, accepted.id) > due + 10_000, "a sweeper leaves it in `due`")
            worker.kill()
            stack.add_worker()
            coordination.zadd(keys.DUE, {accepted.id: 0})  # 20 s later
            stack.add_api()
            completes(stack.client(1), accepted)


def test_a_logs_server_that_is_emptied_is_the_same_one_to_all(right: EmbeddedServer) -> None:
    with Stack(logs_url=right.url) as stack, redis.Redis.from_url(right.url) as logs:
        identity = logs.get(keys.IDENTITY)
        assert identity
        logs.flushall()
        until(lambda: logs.get(keys.IDENTITY) == identity, "its identity is restored")
        client = stack.client()
        assert client.http.get("/readyz").status_code == 200
        completes(client, client.submit(MODEL, PROMPT))
        assert not any(child.said("RESPOOL_LOGS_URL") for child in (*stack.apis, *stack.workers))
