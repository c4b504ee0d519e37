"""Viewers that read slowly, or not at all: no queue is kept for them, and a log may expire under their eyes."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx2
import pytest
import redis

from tests.harness.client import Frame, check_log, frames, text_of
from tests.harness.stack import Stack, until
from tests.system.faults.sockets import RawViewer, memory, needs_proc, open_on_server
from tests.system.faults.watching import watch

LONG = "sim-1?ttft_ms=20&tps=0&tokens=40000"
"""Some megabytes as frames: many times what the ring and the kernel's buffers hold."""
STALLED = 2.0
MOST_EACH = 256 * 1024
MANY = 80

WAYS = {"direct": 0, "plain": 1}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The first API writes directly, the second through plain ASGI. Little is cached: what memory is taken for is viewers."""
    with Stack(apis=2, stalled_viewer=STALLED, replay_cache_bytes=1 << 20) as stack:
        yield stack


@pytest.fixture(scope="module")
def ended(stack: Stack) -> str:
    """A long generation that was watched to its end on both APIs: what a process takes once for all it has then."""
    watched = watch(stack, LONG, viewers=2, max_tokens=100_000)
    assert watched.verdict(60)["state"] == "completed"
    for url in stack.urls:
        with RawViewer(url, watched.id) as one:
            while one.read():
                pass
    return watched.id


def frames_of(viewer: RawViewer) -> list[Frame]:
    return list(frames(iter([viewer.body])))


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
def test_a_slow_viewer_falls_behind_the_ring_and_gets_everything_from_the_log(stack: Stack, way: str) -> None:
    watched = watch(stack, LONG, viewers=0, max_tokens=100_000)
    with RawViewer(stack.urls[WAYS[way]], watched.id, receive_buffer=8192) as slow:
        quick = watched.join(apis=[WAYS[way]])
        while not quick.ended:  # it takes a little all the time, much less than there is
            assert slow.read(4096)
            time.sleep(0.1)
        behind = len(slow.received)
        while slow.read():
            pass
        assert not slow.cut
        assert len(slow.received) > 3 * behind
        seen = frames_of(slow)
    check_log(seen)
    assert watched.verdict()["state"] == "completed"
    assert text_of(seen) == watched.record()["text"]


@needs_proc
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("when", ["live", "replay"])
def test_viewers_that_never_read_are_dropped_and_cost_little(stack: Stack, ended: str, way: str, when: str) -> None:
    api, url = stack.apis[WAYS[way]], stack.urls[WAYS[way]]
    id_ = ended if when == "replay" else watch(stack, LONG, viewers=0, max_tokens=100_000).id
    before = memory(api.pid)
    with ExitStack() as sockets:
        viewers = [sockets.enter_context(RawViewer(url, id_, receive_buffer=4096)) for _ in range(MANY)]
        most = peak(lambda: memory(api.pid), STALLED / 2)
        assert open_on_server(url, viewers) == MANY
        until(lambda: not open_on_server(url, viewers), "they are dropped", STALLED + 10)
    print(f"{when} {way}: {(most - before) / MANY:.0f} bytes each")
    assert (most - before) / MANY <= MOST_EACH
    assert "Traceback" not in api.log


def peak(value: Callable[[], int], seconds: float) -> int:
    end, most = time.monotonic() + seconds, value()
    while time.monotonic() < end:
        most = max(most, value())
        time.sleep(0.02)
    return most


@pytest.mark.parametrize("way", WAYS)
def test_a_log_that_expires_during_a_replay_is_told_and_then_gone(stack: Stack, way: str) -> None:
    watched = watch(stack, LONG, viewers=0, max_tokens=100_000)
    client, url = stack.client(), stack.urls[WAYS[way]]
    until(lambda: client.http.get(f"/v1/generations/{watched.id}").json()["state"] == "completed", "it completes", 60)
    with RawViewer(url, watched.id, receive_buffer=8192) as viewer:
        while len(viewer.received) < 100_000:
            assert viewer.read(8192)
        with redis.Redis.from_url(stack.server.url) as server:
            for key in ("record", "log"):
                server.pexpire(f"{{{watched.id}}}:{key}", 1)
        while viewer.read():
            pass
        assert viewer.cut
        *shown, last = frames_of(viewer)
    assert last == Frame(None, {"type": "gap", "reason": "expired"})
    assert shown[-1].type == "text"
    for each in stack.urls:
        headers = {"accept": "text/event-stream", "last-event-id": str(shown[-1].id)}
        gone = httpx2.get(f"{each}/v1/generations/{watched.id}/events", headers=headers)
        assert (gone.status_code, gone.json()["code"]) == (410, "expired")
