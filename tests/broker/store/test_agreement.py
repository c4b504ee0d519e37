"""Which logs servers APIs and workers use: what is announced, for how long, and who sees that he is apart."""

import asyncio
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from arq.connections import ArqRedis
from redis.exceptions import ConnectionError

from broker import keys
from broker.ids import new_generation_id
from broker.local.embedded import EmbeddedServer
from broker.store.agreement import Agreement, Heard, Role
from broker.store.client import connect
from tests.broker.store.scripted import Generation, Server

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


class Failing:
    """A Redis that can be away; `transactions` says of each pipeline whether it was one."""

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis
        self.away = False
        self.transactions: list[bool] = []

    def pipeline(self, *, transaction: bool = True) -> Any:
        self._check()
        self.transactions.append(transaction)
        return self._redis.pipeline(transaction=transaction)

    async def execute_command(self, *words: Any) -> Any:
        self._check()
        return await self._redis.execute_command(*words)  # type: ignore[no-untyped-call]

    def _check(self) -> None:
        if self.away:
            raise ConnectionError


def test_an_identity_is_32_digits_written_and_read_in_one_step(server: Server) -> None:
    logs: Any = Failing(server.redis)
    agreement = Agreement("api", logs, server.redis)
    assert not agreement.apart
    assert server.do(agreement.beat())
    assert re.fullmatch("[0-9a-f]{32}", identity(server))
    assert logs.transactions == [True]


def test_a_process_whose_logs_are_away_announces_what_it_knows_and_hears_the_others(
    server: Server, elsewhere: ArqRedis
) -> None:
    logs: Any = Failing(elsewhere)
    logs.away = True
    agreement = Agreement("worker", logs, server.redis)
    assert not server.do(agreement.beat()), "it is not known yet what logs server this is"
    assert server.command("ZCARD", keys.announced("worker")) == 0
    logs.away = False
    assert server.do(agreement.beat())
    ago(server, "worker", 60)
    logs.away = True
    Process(server, "api").beats()
    assert server.do(agreement.beat())
    assert agreement.apart
    (row,) = server.command("ZRANGE", keys.announced("worker"), 0, -1)
    assert float(server.command("ZSCORE", keys.announced("worker"), row)) > server.now_ms() - 30_000


def test_while_coordination_is_away_all_is_as_it_was(server: Server, elsewhere: ArqRedis) -> None:
    Process(server, "api").beats()
    coordination: Any = Failing(server.redis)
    agreement = Agreement("worker", elsewhere, coordination)
    assert server.do(agreement.beat())
    coordination.away = True
    assert server.do(agreement.beat()) is False
    assert agreement.apart


def test_a_process_announces_itself_every_5_s_and_sooner_if_it_could_not(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    coordination: Any = Failing(server.redis)
    coordination.away = True
    agreement = Agreement("api", server.redis, coordination)
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        coordination.away = False
        if len(pauses) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", pause)
    with pytest.raises(asyncio.CancelledError):
        server.do(agreement.run())
    assert pauses == [0.5, 5.0, 5.0]
    assert server.command("ZCARD", keys.announced("api")) == 1


def test_an_api_is_patient_anew_each_time_that_the_workers_differ(server: Server, elsewhere: ArqRedis) -> None:
    api, there, here = Process(server, "api"), Process(server, "worker", elsewhere), Process(server, "worker")
    there.beats()
    api.time = 100.0
    assert not api.beats()
    here.beats()
    api.time = 114.0
    assert not api.beats()
    ago(server, "worker", 60)
    there.beats()
    for api.time, apart in ((115.0, False), (129.0, False), (130.0, True)):
        assert api.beats() == apart


def test_who_is_apart_says_so_once_and_once_that_it_is_over(
    server: Server, elsewhere: ArqRedis, caplog: pytest.LogCaptureFixture
) -> None:
    Process(server, "api").beats()
    worker = Process(server, "worker", elsewhere)
    with caplog.at_level(logging.INFO, logger="respool.agreement"):
        for _ in range(2):
            assert worker.beats()
            said = [(record.levelno, record.getMessage()) for record in caplog.records]
            assert said == [(logging.ERROR, _AGAINST)]
        ago(server, "api", 60)
        for _ in range(2):
            assert not worker.beats()
            said = [(record.levelno, record.getMessage()) for record in caplog.records]
            assert said[1:] == [(logging.INFO, "APIs and workers keep logs on one server again")]


_AGAINST = "the APIs keep logs on another server: no job is taken until RESPOOL_LOGS_URL is the same for both"


def test_what_is_lost_can_be_asked_by_a_process_that_has_not_announced_itself_yet(
    server: Server, elsewhere: ArqRedis
) -> None:
    assert Process(server, "worker").lost("gen_a") == ["gen_a"]
    Process(server, "api", elsewhere).beats()
    assert Process(server, "worker").lost("gen_a") == []
