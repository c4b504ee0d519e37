"""Redis without room: nothing new is accepted, what runs ends and stays readable, and with room again all is well."""

from collections.abc import Iterator

import httpx2
import pytest
import redis

from tests.harness.stack import Stack, until
from tests.system.faults.watching import watch, whole_text

QUICK = "sim-1?ttft_ms=20&tps=200&tokens=20"
LONG = "sim-1?ttft_ms=20&tps=40&tokens=2000"


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack(apis=2, pickup_grace=1) as stack:
        yield stack


def test_a_full_redis_ends_what_runs_refuses_what_is_new_and_recovers(stack: Stack) -> None:
    ended = watch(stack, QUICK)
    ended.verdict()
    running = [watch(stack, LONG), watch(stack, LONG)]
    silent = watch(stack, "sim-1?ttft_ms=20&fail=stall&at=8", viewers=1)
    for each in (*running, silent):
        each.runs()
    with redis.Redis.from_url(stack.server.url) as server:
        server.config_set("maxmemory", 1)
        try:
            for each in (*running, silent):
                record = each.verdict()
                assert (record["state"], record["error"]["code"]) == ("failed", "storage_full")
                assert (record["error"]["retryable"], record["error"]["partial"]) == (True, True)
                assert record["text"]
                until(lambda each=each: each.calls[0]["closed_by"] == "client", "its upstream call is closed")  # type: ignore[misc]
            ended.join(snapshot=True)
            assert ended.verdict()["state"] == "completed"
            for accept in ("application/json", "text/event-stream"):
                refused = submit(stack, accept)
                assert (refused.status_code, refused.json()["code"]) == (503, "storage_full")
                assert refused.headers["retry-after"]
            assert httpx2.get(f"{stack.url}/readyz").status_code == 200  # what is there can be read
            assert stack.client().cancel(running[0].id).status_code == 409
        finally:
            server.config_set("maxmemory", 0)
    assert watch(stack, QUICK).verdict()["state"] == "completed"


def test_what_waits_for_a_worker_while_redis_is_full_runs_when_there_is_room(stack: Stack) -> None:
    (worker,) = stack.workers
    worker.kill()
    waiting, unwanted = watch(stack, QUICK), watch(stack, QUICK)
    with redis.Redis.from_url(stack.server.url) as server:
        server.config_set("maxmemory", 1)
        try:
            successor = stack.add_worker()
            until(lambda: successor.said("StorageFull|OutOfMemory|OOM|storage is full"), "a worker has tried")
            assert unwanted.cancel() == 200  # an end can be told however full it is
            assert unwanted.verdict()["state"] == "cancelled"
            assert waiting.record()["state"] == "queued"
        finally:
            server.config_set("maxmemory", 0)
    assert waiting.verdict()["state"] == "completed"
    assert successor.running


def submit(stack: Stack, accept: str) -> httpx2.Response:
    body = {"model": QUICK, "messages": [{"role": "user", "content": "?"}]}
    return httpx2.post(f"{stack.url}/v1/generations", json=body, headers={"accept": accept})


@pytest.mark.parametrize("model", ["sim-1?ttft_ms=400&tps=0&tokens=60", "sim-1?ttft_ms=20&tps=0&tokens=2000"])
def test_nothing_completes_without_its_text_if_redis_is_full_before_it_is_written(stack: Stack, model: str) -> None:
    """Full between the claim and the first token, and full while the last ones are written."""
    with redis.Redis.from_url(stack.server.url) as server:
        watched = [watch(stack, model, viewers=1) for _ in range(8)]
        until(lambda: all(each.record()["state"] != "queued" for each in watched), "they are claimed")
        server.config_set("maxmemory", 1)
        try:
            for each in watched:
                record = each.verdict()
                if record["state"] == "completed":
                    assert record["text"] == whole_text(model)
                else:
                    assert (record["state"], record["error"]["code"]) == ("failed", "storage_full")
                    assert record["error"]["partial"] == bool(record["chunks"])
        finally:
            server.config_set("maxmemory", 0)
