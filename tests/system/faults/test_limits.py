"""Bounds of one generation: how much it may put out, and how long it is kept."""

from collections.abc import Iterator

import pytest
import redis

from tests.harness.stack import Stack, until
from tests.system.faults.watching import watch, whole_text

MOST = 8 * 1024


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(max_output_bytes=MOST) as stack:
        yield stack


def left(stack: Stack, id_: str) -> list[int]:
    """Seconds that the record and the log have left to live."""
    with redis.Redis.from_url(stack.server.url) as client:
        return [client.ttl(f"{{{id_}}}:{key}") for key in ("record", "log")]


def test_what_puts_out_too_much_ends_and_keeps_what_was_put(stack: Stack) -> None:
    model = "sim-1?ttft_ms=20&tps=1500&tokens=20000"
    watched = watch(stack, model, max_tokens=100_000)
    record = watched.verdict()
    assert (record["state"], record["error"]["code"], record["error"]["retryable"]) == ("failed", "output_limit", False)
    text = record["text"]
    assert whole_text(model).startswith(text)
    assert MOST / 2 < len(text.encode()) <= MOST
    until(lambda: watched.calls[0]["closed_by"] == "client", "its upstream call is closed")
    assert len(watched.calls) == 1  # nor does an attempt follow


def test_a_limit_holds_over_all_attempts(stack: Stack) -> None:
    watched = watch(stack, "sim-1?ttft_ms=20&tps=0&tokens=3000&fail=cut&at=500&times=2")
    record = watched.verdict()
    assert (record["state"], record["error"]["code"]) == ("failed", "output_limit")
    assert record["attempt"] > 1
    assert MOST / 2 < len(record["text"].encode()) <= MOST


def test_retention_counts_from_the_end_and_ends_nothing_that_is_merely_silent(stack: Stack) -> None:
    retention = 60
    watched = watch(stack, "sim-1?ttft_ms=20&tps=200&fail=stall&at=30", retention=retention)
    watched.runs()
    assert all(seconds > 100 * retention for seconds in left(stack, watched.id))
    watched.cancel()
    assert watched.verdict()["state"] == "cancelled"
    assert all(retention - 10 < seconds <= retention for seconds in left(stack, watched.id))
    with redis.Redis.from_url(stack.server.url) as client:
        kept = [key for key in client.keys(f"*{watched.id}*") if client.ttl(key) < 0]
        assert kept == []
