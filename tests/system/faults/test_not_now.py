"""Redis that says "not now": its disk is full, a replica is missing. Everything waits, says why, and goes on by itself."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import cast

import httpx2
import pytest
import redis

from tests.harness.stack import Stack, until
from tests.system.faults.watching import watch, whole_text

QUICK = "sim-1?ttft_ms=20&tps=200&tokens=20"
STEADY = "sim-1?ttft_ms=20&tps=50&tokens=150"

Trouble = Callable[[redis.Redis, Path], AbstractContextManager[None]]


@contextmanager
def no_replica(server: redis.Redis, _: Path) -> Iterator[None]:
    """Fewer replicas than there must be (NOREPLICAS)."""
    server.config_set("min-replicas-to-write", 1)
    try:
        yield
    finally:
        server.config_set("min-replicas-to-write", 0)


@contextmanager
def full_disk(server: redis.Redis, folder: Path) -> Iterator[None]:
    """Its snapshot cannot be written, and so it takes no writes (MISCONF): there is a folder in the file's place."""
    blocked = folder / "dump.rdb" / "in the way"
    blocked.mkdir(parents=True)
    server.config_set("save", "3600 1000000")
    server.bgsave()
    until(lambda: info(server)["rdb_last_bgsave_status"] == "err", "the snapshot failed")
    try:
        yield
    finally:
        server.config_set("save", "")
        blocked.rmdir()
        blocked.parent.rmdir()


@pytest.mark.parametrize(("trouble", "code"), [(no_replica, "storage_replicas"), (full_disk, "storage_disk")])
def test_while_redis_refuses_writes_all_is_waited_out_and_told_and_then_goes_on(trouble: Trouble, code: str) -> None:
    """The lease outlives the trouble, however long a busy machine makes that: so nobody else takes over meanwhile."""
    with Stack(apis=2, pickup_grace=1, lease=20) as stack, redis.Redis.from_url(stack.server.url) as server:
        running = [watch(stack, STEADY) for _ in range(3)]
        for each in running:
            each.runs()
        with trouble(server, stack.server.data_dir):
            until(lambda: stack.workers[0].said("Redis is away"), "the worker has noticed")
            for url in stack.urls:
                for answer in (submit(url), httpx2.get(f"{url}/readyz")):
                    assert (answer.status_code, answer.json()["code"]) == (503, code)
                    assert answer.headers["retry-after"]
                assert httpx2.get(f"{url}/healthz").status_code == 200
        for each in running:
            record = each.verdict()
            assert (record["state"], record["text"], record["attempt"]) == ("completed", whole_text(STEADY), 1)
        assert watch(stack, QUICK).verdict()["state"] == "completed"
        for url in stack.urls:
            assert httpx2.get(f"{url}/readyz").status_code == 200
        assert all(child.running for child in (*stack.apis, *stack.workers))


def info(server: redis.Redis) -> dict[str, object]:
    return cast(dict[str, object], server.info("persistence"))


def submit(url: str) -> httpx2.Response:
    body = {"model": QUICK, "messages": [{"role": "user", "content": "?"}]}
    return httpx2.post(f"{url}/v1/generations", json=body)
