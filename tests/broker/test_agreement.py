"""Which logs servers APIs and workers use: what is announced, for how long, and who sees that he is apart."""

from collections.abc import Iterator

import pytest
from arq.connections import ArqRedis

from broker import keys
from broker.agreement import Agreement, Heard, Role
from broker.connect import connect
from broker.embedded import EmbeddedServer
from broker.ids import new_generation_id
from tests.broker.scripted import Generation, Server

A, B = "a" * 32, "b" * 32


@pytest.fixture
def elsewhere(server: Server, embedded: EmbeddedServer) -> Iterator[ArqRedis]:
    """Another logs server: another database is one."""
    redis = connect(embedded.url.replace("db=0", "db=1"), connections=2)
    yield redis
    server.do(redis.aclose(close_connection_pool=True))


class Process:
    """One process of a role, whose logs are where its coordination is or elsewhere, and its clock, in seconds."""

    def __init__(self, server: Server, role: Role, logs: ArqRedis | None = None) -> None:
        self.time = 0.0
        self._server = server
        self.agreement = Agreement(role, logs or server.redis, server.redis, lambda: self.time)

    def beats(self) -> bool:
        """Whether it is apart then."""
        assert self._server.do(self.agreement.beat())
        return self.agreement.apart

    def lost(self, *ids: str) -> list[str]:
        return self._server.do(self.agreement.lost(ids))


def identity(server: Server) -> str:
    name: bytes = server.command("GET", keys.IDENTITY)
    return name.decode()


def ago(server: Server, role: Role, seconds: int) -> None:
    """As if what this role has announced had been so long ago."""
    for name in server.command("ZRANGE", keys.announced(role), 0, -1):
        server.command("ZADD", keys.announced(role), server.now_ms() - seconds * 1000, name)


def test_who_hears_of_nobody_or_of_one_that_agrees_is_not_apart() -> None:
    assert not Heard(A, frozenset(), frozenset()).differs
    assert not Heard(A, frozenset({A, B}), frozenset()).differs
    assert Heard(A, frozenset({B}), frozenset()).differs


def test_what_is_missing_may_be_elsewhere_once_an_api_was_there() -> None:
    assert not Heard(A, frozenset(), frozenset()).elsewhere
    assert not Heard(A, frozenset({B}), frozenset({A})).elsewhere
    assert Heard(A, frozenset({A}), frozenset({A, B})).elsewhere


def test_processes_on_one_logs_server_agree(server: Server) -> None:
    api, worker = Process(server, "api"), Process(server, "worker")
    for _ in range(2):
        for process in (api, worker):
            assert not process.beats()
            process.time += 60
    assert server.command("ZRANGE", keys.announced("api"), 0, -1) == [identity(server).encode()]
    assert server.command("ZRANGE", keys.announced("worker"), 0, -1) == [identity(server).encode()]


def test_a_worker_with_other_logs_is_apart_at_once_and_an_api_after_15_s(server: Server, elsewhere: ArqRedis) -> None:
    api, worker = Process(server, "api"), Process(server, "worker", elsewhere)
    assert not api.beats()
    assert worker.beats()
    for api.time, apart in ((0, False), (14, False), (15, True)):
        assert api.beats() == apart
    Process(server, "worker").beats()
    assert not api.beats()
    assert worker.beats()
    Process(server, "api", elsewhere).beats()
    assert not worker.beats()


def test_a_process_that_has_not_announced_itself_for_15_s_counts_no_more(server: Server, elsewhere: ArqRedis) -> None:
    Process(server, "api").beats()
    worker = Process(server, "worker", elsewhere)
    ago(server, "api", 14)
    assert worker.beats()
    ago(server, "api", 16)
    assert not worker.beats()
    ago(server, "api", -60)  # the clock has jumped back
    assert not worker.beats()


def test_an_identity_that_is_lost_is_restored_and_another_one_is_taken_over(server: Server) -> None:
    api = Process(server, "api")
    api.beats()
    before = identity(server)
    server.command("FLUSHALL")
    api.beats()
    assert identity(server) == before
    server.command("SET", keys.IDENTITY, A)
    api.beats()
    assert identity(server) == A
    assert server.command("ZRANGE", keys.announced("api"), -1, -1) == [A.encode()]


def test_what_is_announced_is_remembered_for_7_days_and_100_identities_at_most(server: Server) -> None:
    api = Process(server, "api")
    rows = [word for at in range(150) for word in (server.now_ms() - 150 + at, f"{at}")]
    server.command("ZADD", keys.announced("api"), *rows)
    api.beats()
    assert server.command("ZCARD", keys.announced("api")) == 100
    ago(server, "api", keys.WAITING_MS // 1000 + 1)
    api.beats()
    assert server.command("ZRANGE", keys.announced("api"), 0, -1) == [identity(server).encode()]
    assert keys.WAITING_MS - 60_000 < server.command("PTTL", keys.announced("api")) <= keys.WAITING_MS
    assert keys.INDEX_MS - 60_000 < server.command("PTTL", keys.IDENTITY) <= keys.INDEX_MS


def test_a_generation_is_lost_unless_an_api_may_have_made_it_elsewhere(server: Server, elsewhere: ArqRedis) -> None:
    expired, unknown = Generation(server), new_generation_id()
    expired.create()
    server.command("DEL", keys.record(expired.id))
    worker = Process(server, "worker")
    assert worker.lost(expired.id, unknown) == [expired.id, unknown]
    Process(server, "worker", elsewhere).beats()
    assert worker.lost(expired.id, unknown) == [expired.id, unknown]
    Process(server, "api", elsewhere).beats()
    ago(server, "api", 6 * 24 * 3600)
    assert worker.lost(expired.id, unknown) == [expired.id]
    ago(server, "api", 8 * 24 * 3600)
    assert worker.lost(expired.id, unknown) == [expired.id, unknown]
