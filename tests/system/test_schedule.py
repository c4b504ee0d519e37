"""`start_after` and `priority` through real processes: nothing starts early, whatever dies, and the background waits."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.harness.stack import Stack, until
from tests.system.test_waiting import listed, place

QUICK = "sim-1?tps=0&ttft_ms=0&tokens=3"
SLOW = "sim-1?tps=20&ttft_ms=0&tokens=2000"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(max_jobs=1, background_delay=30) as stack:
        yield stack


def in_(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat()


def ended(stack: Stack, id_: str) -> dict[str, Any]:
    record: dict[str, Any] = stack.client().http.get(f"/v1/generations/{id_}?wait=15").json()
    assert record["state"] == "completed"
    return record


def test_it_starts_when_it_may_and_its_stream_says_no_place_before(stack: Stack) -> None:
    client = stack.client()
    generation = client.submit(QUICK, start_after=in_(1.5))
    assert generation.record["start_after_ms"] - generation.record["created_at_ms"] > 1000
    assert listed(client, "queued") == [generation.id]
    frames = client.events(generation.id)
    assert [frame.type for frame in frames if frame.id is None and place(frame) != 0] == []
    record = client.record(generation.id)
    assert 0 <= record["started_at_ms"] - record["start_after_ms"] < 5000


def test_a_cancel_before_the_start_ends_it_at_once(stack: Stack) -> None:
    client = stack.client()
    generation = client.submit(QUICK, start_after=in_(3600))
    assert client.cancel(generation.id).status_code == 200
    assert client.record(generation.id)["state"] == "cancelled"
    assert stack.asked(generation.user_id) == []


def test_it_starts_though_redis_and_the_worker_have_died_meanwhile(stack: Stack) -> None:
    client = stack.client()
    generation = client.submit(QUICK, start_after=in_(4))
    time.sleep(1.2)  # appendfsync everysec
    stack.server.kill()
    stack.server.start()
    stack.workers[0].kill()
    stack.add_worker()
    record = ended(stack, generation.id)
    assert record["started_at_ms"] >= record["start_after_ms"]


def test_the_background_waits_for_what_is_interactive(stack: Stack) -> None:
    client = stack.client()
    running = client.submit(SLOW)
    until(lambda: listed(client, "running") == [running.id], "it runs")
    background = client.submit(QUICK, priority="background")
    interactive = client.submit(QUICK)
    assert (background.record["priority"], "priority" in interactive.record) == ("background", False)
    with client.stream(background.id) as events:
        assert place(next(events)) == 1
    with client.stream(interactive.id) as events:
        assert place(next(events)) == 0
    client.cancel(running.id)
    first, second = (ended(stack, each.id) for each in (interactive, background))
    assert first["started_at_ms"] <= second["started_at_ms"]


@pytest.mark.parametrize("start_after", ["tomorrow", "2026-11-29T10:00:00", "9999-01-01T00:00:00Z", 5])
def test_a_time_that_cannot_be_is_refused_with_its_place(stack: Stack, start_after: object) -> None:
    body = {"model": QUICK, "messages": [{"role": "user", "content": "x"}], "start_after": start_after}
    answer = stack.client().http.post("/v1/generations", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/start_after")
