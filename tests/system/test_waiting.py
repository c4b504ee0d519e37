"""One slot and a short keep-alive: what viewers are told while they wait, and cancels of what has not begun."""

import time
from collections.abc import Iterator

import pytest

from tests.harness.client import Client, Frame, Generation, check_log
from tests.harness.stack import Stack, until

SLOW = "sim-1?tps=20&ttft_ms=0&tokens=2000"
QUICK = "sim-1?tps=0&ttft_ms=0&tokens=10"


@pytest.fixture(scope="module")
def narrow() -> Iterator[Stack]:
    """One worker with one slot; keep-alives every second or two."""
    with Stack(max_jobs=1, keep_alive=2) as stack:
        yield stack


@pytest.fixture
def alone(narrow: Stack) -> Client:
    return narrow.client()


@pytest.fixture
def running(alone: Client) -> Iterator[Generation]:
    """A generation that has the only slot."""
    generation = alone.submit(SLOW)
    until(lambda: listed(alone, "running") == [generation.id], "it runs, and waits no more")
    yield generation
    alone.cancel(generation.id)
    until(lambda: alone.record(generation.id)["state"] == "cancelled", "it is cancelled")


def listed(client: Client, state: str) -> list[str]:
    page = client.http.get("/v1/generations", params={"state": state}).json()
    return [record["id"] for record in page["data"]]


def place(frame: Frame) -> object:
    """What a `queued` says of it."""
    assert (frame.id, frame.type) == (None, "queued")
    assert set(frame.data) == {"type", "position", "estimated_wait_ms"}
    return frame.data["position"]


def moved(events: Iterator[Frame], before: int) -> object:
    """The next place that is not this one: the wait for it may be told anew in between."""
    return next(at for at in map(place, events) if at != before)


def test_viewers_of_what_waits_are_told_its_place_and_when_it_moves_up(alone: Client, running: Generation) -> None:
    second, third = alone.submit(QUICK), alone.submit(QUICK)
    assert [alone.record(waiting.id)["state"] for waiting in (second, third)] == ["queued", "queued"]
    with alone.stream(second.id) as ahead, alone.stream(third.id) as behind:
        assert place(next(ahead)) == 0
        assert place(next(behind)) == 1
        assert alone.cancel(second.id).status_code == 200
        assert moved(behind, 1) == 0
        alone.cancel(running.id)
        rest = list(behind)
        (end,) = list(ahead)
    assert end.data["status"] == "cancelled"
    check_log(rest)
    assert rest[-1].data["status"] == "completed"
    assert alone.record(third.id)["started_at_ms"] >= alone.record(running.id)["finished_at_ms"]


def test_a_submit_that_is_a_stream_says_queued_first(alone: Client, running: Generation) -> None:
    body = {"model": QUICK, "messages": [{"role": "user", "content": "Hi"}]}
    with alone.http.stream("POST", "/v1/chat/stream", json=body) as response:
        first = next(response.iter_raw())
        alone.cancel(response.headers["location"].removeprefix("/v1/generations/"))
    assert first.startswith(b': ka\n\ndata: {"type":"queued","position":0,"estimated_wait_ms":')


def test_a_snapshot_of_what_waits_says_queued_too(alone: Client, running: Generation) -> None:
    waiting = alone.submit(QUICK)
    with alone.stream(waiting.id, **{"from": "snapshot"}) as events:
        assert place(next(events)) == 0
        alone.cancel(waiting.id)
        assert next(events).data["status"] == "cancelled"


def test_a_cancel_before_the_start_makes_no_upstream_call(alone: Client, narrow: Stack, running: Generation) -> None:
    waiting = alone.submit(QUICK)
    answer = alone.cancel(waiting.id)
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    (end,) = alone.events(waiting.id)
    assert end.data.items() >= {"type": "stream_end", "status": "cancelled", "chunks": 0, "ttft_ms": None}.items()
    assert alone.cancel(waiting.id).status_code == 200
    alone.cancel(running.id)
    later = alone.submit(QUICK)
    assert alone.events(later.id)[-1].data["status"] == "completed"
    assert narrow.asked(waiting.user_id) == []
    assert len(narrow.asked(later.user_id)) == 1
    assert alone.record(waiting.id)["attempt"] == 0


def test_a_place_in_the_queue_is_first_come_first_served(alone: Client, running: Generation) -> None:
    waiting = [alone.submit(QUICK) for _ in range(5)]
    alone.cancel(running.id)
    for generation in waiting:
        alone.events(generation.id)
    starts = [alone.record(generation.id)["started_at_ms"] for generation in waiting]
    assert starts == sorted(starts)


def test_silence_is_broken_by_comments_that_no_client_takes_for_an_event(alone: Client, running: Generation) -> None:
    alone.cancel(running.id)
    generation = alone.submit("sim-1?tps=0&ttft_ms=0&fail=stall&at=3")
    url = f"/v1/generations/{generation.id}/events"
    with alone.http.stream("GET", url, headers={"accept": "text/event-stream"}) as response:
        chunks = response.iter_raw()
        raw = next(chunks)
        while raw.count(b'"type":"text"') < 3:
            raw += next(chunks)
        silent_since = time.monotonic()
        for _ in range(2):
            assert next(chunks) == b": ka\n", "one comment line, no blank line behind it"
        assert time.monotonic() - silent_since < 2 * 2 + 1
        alone.cancel(generation.id)
        end = b"".join(chunks)
    assert end.count(b"\n\n") == 1
    assert b'"status":"cancelled"' in end
