"""Redis that dies, pauses and hangs up, while people watch: every process lives on, and nothing is lost."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
import redis

from tests.harness.stack import Stack, until
from tests.system.faults.watching import Watched, watch

MODEL = "sim-1?ttft_ms=20&tps=40&tokens=200"
HEALED = 10
"""Seconds after which everything flows again."""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(apis=2, workers=2, pickup_grace=1) as stack:
        yield stack


@pytest.fixture
def processes(stack: Stack) -> Iterator[None]:
    """Fails the test if a process has ended or was replaced."""
    before = [child.pid for child in (*stack.apis, *stack.workers)]
    yield
    assert all(child.running for child in (*stack.apis, *stack.workers))
    assert [child.pid for child in (*stack.apis, *stack.workers)] == before


def command(stack: Stack, *words: str | int) -> Any:
    with redis.Redis.from_url(stack.server.url) as client:
        return client.execute_command(*words)


def crash(stack: Stack) -> None:
    stack.server.kill()
    time.sleep(0.5)
    stack.server.start()


FAULTS: dict[str, Callable[[Stack], object]] = {
    "crashes and comes back": crash,
    "hangs up on subscribers": lambda stack: command(stack, "CLIENT", "KILL", "TYPE", "pubsub"),
    "hangs up on everybody": lambda stack: command(stack, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"),
    "is paused": lambda stack: command(stack, "CLIENT", "PAUSE", 3000),
}


def goes_on(watched: Watched) -> None:
    """New text comes, for every viewer."""
    texts = watched.texts
    until(
        lambda: all(watcher.texts > texts or not watcher.is_alive() for watcher in watched.watchers),
        "every viewer's stream goes on",
        HEALED,
    )


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda name: name.replace(" ", "-"))
def test_streams_go_on_and_are_exact_when_redis(stack: Stack, fault: str) -> None:
    watched = [watch(stack, MODEL, viewers=3), watch(stack, MODEL, viewers=1), watch(stack, MODEL, viewers=1)]
    cancelled = watch(stack, "sim-1?ttft_ms=20&tps=20&tokens=2000")
    for each in (*watched, cancelled):
        each.runs()
    FAULTS[fault](stack)
    for each in watched:
        goes_on(each)
        assert {watcher.connections for watcher in each.watchers} == {1}
    late = watch(stack, "sim-1?ttft_ms=20&tokens=20&tps=100")
    assert cancelled.cancel() in (200, 202)
    for each in (*watched, late):
        each.join(snapshot=True)
        assert each.verdict()["state"] == "completed"
    assert cancelled.verdict()["state"] == "cancelled"


@pytest.mark.usefixtures("processes")
def test_an_idle_crash_costs_nothing(stack: Stack) -> None:
    ended = watch(stack, "sim-1?ttft_ms=20&tokens=20&tps=100")
    ended.verdict()
    crash(stack)
    watched = watch(stack, "sim-1?ttft_ms=20&tokens=20&tps=100")
    assert watched.verdict()["state"] == "completed"
    ended.join()
    ended.verdict()


@pytest.mark.usefixtures("processes")
def test_while_redis_is_away_requests_are_refused_and_streams_stay_open(stack: Stack) -> None:
    watched = watch(stack, MODEL)
    watched.runs()
    stack.server.kill()
    try:
        client = watched.client
        refused = client.http.post(
            "/v1/generations", json={"model": "sim-1", "messages": [{"role": "user", "content": "?"}]}
        )
        assert (refused.status_code, refused.json()["code"]) == (503, "redis_unavailable")
        assert refused.headers["retry-after"]
        assert client.http.get(f"/v1/generations/{watched.id}").status_code == 503
        assert client.http.get("/readyz").status_code == 503
        assert client.http.get("/healthz").status_code == 200
    finally:
        stack.server.start()
    until(lambda: httpx2.get(f"{stack.url}/readyz").status_code == 200, "the API is ready again")
    assert watched.verdict()["state"] == "completed"
    assert [watcher.connections for watcher in watched.watchers] == [1, 1]
