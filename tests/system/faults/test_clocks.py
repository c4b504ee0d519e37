"""The clock of Redis jumps back: whoever was dead then is not taken for alive until it has caught up."""

from collections.abc import Iterator

import pytest
import redis

from broker import keys
from tests.harness.stack import Stack, until

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """One worker, with a short lease."""
    with Stack() as stack:
        yield stack


def test_a_worker_that_was_dead_when_the_clock_jumped_back_is_replaced(stack: Stack) -> None:
    client = stack.client()
    generation = client.submit("sim-1?ttft_ms=20&tps=50&tokens=100")
    until(lambda: client.record(generation.id)["text"], "it has text")
    (worker,) = stack.workers
    worker.kill()
    with redis.Redis.from_url(stack.server.url) as server:
        # All times that are written down are an hour ahead of a clock that was put back by one.
        server.hincrby(keys.record(generation.id), "lease_until", HOUR_MS)
        server.zincrby(keys.DUE, HOUR_MS, generation.id)
    stack.add_worker()
    assert client.events(generation.id)[-1].data["status"] == "completed"
    assert client.record(generation.id)["attempt"] == 2
