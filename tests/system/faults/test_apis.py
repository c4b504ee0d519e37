"""API processes that die and go: viewers come back to another one, and have every byte once."""

import re
import signal
import time
from collections.abc import Iterator

import httpx2
import pytest

from tests.harness.client import frames
from tests.harness.stack import Stack, until
from tests.system.faults.watching import watch

MODEL = "sim-1?ttft_ms=20&tps=40&tokens=160"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(apis=3) as stack:
        yield stack


def test_a_viewer_of_a_killed_api_resumes_at_another_one(stack: Stack) -> None:
    watched = watch(stack, MODEL, viewers=0)
    client = stack.client()
    watched.client = client
    for apis in ([1, 0], [1, 2], [0], [2]):
        watched.join(apis=apis)
    watched.runs()
    stack.apis[1].kill()
    watched.join()
    assert watched.verdict()["state"] == "completed"
    assert [watcher.connections > 1 for watcher in watched.watchers[:4]] == [True, True, False, False]


def test_sigterm_sends_viewers_away_without_an_end(stack: Stack) -> None:
    watched = watch(stack, MODEL, viewers=0)
    leaving = len(stack.urls) - 1
    watched.join(apis=[leaving, 0])
    watched.join(apis=[0])
    received = b""
    with httpx2.stream("GET", f"{stack.urls[leaving]}/v1/generations/{watched.id}/events", timeout=20) as response:
        watched.runs()
        moment = time.monotonic()
        stack.apis[leaving].signal(signal.SIGTERM)
        cut = False
        try:
            for chunk in response.iter_raw():
                received += chunk
        except httpx2.RemoteProtocolError:
            cut = True
    assert cut, "not a clean end: the generation has not ended"
    told = re.search(rb'\ndata: {"type":"drain"}\nretry: (\d+)\n\n$', received)
    assert told
    assert 500 <= int(told[1]) <= 3000
    assert next(frames(iter([received]))).type in ("queued", "stream_start")
    assert stack.apis[leaving].wait(10) in (0, -signal.SIGTERM)  # uvicorn raises the signal again, behind its clean end
    assert time.monotonic() - moment < 10
    assert watched.verdict()["state"] == "completed"
    assert [watcher.connections for watcher in watched.watchers] == [2, 1]
    assert "drain" in [frame.type for frame in watched.watchers[0].frames]


def test_an_api_that_comes_back_serves_what_it_never_saw(stack: Stack) -> None:
    watched = watch(stack, "sim-1?ttft_ms=20&tps=40&tokens=100", viewers=0)
    watched.join(apis=[0])
    watched.runs()
    newcomer = len(stack.urls)
    stack.add_api()
    watched.join(apis=[newcomer])
    watched.join(apis=[newcomer], snapshot=True)
    assert watched.verdict()["state"] == "completed"
    until(lambda: httpx2.get(f"{stack.urls[newcomer]}/readyz").status_code == 200, "it is ready")
