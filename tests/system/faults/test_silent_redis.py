"""Redis that does not answer, though it is there: frozen, or behind connections that are half open. And one that answers, but
tells nobody of anything new."""

import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple, cast

import httpx2
import pytest
import redis

from broker.local.embedded import EmbeddedServer, free_port
from tests.harness.processes import Child
from tests.harness.stack import Stack, until
from tests.system.faults.silence import Silence
from tests.system.faults.sockets import RawViewer
from tests.system.faults.watching import watch

NOTICED = 8.0
"""Seconds within which both processes must notice."""
KEEP_ALIVE = 3.0
HEALED = 10.0
MODEL = "sim-1?ttft_ms=20&tps=40&tokens=160"
_AWAY = re.compile(r"(no jobs|Redis is away|no sweep): ")


class Place(NamedTuple):
    stack: Stack
    silence: Silence


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    server = EmbeddedServer(tmp_path_factory.mktemp("server"), free_port())
    with (
        Silence(server) as silence,
        Stack(apis=2, server=server, redis_url=silence.url, keep_alive=KEEP_ALIVE, pickup_grace=1) as stack,
    ):
        yield Place(stack, silence)


@contextmanager
def frozen(place: Place) -> Iterator[None]:
    place.stack.server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        place.stack.server.signal(signal.SIGCONT)


FAULTS: dict[str, Callable[[Place], AbstractContextManager[None]]] = {
    "frozen": frozen,
    "half-open": lambda place: place.silence.falls(),
}


@pytest.mark.parametrize(("fault", "api"), [("frozen", 0), ("half-open", 1)], ids=FAULTS)
def test_silence_is_noticed_in_time_and_viewers_have_their_keep_alives(place: Place, fault: str, api: int) -> None:
    stack, url = place.stack, place.stack.urls[api]
    (worker,) = stack.workers
    unwatched = stack.client().submit("sim-1?tokens=3").id
    watched = watch(stack, MODEL, viewers=4)
    with RawViewer(stack.urls[0], watched.id) as direct, RawViewer(stack.urls[1], watched.id) as plain:
        watched.runs()
        said = len(worker.log)
        with FAULTS[fault](place):
            moment = time.monotonic()
            assert httpx2.get(f"{url}/readyz", timeout=NOTICED).status_code == 503
            assert httpx2.get(f"{url}/healthz", timeout=NOTICED).status_code == 200
            until(lambda: _AWAY.search(worker.log, said), "the worker notices", NOTICED)
            assert time.monotonic() - moment < NOTICED
            assert turned_away(url, unwatched)
            time.sleep(max(0.0, moment + 3 * KEEP_ALIVE - time.monotonic()))
            heard = [viewer.read_for(0.3) for viewer in (direct, plain)]
        assert all(each.count(b": ka\n") >= 2 for each in heard), heard
        texts = watched.texts
        until(lambda: all(each.texts > texts or not each.is_alive() for each in watched.watchers), "it goes on", HEALED)
    assert watched.verdict()["state"] == "completed"
    assert {watcher.connections for watcher in watched.watchers} == {1}
    until(lambda: httpx2.get(f"{url}/readyz", timeout=5).status_code == 200, "it is ready again", HEALED)


def test_requests_are_answered_while_redis_is_silent(place: Place) -> None:
    """A read finds out that it cannot be; a submit does not know whether Redis will find what was sent when it thaws."""
    client = place.stack.client()
    body = {"model": "sim-1?tokens=3", "messages": [{"role": "user", "content": "Are you there?"}]}
    generation = client.submit("sim-1?tokens=3").id
    client.events(generation)
    with (
        frozen(place),
        httpx2.Client(base_url=place.stack.url, timeout=NOTICED + 2) as http,
        ThreadPoolExecutor() as both,
    ):
        reading = both.submit(http.get, f"/v1/generations/{generation}")
        asking = both.submit(http.post, "/v1/generations", json=body)
        read, asked = reading.result(), asking.result()
    assert (read.status_code, read.json()["code"]) == (503, "redis_unavailable")
    assert (asked.status_code, asked.json()["code"]) == (503, "outcome_unknown")
    assert "retry-after" in read.headers.keys() & asked.headers.keys()
    until(lambda: httpx2.get(f"{place.stack.url}/readyz", timeout=5).status_code == 200, "it is ready again", HEALED)
    assert client.events(asked.json()["generation"])[-1].data["status"] == "completed"


def turned_away(url: str, id_: str) -> re.Match[bytes] | None:
    """What a viewer is told who comes for a generation that is not watched here: to come back, in a stream that is cut."""
    with RawViewer(url, id_) as viewer:
        while viewer.read():
            pass
        assert viewer.received.startswith(b"HTTP/1.1 200 ")
        assert viewer.cut
        return re.search(rb'data: {"type":"drain"}\nretry: [0-9]+\n\n\r\n$', viewer.received)


def test_while_nothing_new_is_told_viewers_read_it_in_the_log(place: Place) -> None:
    stack = place.stack
    watched = watch(stack, "sim-1?ttft_ms=20&tps=40&tokens=100000", viewers=2)
    watched.runs()
    with redis.Redis.from_url(stack.server.url) as server:
        said = [len(api.log) for api in stack.apis]
        with no_new_connections(server):
            server.client_kill_filter(_type="pubsub")
            for api, length in zip(stack.apis, said, strict=True):
                until(lambda api=api, length=length: down(api, length), "the live connection is down")  # type: ignore[misc]
            watched.join()
            had = watched.texts
            whole = list(watched.watchers)
            late = watched.join(snapshot=True)
            until(lambda: all(each.texts > had + 20 for each in whole), "text comes all the same")
            until(lambda: late.texts > 20, "text comes behind the snapshot")
            assert not any(down(api, length) is None for api, length in zip(stack.apis, said, strict=True))
    watched.cancel()
    assert watched.verdict()["state"] == "cancelled"
    assert {watcher.connections for watcher in watched.watchers} == {1}


def down(api: Child, said: int) -> re.Match[str] | None:
    return re.compile("live connection: ").search(api.log, said)


@contextmanager
def no_new_connections(server: redis.Redis) -> Iterator[None]:
    """Those that there are go on, but for the ones that are killed."""
    before = cast("dict[str, str]", server.config_get("maxclients"))["maxclients"]
    server.config_set("maxclients", 1)
    try:
        yield
    finally:
        server.config_set("maxclients", before)
