"""A Redis that would lose logs by itself: processes say so in plain words, and do not start."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import redis

from broker.local.embedded import EmbeddedServer, free_port
from broker.processes.orphans import Orphans
from tests.harness.processes import Child, python
from tests.harness.stack import Stack, until

PLAIN = {
    "evicts": "Redis has maxmemory-policy allkeys-lru and would evict live logs: set it to noeviction",
    "forgets": "Redis has appendonly no and would lose every generation when it stops: set it to yes, or RESPOOL_EPHEMERAL=1; "
    "or RESPOOL_STORAGE=trusted, if it keeps its data in another way",
}
CONFIG = {"evicts": ("maxmemory-policy", "allkeys-lru"), "forgets": ("appendonly", "no")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def fault(server: EmbeddedServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """What is wrong with the server, for one test."""
    name: str = request.param
    with redis.Redis.from_url(server.url) as client:
        key, value = CONFIG[name]
        before = client.config_get(key)[key]
        client.config_set(key, value)
        yield name
        client.config_set(key, before)


@pytest.fixture
def orphans() -> Iterator[Orphans]:
    orphans = Orphans()
    yield orphans
    orphans.close()


@pytest.mark.parametrize("fault", CONFIG, indirect=True)
def test_no_process_starts_on_it_and_each_says_why(
    server: EmbeddedServer, fault: str, orphans: Orphans, tmp_path: Path
) -> None:
    # RESPOOL_EPHEMERAL allows to forget, not to evict.
    environment = {"RESPOOL_REDIS_URL": server.url, "RESPOOL_EPHEMERAL": str(int(fault == "evicts"))}
    environment |= {"RESPOOL_PORT": str(free_port()), "ANTHROPIC_API_KEY": "simulated"}
    started = [Child(name, python(name), environment, tmp_path, orphans).start() for name in ("api", "worker")]
    for child in started:
        assert child.wait() == 1
        assert child.log.splitlines()[-1] == f"{child.name}: {PLAIN[fault]}"
        assert "Traceback" not in child.log


def test_one_that_forgets_is_used_where_that_is_wanted(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "data", config={"appendonly": "no"})
    with Stack(server=server, ephemeral=1) as stack:
        client = stack.client()
        generation = client.submit("sim-1?ttft_ms=0&tps=0&tokens=5")
        assert client.events(generation.id)[-1].data["status"] == "completed"


def test_an_api_that_runs_says_that_its_redis_is_not_safe_any_more(tmp_path: Path) -> None:
    with Stack(workers=0) as stack, redis.Redis.from_url(stack.server.url) as client:
        for key, value in CONFIG.values():
            before = client.config_get(key)[key]
            client.config_set(key, value)
            answer = httpx2.get(f"{stack.url}/readyz", timeout=10)
            assert (answer.status_code, answer.json()["code"]) == (503, "unsafe_storage")
            client.config_set(key, before)
        until(lambda: httpx2.get(f"{stack.url}/readyz", timeout=10).status_code == 200, "it is ready again")
