"""Places in the queue: whatever happens to a generation, it comes before everything that was submitted later."""

import signal
from collections.abc import Iterator
from itertools import pairwise

import pytest
import redis

from broker import keys
from tests.harness.client import Client, Generation
from tests.harness.stack import Stack, until
from tests.system.faults.watching import crew

LONG = "sim-1?ttft_ms=20&tps=30&tokens=2000"
SHORT = "sim-1?ttft_ms=20&tps=30&tokens=60"
TINY = "sim-1?tps=0&ttft_ms=0&tokens=3"
LATER = 25


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Workers have one slot each."""
    with Stack(max_jobs=1, pickup_grace=1, workers=0) as stack:
        yield stack


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    """Nothing runs or waits, and nobody works."""
    crew(stack, 0)
    yield stack.client()
    crew(stack, 0)


@pytest.fixture
def server(stack: Stack) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(stack.server.url) as server:
        yield server


def runs(client: Client, generation: Generation, attempt: int = 1) -> None:
    until(lambda: client.record(generation.id)["attempt"] == attempt, f"attempt {attempt} runs", 20)
    until(lambda: client.record(generation.id)["text"], "it has text")


def submit(client: Client, model: str, number: int = LATER) -> list[Generation]:
    return [client.submit(model) for _ in range(number)]


def ended_in_order(client: Client, generations: list[Generation]) -> None:
    """They end, and each began when the one before had ended."""
    for generation in generations:
        assert client.events(generation.id)[-1].data.get("status") == "completed"
    records = [client.record(generation.id) for generation in generations]
    for before, after in pairwise(records):
        assert before["finished_at_ms"] <= after["started_at_ms"]


def test_what_a_dead_worker_ran_goes_on_before_everything_submitted_later(
    stack: Stack, client: Client, server: redis.Redis
) -> None:
    doomed = stack.add_worker()
    first = client.submit(LONG)
    runs(client, first)
    stack.add_worker()
    other = client.submit(LONG)
    runs(client, other)
    later = submit(client, TINY)
    doomed.kill()
    until(lambda: server.zcard(keys.QUEUE) == len(later) + 1, "a sweeper queues the next attempt", 20)
    assert client.record(first.id)["attempt"] == 1
    client.cancel(other.id)
    runs(client, first, attempt=2)
    assert {client.record(generation.id)["state"] for generation in later} == {"queued"}
    client.cancel(first.id)
    ended_in_order(client, later)


@pytest.mark.parametrize("deaf", [False, True], ids=["woken", "no wake-ups"])
def test_what_is_handed_over_goes_on_before_everything_submitted_later(
    stack: Stack, client: Client, server: redis.Redis, deaf: bool
) -> None:
    worker = stack.add_worker()
    first = client.submit(SHORT)
    runs(client, first)
    later = submit(client, TINY)
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    if deaf:
        server.delete(keys.WAKE)
    stack.add_worker(wait=False)
    ended_in_order(client, [first, *later])
    assert client.record(first.id)["attempt"] == 2


def test_what_the_upstream_interrupted_goes_on_before_everything_submitted_later(stack: Stack, client: Client) -> None:
    stack.add_worker()
    first = client.submit("sim-1?ttft_ms=20&tps=30&tokens=60&fail=cut&at=40&times=1")
    runs(client, first)
    ended_in_order(client, [first, *submit(client, TINY)])
    assert client.record(first.id)["attempt"] == 2


def test_what_waited_longer_than_wake_ups_live_is_taken_as_soon_as_a_slot_is_free(
    stack: Stack, client: Client, server: redis.Redis
) -> None:
    worker = stack.add_worker()
    first = client.submit(LONG)
    runs(client, first)
    later = submit(client, TINY, 30)
    server.delete(keys.WAKE)  # as when they have expired
    client.cancel(first.id)
    until(lambda: {client.record(generation.id)["state"] for generation in later} == {"completed"}, "all are taken", 15)
    assert worker.running
