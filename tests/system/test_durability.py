"""`durability: strict`: the end is shown once Redis has it safe, and not before."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
import redis

from broker.local.embedded import EmbeddedServer, free_port
from tests.harness.stack import Stack, until
from tests.system.faults.watching import PROMPT, Watched, watch

MODEL = "sim-1?ttft_ms=20&tps=100&tokens=30"
SLOW = "sim-1?ttft_ms=20&tps=30&tokens=45"
UNCONFIRMED = 2.5
"""Seconds: longer than one wait for a confirmation."""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(apis=2) as stack:
        yield stack


def command(server: EmbeddedServer, *words: str) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.execute_command(*words)


def keeps_its_end_back(watched: Watched) -> Watched:
    """Everything but the end is shown, and the record is not given out; to late viewers neither."""
    written = threading.Event()
    with redis.Redis.from_url(watched.stack.server.url) as client:
        until(lambda: client.hget(f"{{{watched.id}}}:record", "state") == b"completed", "its end is in the log")
    late = [watched.join(), watched.join(snapshot=True)]
    assert not written.wait(UNCONFIRMED)
    for watcher in watched.watchers:
        assert watcher.is_alive()
        assert not watcher.ended
    texts = late[0].texts
    assert texts == watched.watchers[0].texts > 30
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.get(f"{watched.stack.url}/v1/generations/{watched.id}", timeout=0.5)
    return watched


@contextmanager
def no_disk(server: EmbeddedServer) -> Iterator[None]:
    """Nothing is confirmed to be on the disk: the kernel writes when it likes."""
    command(server, "CONFIG", "SET", "appendfsync", "no")
    try:
        yield
    finally:
        command(server, "CONFIG", "SET", "appendfsync", "everysec")


def test_a_strict_end_is_shown_when_it_is_on_the_disk_and_not_before(stack: Stack) -> None:
    quick = watch(stack, MODEL, durability="strict")
    assert quick.verdict()["state"] == "completed"
    assert quick.watchers[0].frames[-1].data["durability"] == "strict"
    waiting, normal = watch(stack, SLOW, durability="strict"), watch(stack, SLOW)
    waiting.runs()
    with no_disk(stack.server):
        keeps_its_end_back(waiting)
        assert normal.verdict()["state"] == "completed"
        assert "durability" not in normal.watchers[0].frames[-1].data
        quick.join()  # what was confirmed once stays so
        assert quick.verdict()["state"] == "completed"
    assert waiting.verdict()["state"] == "completed"


def test_where_nothing_could_ever_be_confirmed_it_is_refused(stack: Stack) -> None:
    with no_disk(stack.server):
        refused(stack)
    assert watch(stack, MODEL, durability="strict").verdict()["state"] == "completed"


def refused(stack: Stack) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]}
    answer = stack.client().http.post("/v1/generations", json={**body, "durability": "strict"})
    assert (answer.status_code, answer.json()["code"]) == (422, "not_durable")
    assert stack.client().http.post("/v1/generations", json=body).status_code == 202


def test_without_a_disk_a_replica_is_what_makes_it_safe(tmp_path: Path) -> None:
    here, there = free_port(), free_port()
    primary = EmbeddedServer(
        tmp_path / "primary", here, password="of-both", config={"appendonly": "no", "repl-diskless-sync-delay": "0"}
    )
    with Stack(server=primary, ephemeral=1) as stack:
        refused(stack)
        following = {"replicaof": f"127.0.0.1 {here}"}
        with EmbeddedServer(tmp_path / "replica", there, password="of-both", config=following) as replica:
            until(lambda: accepted(stack), "the replica is there")
            waiting = watch(stack, SLOW, durability="strict")
            waiting.runs()
            replica.kill()
            keeps_its_end_back(waiting)
            replica.start()
            assert waiting.verdict()["state"] == "completed"


def accepted(stack: Stack) -> bool:
    body = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}], "durability": "strict"}
    return stack.client().http.post("/v1/generations", json=body).status_code == 202
