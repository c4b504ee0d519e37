"""Several API processes on one port: the same streams from each, one that dies is replaced, and SIGTERM reaches all."""

import signal
import sys
from collections.abc import Iterator

import httpx2
import pytest

from broker.local.embedded import free_port
from tests.harness.stack import Stack, until
from tests.system.faults.family import Family, family
from tests.system.faults.watching import Watched, watch

MODEL = "sim-1?ttft_ms=20&tps=40&tokens=160"
VIEWERS = 24
"""So many that the kernel gives some to each process, but for one time in eight millions."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux spreads connections over processes")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(apis=0) as stack:
        yield stack


def watched_by_many(stack: Stack) -> Watched:
    watched = watch(stack, MODEL, viewers=VIEWERS)
    watched.runs()
    return watched


def gone(apis: Family, children: dict[int, str]) -> None:
    until(lambda: not apis.strays(children), "no child is left", 15)


def test_a_killed_process_is_replaced_and_its_viewers_come_back(stack: Stack) -> None:
    port = free_port()
    stack.urls[:] = [f"http://127.0.0.1:{port}"]
    with family(stack, "api", port=port) as apis:
        watched = watched_by_many(stack)
        before = apis.children()
        apis.kill(min(before))
        until(lambda: len(apis.children().keys() - before.keys()) == 1, "it is replaced")
        apis.ready(3)
        assert watched.verdict()["state"] == "completed"
        came_back = [watcher for watcher in watched.watchers if watcher.connections > 1]
        assert 0 < len(came_back) < VIEWERS  # each process had some, and the other one's felt nothing

        watched = watched_by_many(stack)
        children = apis.children()
        assert len(children) == 2
        apis.parent.signal(signal.SIGTERM)
        assert apis.parent.wait(10) == 0
        gone(apis, children)
        assert all("drain" in [frame.type for frame in watcher.frames] for watcher in watched.watchers)
        stop(watched)


def test_the_children_of_a_killed_parent_go_too(stack: Stack) -> None:
    port = free_port()
    with family(stack, "api", port=port) as apis:
        children = apis.children()
        apis.parent.kill()
        gone(apis, children)
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"http://127.0.0.1:{port}/healthz")


def stop(watched: Watched) -> None:
    for watcher in watched.watchers:
        watcher.stop()
