"""Many at once over few connections to Redis: each has its turn, and nothing takes that for Redis being away."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from broker import keys
from tests.harness.client import Client, Generation
from tests.harness.stack import Stack, until

TINY = "sim-1?tps=0&ttft_ms=0&tokens=3"
BURST = 60
AWAY = re.compile(r"Redis is away|no jobs|bookkeeping failed|no sweep|goes to the queue|too many")


class Narrow(Stack):
    """Its processes have three connections to Redis in each pool."""

    def environment(self) -> dict[str, str]:
        url = self.server.url
        narrow = f"{url}{'&' if '?' in url else '?'}max_connections=3"
        return {**super().environment(), "RESPOOL_REDIS_URL": narrow}


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Narrow(workers=0, max_jobs=BURST, lease=10, pickup_grace=30) as stack:
        yield stack


def submitted_together(client: Client, number: int) -> list[Generation]:
    with ThreadPoolExecutor(30) as pool:
        return list(pool.map(lambda _: client.submit(TINY), range(number)))


def ended(server: redis.Redis) -> bool:
    return not server.zcard(keys.index("queued")) and not server.zcard(keys.index("running"))


def test_a_burst_that_has_waited_without_a_bell_starts_at_once_and_nothing_of_it_is_left_to_the_sweeper(
    stack: Stack,
) -> None:
    client = stack.client()
    generations = submitted_together(client, BURST)
    with redis.Redis.from_url(stack.server.url) as server:
        server.delete(keys.WAKE)  # as when they have expired
        worker = stack.add_worker()
        until(lambda: ended(server), "all have ended", 25)
    records = [client.record(generation.id) for generation in generations]
    assert {(record["state"], record["attempt"]) for record in records} == {("completed", 1)}
    assert AWAY.findall(worker.log) == []
