"""Submits that stop half way, and jobs that arq loses: what a client was told of runs, what nobody was told of leaves no
trace."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
import redis
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix

from broker import keys
from broker.ids import new_generation_id
from broker.request import GenerationRequest
from broker.store.client import connect
from broker.store.coordination import Coordination
from broker.store.logs import Logs
from broker.store.queue import Job
from tests.harness.stack import Stack, until
from tests.system.faults.watching import PROMPT, crew, whole_text

MODEL = "sim-1?ttft_ms=20&tps=200&tokens=20"
REQUEST = GenerationRequest.model_validate({"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]})


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(pickup_grace=1) as stack:
        yield stack


@pytest.fixture
def server(stack: Stack) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(stack.server.url) as client:
        yield client


class HalfAnApi:
    """The steps of a submit, one by one, as an API that dies in between would have done them."""

    def __init__(self, redis: ArqRedis) -> None:
        self.coordination, self.logs = Coordination(redis), Logs(redis)
        self.id = new_generation_id()

    async def reserve(self) -> None:
        await self.coordination.submit(self.id, f"key-of-{self.id}", REQUEST.fingerprint(), 0)

    async def make(self) -> None:
        await self.reserve()
        await self.logs.create(self.id, REQUEST.to_bytes(), MODEL, 60_000)

    async def make_late(self) -> None:
        """As one that was paused behind the first step until a sweeper took the id for one that was never made."""
        await self.reserve()
        while await self.coordination.redis.zscore(keys.DUE, self.id) is not None:
            await asyncio.sleep(0.02)
        await self.logs.create(self.id, REQUEST.to_bytes(), MODEL, 60_000)

    async def enqueue_late(self) -> None:
        await self.make_late()
        await self.coordination.enqueue(self.id, 1)

    async def enqueue(self) -> None:
        await self.make()
        await self.coordination.enqueue(self.id, 1)


def dies(stack: Stack, step: str) -> str:
    """Submits up to that step; the id."""

    async def run() -> str:
        redis = connect(stack.server.url, connections=2)
        api = HalfAnApi(redis)
        step_of: Coroutine[Any, Any, None] = getattr(api, step)()
        await step_of
        await redis.aclose(close_connection_pool=True)
        return api.id

    return asyncio.run(run())


def completes(stack: Stack, id_: str) -> None:
    client = stack.client()
    until(lambda: client.record(id_)["state"] == "completed", "it completes")
    assert client.record(id_)["text"] == whole_text(MODEL)


def test_a_reserved_id_whose_record_was_never_made_is_cleaned_up(stack: Stack, server: "redis.Redis") -> None:
    id_ = dies(stack, "reserve")
    until(lambda: server.zscore(keys.DUE, id_) is None, "a sweeper takes it out of `due`")
    until(lambda: server.zscore(keys.index("queued"), id_) is None, "and out of the list")
    client = stack.client()
    assert client.http.get(f"/v1/generations/{id_}").status_code == 404
    assert id_ not in [each["id"] for each in client.http.get("/v1/generations").json()["data"]]


def test_a_client_that_repeats_a_submit_that_stopped_half_way_gets_its_generation(
    stack: Stack, server: "redis.Redis"
) -> None:
    """The second time its record was made, and nobody looks after it any more."""
    for step in ("reserve", "make_late"):
        id_ = dies(stack, step)
        until(lambda id_=id_: server.zscore(keys.DUE, id_) is None, "a sweeper takes it out of `due`")  # type: ignore[misc]
        repeats(stack, id_)


def repeats(stack: Stack, id_: str) -> None:
    client = stack.client()
    body = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]}
    response = client.http.post("/v1/generations", json=body, headers={"idempotency-key": f"key-of-{id_}"})
    assert (response.status_code, response.json().get("id")) == (202, id_), response.text
    completes(stack, id_)
    assert id_ in [each["id"] for each in client.http.get("/v1/generations").json()["data"]]


def test_an_api_that_was_slow_to_queue_sees_to_it_that_its_generation_is_looked_after(
    stack: Stack, server: "redis.Redis"
) -> None:
    id_ = dies(stack, "enqueue_late")
    assert server.zscore(keys.DUE, id_) is not None
    completes(stack, id_)


def test_a_record_that_was_never_queued_runs(stack: Stack) -> None:
    completes(stack, dies(stack, "make"))


def test_a_job_that_arq_lost_runs(stack: Stack, server: "redis.Redis") -> None:
    crew(stack, 0)
    lost = [dies(stack, "enqueue") for _ in range(3)]
    server.delete(keys.WAKE)
    server.zrem(keys.QUEUE, Job(lost[0], 1).name)
    server.delete(job_key_prefix + Job(lost[1], 1).name)
    server.set(in_progress_key_prefix + Job(lost[2], 1).name, b"1", px=600_000)
    stack.add_worker()
    for id_ in lost:
        completes(stack, id_)
    until(lambda: not server.exists(in_progress_key_prefix + Job(lost[2], 1).name), "the orphan lock goes")


def test_a_job_of_a_generation_that_redis_lost_leaves_the_queue(stack: Stack, server: "redis.Redis") -> None:
    """Its worker has died holding the job's lock, and then Redis lost the record."""
    id_ = dies(stack, "reserve")
    job = Job(id_, 2).name
    server.set(in_progress_key_prefix + job, b"1", px=600_000)
    server.zadd(keys.QUEUE, {job: 1})
    until(lambda: server.zscore(keys.QUEUE, job) is None, "a sweeper takes it out of the queue")
    until(lambda: not server.exists(in_progress_key_prefix + job), "the orphan lock goes")


def test_a_lost_queue_is_made_anew(stack: Stack, server: "redis.Redis") -> None:
    crew(stack, 0)
    client = stack.client()
    ids = [client.submit(MODEL, PROMPT).id for _ in range(5)]
    server.delete(keys.QUEUE, keys.WAKE)
    stack.add_worker()
    for id_ in ids:
        completes(stack, id_)
