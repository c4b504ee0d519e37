"""Managed services forbid commands, and what they tell of themselves is not what an operator would check. They are simulated by
users of the embedded server who may not do what is forbidden there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx2
import pytest
import redis

from broker.local.embedded import EmbeddedServer, free_port
from broker.processes.orphans import Orphans
from tests.harness.processes import Child, python
from tests.harness.sentinels import Front
from tests.harness.stack import Stack
from tests.system.faults.watching import watch, whole_text

MODEL = "sim-1?ttft_ms=20&tps=200&tokens=20"
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "?"}]}
_ALL: Final = "acl bgrewriteaof bgsave config debug migrate replicaof save shutdown slaveof sync psync"
FORBIDDEN: Final = {
    "Amazon ElastiCache": _ALL,
    "Amazon MemoryDB": f"{_ALL} module waitaof",
    "Google Memorystore": f"{_ALL} client cluster command lastsave monitor object",
    "Azure Managed Redis": f"{_ALL} cluster monitor role waitaof",
    "Redis Cloud": f"{_ALL} cluster monitor role waitaof",
    "Upstash": f"{_ALL} client cluster info monitor role wait waitaof",
}
"""What each does not allow, by its documentation; where that is silent, what it may well not."""
TELLS_LITTLE: Final = "Upstash"
PASSWORD: Final = "of-a-managed-one"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """It has no file, as most that are managed, or none that they tell of."""
    folder = tmp_path_factory.mktemp("managed")
    with EmbeddedServer(folder, free_port(), config={"appendonly": "no"}) as server:
        with redis.Redis.from_url(server.url) as client:
            for name, commands in FORBIDDEN.items():
                rules = [f"-{command}" for command in commands.split()]
                client.execute_command("ACL", "SETUSER", user(name), "on", f">{PASSWORD}", "~*", "&*", "+@all", *rules)
        yield server


def user(name: str) -> str:
    return name.lower().replace(" ", "-")


def front(server: EmbeddedServer, name: str, folder: Path) -> Front:
    return Front(folder / "front", f"redis://{user(name)}:{PASSWORD}@127.0.0.1:{server.port}/0")


@pytest.mark.parametrize("name", FORBIDDEN)
def test_on_its_operators_word_all_runs_as_elsewhere_and_a_strict_submit_is_refused_plainly(
    server: EmbeddedServer, name: str, tmp_path: Path
) -> None:
    with Stack(server=front(server, name, tmp_path), storage="trusted") as stack:
        assert httpx2.get(f"{stack.url}/readyz").status_code == 200
        watched = watch(stack, MODEL)
        record = watched.verdict()
        assert (record["state"], record["text"]) == ("completed", whole_text(MODEL))
        answer = httpx2.post(f"{stack.url}/v1/generations", json={**BODY, "durability": "strict"})
        assert (answer.status_code, answer.json()["code"]) == (422, "not_durable")
        assert answer.headers["content-type"] == "application/problem+json"
        keyed = httpx2.post(f"{stack.url}/v1/generations", json=BODY, headers={"idempotency-key": "a"})
        again = httpx2.post(f"{stack.url}/v1/generations", json=BODY, headers={"idempotency-key": "a"})
        assert keyed.json()["id"] == again.json()["id"]
        assert not any(child.said("Traceback|internal_error") for child in (*stack.apis, *stack.workers))


@pytest.mark.parametrize("name", ["Amazon ElastiCache", TELLS_LITTLE])
def test_without_that_word_no_process_starts_on_it_and_each_says_what_to_set(
    server: EmbeddedServer, name: str, tmp_path: Path
) -> None:
    orphans = Orphans()
    environment = {
        "RESPOOL_REDIS_URL": front(server, name, tmp_path).url,
        "RESPOOL_PORT": str(free_port()),
        "ANTHROPIC_API_KEY": "simulated",
    }
    try:
        started = [Child(each, python(each), environment, tmp_path, orphans).start() for each in ("api", "worker")]
        for child in started:
            assert child.wait() == 1
            assert "RESPOOL_STORAGE=trusted" in child.log.splitlines()[-1]
            assert "Traceback" not in child.log
    finally:
        orphans.close()


def test_a_word_makes_no_server_safe_that_says_that_it_evicts(server: EmbeddedServer, tmp_path: Path) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory-policy", "volatile-lru")
        try:
            orphans = Orphans()
            environment = {
                "RESPOOL_REDIS_URL": front(server, "Google Memorystore", tmp_path).url,
                "RESPOOL_STORAGE": "trusted",
                "RESPOOL_PORT": str(free_port()),
            }
            api = Child("api", python("api"), environment, tmp_path, orphans).start()
            assert api.wait() == 1
            assert "maxmemory-policy volatile-lru" in api.log
            orphans.close()
        finally:
            client.config_set("maxmemory-policy", "noeviction")
