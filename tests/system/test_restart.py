"""SIGHUP to `python -m api`: successors take over, and nobody who asks or watches notices, but for a `drain`."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import httpx2
import pytest
import redis

from broker import keys
from broker.local.embedded import free_port
from tests.harness.stack import Stack, until
from tests.system.faults.family import Family, family
from tests.system.faults.watching import watch

MODEL = "sim-1?ttft_ms=20&tps=30&tokens=6000"
TINY = {"model": "sim-1?tps=0&tokens=1&ttft_ms=0", "messages": [{"role": "user", "content": "Hello"}]}
RESTARTS = 3


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(apis=0) as stack:
        yield stack


def restart(apis: Family) -> None:
    """Returns when no process of those before is left."""
    before = apis.children()
    apis.parent.signal(signal.SIGHUP)
    until(lambda: not apis.strays(before), "those before have gone", 30)
    assert len(apis.children()) == len(before)


@contextmanager
def asked_all_the_time(url: str, *, keep_alive: bool) -> Iterator[list[str]]:
    """Somebody submits the same inside the block, again and again; yields what went wrong. At least one went right."""
    wrong: list[str] = []
    right = 0
    over = threading.Event()

    def ask() -> None:
        nonlocal right
        limits = httpx2.Limits(max_keepalive_connections=1 if keep_alive else 0)
        with httpx2.Client(base_url=url, timeout=20, limits=limits) as client:
            while not over.is_set():
                try:
                    answer = client.post("/v1/generations", json=TINY, headers={"Idempotency-Key": "one"})
                except httpx2.TransportError as error:
                    wrong.append(repr(error))
                else:
                    right += answer.status_code == 202
                    if answer.status_code != 202:
                        wrong.append(answer.text)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield wrong
    finally:
        over.set()
        asking.join(30)
    assert right > 0


@pytest.mark.long
@pytest.mark.parametrize("processes", [1, 2])
def test_no_request_is_refused_and_no_viewer_misses_a_word_while_all_processes_are_replaced(
    stack: Stack, processes: int
) -> None:
    port = free_port()
    stack.urls[:] = [f"http://127.0.0.1:{port}"]
    with family(stack, "api", processes, port=port) as apis:
        watched = watch(stack, MODEL, viewers=8)
        watched.runs()
        with ExitStack() as clients:
            asking = [
                clients.enter_context(asked_all_the_time(stack.url, keep_alive=kept))
                for kept in (True, True, False, False)
            ]
            for _ in range(RESTARTS):
                restart(apis)
        assert asking == [[], [], [], []]
        watched.cancel()
        assert watched.verdict()["state"] == "cancelled"
        assert all("drain" in [frame.type for frame in watcher.frames] for watcher in watched.watchers)
        assert apis.parent.running


def test_what_is_set_is_read_anew_and_a_successor_that_cannot_start_replaces_nobody(
    stack: Stack, tmp_path: Path
) -> None:
    settings = tmp_path / "respool.env"
    settings.write_text("RESPOOL_RETENTION=100\n")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with family(stack, "api", 1, ("--env-file", str(settings)), port=port) as apis:

        def retention() -> int:
            id_ = httpx2.post(f"{url}/v1/generations", json=TINY, timeout=10).json()["id"]
            with redis.Redis.from_url(stack.server.url, decode_responses=True) as server:
                return int(str(server.hget(keys.record(id_), "retention_ms"))) // 1000

        assert retention() == 100

        def told(times: int) -> bool:
            return apis.parent.log.count("no successors") == times

        before = apis.children()
        wrongs = ("RESPOOL_RETENTION=1\n", f"RESPOOL_LOGS_URL=redis://127.0.0.1:{free_port()}/0\n")
        for times, wrong in enumerate(wrongs, 1):
            settings.write_text(wrong)
            apis.parent.signal(signal.SIGHUP)
            until(partial(told, times), "it is told", 30)
            assert apis.children().keys() == before.keys()
            assert retention() == 100
        settings.write_text("RESPOOL_RETENTION=200\n")
        restart(apis)
        assert retention() == 200
