"""A primary that has Sentinels dies, freezes and is replaced, while people watch: nobody sees wrong text or misses any."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.harness.sentinels import Trio, info, tell
from tests.harness.stack import Stack, until
from tests.proof.chaos.proxy import FaultProxy, Mode
from tests.proof.failover.pair import Network
from tests.system.faults.watching import goes_on, watch, whole
from tests.system.main_path import main_path

STEADY = "sim-1?ttft_ms=20&tps=40&tokens=400"
QUICK = "sim-1?ttft_ms=20&tps=200&tokens=20"
GENERATIONS = 4
VERDICT = 90.0
LEASE = 30
"""Seconds: longer than a failover takes on a busy machine, so that nobody else takes over meanwhile."""


def kill(trio: Trio) -> None:
    before = trio.primary
    before.kill()
    trio.moved_from(before)
    before.start()


def freeze(trio: Trio) -> None:
    """It thaws when another is the primary, and does not know it yet."""
    before = trio.primary
    before.signal(signal.SIGSTOP)
    try:
        trio.moved_from(before)
    finally:
        before.signal(signal.SIGCONT)


def graceful(trio: Trio) -> None:
    before = trio.primary
    trio.fail_over()
    trio.moved_from(before)


MOVES: dict[str, Callable[[Trio], None]] = {
    "is killed": kill,
    "freezes and thaws": freeze,
    "is replaced by its operator": graceful,
}


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    with Trio(tmp_path_factory.mktemp("trio"), replicas=2) as trio:
        yield trio


@pytest.fixture(scope="module")
def stack(trio: Trio) -> Iterator[Stack]:
    with Stack(apis=2, workers=2, server=trio.front, lease=LEASE, pickup_grace=1) as stack:
        yield stack


def test_the_main_path_is_the_same_with_sentinels(stack: Stack) -> None:
    main_path(stack)


@pytest.mark.parametrize("move", MOVES)
def test_when_the_primary_moves_every_viewer_gets_the_whole_text_once(trio: Trio, stack: Stack, move: str) -> None:
    before = [child.pid for child in (*stack.apis, *stack.workers)]
    running = [watch(stack, STEADY) for _ in range(GENERATIONS)]
    for each in running:
        each.runs()
    MOVES[move](trio)
    moment = time.monotonic()
    until(lambda: all(goes_on(each, moment) for each in running), "every viewer gets more text", 30)
    for each in running:
        whole(each, VERDICT)
    assert watch(stack, QUICK).verdict()["state"] == "completed"
    trio.whole()
    assert [child.pid for child in (*stack.apis, *stack.workers) if child.running] == before
    until(lambda: all(map(stack.is_ready, stack.urls)), "every API is ready")


# -- not now


@pytest.mark.long
def test_while_the_replica_hears_nothing_all_waits_and_says_why_and_a_failover_in_that_state_loses_nothing_for_good(
    tmp_path: Path,
) -> None:
    """The network between the two is silent, so the primary refuses writes (NOREPLICAS). What it had taken before, and the
    replica lacks when it takes over, its worker writes again."""
    with Trio(tmp_path) as trio, Stack(apis=2, server=trio.front, lease=60, pickup_grace=1) as stack:
        running = [watch(stack, STEADY) for _ in range(GENERATIONS)]
        for each in running:
            each.runs()
        with network_between(trio) as link:
            link(Mode.HOLD)
            until(lambda: all(map(lacks_replicas, stack.urls)), "every API says that a replica is missing", 30)
            assert stack.workers[0].said("NOREPLICAS")
            first = trio.servers[0]
            first.kill()
            trio.moved_from(first)
            until(lambda: all(map(lacks_replicas, stack.urls)), "the new primary has none either", 30)
            first.start()
            trio.whole()
        for each in running:
            whole(each, VERDICT)
        assert watch(stack, QUICK).verdict()["state"] == "completed"


@contextmanager
def network_between(trio: Trio) -> Iterator[Callable[[Mode], None]]:
    """What the replica hears its primary through. The Sentinels lead it past that in 8 s, but there it has no login."""
    network, proxy = Network(), FaultProxy(("127.0.0.1", trio.servers[0].port))
    try:
        network.do(proxy.start())
        tell(trio.servers[1], "REPLICAOF", "127.0.0.1", proxy.port)
        until(lambda: info(trio.servers[1])["master_link_status"] == "up", "the replica is behind it")
        tell(trio.servers[1], "CONFIG", "SET", "masterauth", "of-nobody")
        yield lambda mode: network.call(lambda: proxy.set(mode))
    finally:
        network.do(proxy.close())
        network.close()


def lacks_replicas(url: str) -> bool:
    body = {"model": QUICK, "messages": [{"role": "user", "content": "?"}]}
    try:
        answers = httpx2.post(f"{url}/v1/generations", json=body), httpx2.get(f"{url}/readyz")
    except httpx2.TransportError:
        return False
    return all(answer.status_code == 503 and answer.json()["code"] == "storage_replicas" for answer in answers)
