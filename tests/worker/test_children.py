"""Worker processes under a parent: who dies is replaced and its generations go on at once; none outlives the parent."""

import signal
import time
from collections.abc import Iterator

import pytest
import redis

from tests.harness.stack import Stack, until
from tests.system.faults.family import Family, family
from tests.system.faults.watching import Watched, spent, watch

MODEL = "sim-1?ttft_ms=20&tps=40&tokens=100"
LONG = "sim-1?ttft_ms=20&tps=30&tokens=3000"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Without workers; a lease is so long that no test passes by waiting for its end."""
    with Stack(workers=0, lease=30, pickup_grace=1) as stack:
        yield stack


def holder(workers: Family, watched: Watched) -> int:
    """The pid of the child that produces this generation."""
    with redis.Redis.from_url(watched.stack.server.url, decode_responses=True) as client:
        claimant = str(client.hget(f"{{{watched.id}}}:record", "claimant"))
    name = claimant.partition("/")[0]
    (pid,) = (pid for pid, command in workers.children().items() if command.endswith(f"--name {name}"))
    return pid


def test_a_killed_childs_generations_go_on_at_once_and_it_is_replaced(stack: Stack) -> None:
    with family(stack, "worker") as workers:
        watched = watch(stack, LONG)
        waits = []
        for death in (1, 2):
            watched.runs(watched.texts + 5)
            before = workers.children()
            moment = time.monotonic()
            workers.kill(holder(workers, watched))
            waits.append(watched.told_since(moment))
            assert spent(watched) == 1  # it was a crash, and each attempt got further
            workers.ready(2 + death)
            assert len(workers.children().keys() - before.keys()) == 1
            assert len(workers.children()) == 2
        assert min(waits) <= 1, waits
        watched.cancel()
        assert watched.verdict()["state"] == "cancelled"
        assert [start["reason"] for start in watched.watchers[0].starts()] == ["start", "continue", "continue"]
        told = [frame.type for frame in watched.watchers[0].frames if frame.type in ("stream_start", "recovering")]
        assert told == ["stream_start", *["recovering", "stream_start"] * 2]
        failed = watch(stack, LONG, on_interrupt="fail")
        failed.runs()
        workers.kill(holder(workers, failed))
        assert failed.verdict()["error"]["code"] == "interrupted"


def test_sigterm_drains_all_children(stack: Stack) -> None:
    with family(stack, "worker", drain=3) as workers:
        short = [watch(stack, "sim-1?ttft_ms=20&tps=40&tokens=60", viewers=1) for _ in range(4)]
        long = watch(stack, LONG)
        for each in (*short, long):
            each.runs()
        children = workers.children()
        workers.parent.signal(signal.SIGTERM)
        for each in short:
            assert each.verdict()["state"] == "completed"
            assert each.record()["attempt"] == 1
        assert workers.parent.wait(15) == 0
        assert workers.strays(children) == []
    assert long.cancel() == 200  # it was handed over, and nobody took it
    assert long.verdict()["state"] == "cancelled"


def test_the_children_of_a_killed_parent_go_too(stack: Stack) -> None:
    with family(stack, "worker") as workers:
        watched = watch(stack, MODEL)
        watched.runs()
        children = workers.children()
        workers.parent.kill()
        until(lambda: not workers.strays(children), "its children have gone", 15)
    stack.add_worker()
    assert watched.verdict()["state"] == "completed"
    assert spent(watched) == 1  # they were told to go, and handed over
