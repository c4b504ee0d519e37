"""Viewers who come back to, or join, a generation that their API watches already."""

import signal
from collections.abc import Iterator

import pytest
import redis

from broker import keys
from tests.harness.client import Client, check_log
from tests.harness.stack import Stack, until


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(apis=2) as stack:
        yield stack


@pytest.mark.parametrize("api", [0, 1], ids=["direct", "plain"])
def test_they_are_served_from_memory_even_while_redis_is_silent(stack: Stack, api: int) -> None:
    client = stack.client(api)
    id_ = client.submit("sim-1?ttft_ms=20&tps=100&tokens=400").id
    with client.stream(id_) as first:
        seen = [next(first) for _ in range(60)]
        ids = [frame.id for frame in seen if frame.id]
        stack.server.signal(signal.SIGSTOP)
        try:
            for behind in (40, 20, 3):
                with client.stream(id_, ids[-behind]) as again:
                    assert [next(again).id for _ in range(1, behind)] == ids[1 - behind :]
        finally:
            stack.server.signal(signal.SIGCONT)
        rest = list(first)
    check_log(seen + rest)
    assert [frame.id for frame in client.events(id_) if frame.id] == [frame.id for frame in seen + rest if frame.id]


def test_a_cursor_that_the_log_does_not_have_is_told_so_here_too(client: Client) -> None:
    id_ = client.submit("sim-1?ttft_ms=20&tps=100&tokens=100").id
    with client.stream(id_) as first:
        latest = [frame.id for frame in (next(first) for _ in range(20)) if frame.id][-1]
        attempt, _, seq = str(latest).partition("-")
        for cursor in (f"{attempt}-{int(seq) + 1000}", f"{int(attempt) - 1}-3", f"{int(attempt) + 1}-0", "x"):
            with client.stream(id_, cursor) as again:
                assert next(again).type == "gap", cursor


def test_a_generation_that_nobody_watches_is_soon_watched_no_more(stack: Stack) -> None:
    client = stack.client()
    id_ = client.submit("sim-1?ttft_ms=20&tps=20&tokens=2000").id
    with redis.Redis.from_url(stack.server.url) as server:

        def watched() -> int:
            return int(server.execute_command("PUBSUB", "SHARDNUMSUB", keys.live(id_))[1])

        for _ in range(3):
            with client.stream(id_) as first:
                next(first)
                until(lambda: watched() == 1, "the hub watches it")
        until(lambda: watched() == 0, "the hub has let it go", 15)
    client.cancel(id_)
