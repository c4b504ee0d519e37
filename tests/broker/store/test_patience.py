"""How connections are made, how often a command is repeated, and which Redis a process starts on."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from redis.asyncio import Connection
from redis.asyncio import retry as retrying
from redis.exceptions import BusyLoadingError, ConnectionError, OutOfMemoryError, ResponseError, TimeoutError

from broker import keys
from broker.errors import StorageForbidden, StorageRefused, StorageUnavailable, UnsafeStorage
from broker.refusals import SilentError
from broker.store import client as connecting
from broker.store.client import check_safe, check_writable, checks_hostname, connect, reach, storage_error
from tests.broker.store.scripted import Server

# -- a client


def connection_to(url: str = "redis://h:1", **options: Any) -> Any:
    """One that is not made yet."""
    return connect(url, **options).connection_pool.make_connection()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("url", ["redis://h:1", "rediss://h:1", "unix:///h"])
def test_a_client_waits_a_bounded_time_over_a_bounded_number_of_connections(url: str) -> None:
    pool = connect(url, connections=3).connection_pool
    options = pool.connection_kwargs
    assert (pool.max_connections, getattr(pool, "timeout", None)) == (3, 4.0)
    assert (options["socket_connect_timeout"], options["socket_timeout"]) == (2.0, 4.0)
    assert options.get("socket_keepalive", False) == (not url.startswith("unix"))
    assert options.get("ssl_check_hostname", False) == url.startswith("rediss")
    assert options["retry_on_error"] == [ConnectionError, TimeoutError, OSError]
    connection = connection_to(url)
    assert isinstance(connection, connecting._Sturdy)
    assert connection.retry._retries == 4
    assert [connection.retry._backoff.compute(tried) for tried in (1, 2, 3, 4, 5)] == [0.1, 0.2, 0.4, 0.4, 0.4]
    assert connect(url).connection_pool.max_connections == 64
    assert connect(url, answer_seconds=9.0).connection_pool.connection_kwargs["socket_timeout"] == 9.0


def test_a_client_writes_jobs_as_json_and_pipelines_that_keep_no_arguments() -> None:
    client = connect("redis://h:1")
    assert client.job_serializer is not None
    assert client.job_deserializer is not None
    assert client.job_deserializer(client.job_serializer({"a": 1})) == {"a": 1}
    assert client.job_serializer({"a": 1}) == b'{"a":1}'
    for transaction in (True, False):
        pipe = client.pipeline(transaction=transaction)
        assert pipe.explicit_transaction is False
        assert pipe.is_transaction == transaction
        error = ResponseError("ERR it is refused")
        pipe.annotate_exception(error, 1, ("SET", "a prompt"))
        assert error.args == ("ERR it is refused",)
    assert client.pipeline().is_transaction


def test_a_connection_whose_end_the_loop_has_seen_is_one_that_was_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connection_to()
    assert isinstance(connection, connecting._Plain)
    sent: list[Any] = []

    async def send(self: Connection, command: Any) -> None:
        sent.append(command)
        if len(sent) > 1:
            raise RuntimeError("unable to perform operation; the handler is closed")

    monkeypatch.setattr(Connection, "_send_packed_command", send)
    asyncio.run(connection._send_packed_command([b"PING"]))
    assert sent == [[b"PING"]]
    with pytest.raises(ConnectionResetError, match="handler is closed"):
        asyncio.run(connection._send_packed_command([b"PING"]))


def test_a_connection_that_lives_is_given_out_before_one_that_must_be_made_anew(server: Server) -> None:
    pool = server.redis.connection_pool

    async def given() -> list[int]:
        taken = [await pool.get_connection() for _ in range(3)]
        await taken[2].disconnect()
        for connection in taken:  # the dead one is returned last
            await pool.release(connection)
        connections = [await pool.get_connection() for _ in range(3)]
        places = [taken.index(connection) for connection in connections]
        for connection in connections:
            await pool.release(connection)
        return places

    assert server.do(given()) == [1, 0, 2]


@pytest.mark.parametrize(
    ("options", "checks"),
    [
        ({}, True),
        ({"ssl_cert_reqs": "required"}, True),
        ({"ssl_cert_reqs": "optional"}, True),
        ({"ssl_cert_reqs": "none"}, False),
        ({"ssl_cert_reqs": "None"}, False),
        ({"ssl_cert_reqs": "none", "ssl_check_hostname": True}, True),
        ({"ssl_check_hostname": False}, False),
    ],
)
def test_a_certificate_is_of_its_servers_name_unless_none_is_asked_for(options: dict[str, Any], checks: bool) -> None:
    assert checks_hostname(options) is checks


@pytest.mark.parametrize("cancelled_before", [False, True])
def test_a_cancel_that_is_forgotten_while_a_command_is_sent_ends_the_task(
    monkeypatch: pytest.MonkeyPatch, cancelled_before: bool
) -> None:
    """And one that the task had got over before does not."""
    connection = connection_to()
    sent: list[bool] = []
    ended: list[bool] = []

    async def send(self: Connection, command: Any, check_health: bool = True) -> None:
        sent.append(check_health)
        if not cancelled_before:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(5)

    async def end(nowait: bool = False) -> None:
        ended.append(nowait)

    async def ask() -> None:
        if cancelled_before:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(5)
        await connection.send_packed_command(b"PING")

    async def cancel() -> bool:
        task = asyncio.create_task(ask())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task}, timeout=5)
        return task.cancelled()

    monkeypatch.setattr(Connection, "send_packed_command", send)
    monkeypatch.setattr(connection, "disconnect", end)
    assert asyncio.run(cancel()) is not cancelled_before
    assert sent == [True]
    assert ended == ([] if cancelled_before else [True])


# -- again


Failure = Exception | None


async def _failed(error: Exception) -> None:
    """Nothing is to be done."""


@pytest.mark.parametrize(
    ("said", "tries", "raised"),
    [
        ([None], 1, None),
        ([TimeoutError(), None], 2, None),
        ([TimeoutError(), TimeoutError()], 2, SilentError),
        ([ConnectionError()] * 4 + [None], 5, None),
        ([ConnectionError()] * 5, 5, ConnectionError),
        ([TimeoutError(), ConnectionError(), TimeoutError()], 3, SilentError),
        ([ResponseError("MISCONF it cannot")], 1, ResponseError),
        ([TimeoutError(), ResponseError("MISCONF it cannot")], 2, SilentError),
        ([TimeoutError(), ResponseError("WRONGTYPE")], 2, ResponseError),
        ([BusyLoadingError("LOADING")] * 5, 5, BusyLoadingError),
    ],
)
def test_a_command_is_repeated_four_times_and_once_where_no_answer_came(
    monkeypatch: pytest.MonkeyPatch, said: list[Failure], tries: int, raised: type[Exception] | None
) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    connection = connection_to()
    replies = iter(said)
    asked = 0

    async def do() -> str:
        nonlocal asked
        asked += 1
        error = next(replies)
        if error is not None:
            raise error
        return "done"

    monkeypatch.setattr(retrying, "sleep", pause)
    call = connection.retry.call_with_retry(do, _failed)
    if raised is None:
        assert asyncio.run(call) == "done"
    else:
        with pytest.raises(raised) as caught:
            asyncio.run(call)
        assert type(caught.value) is raised
    assert asked == tries
    assert pauses == [0.1, 0.2, 0.4, 0.4][: tries - 1]


def test_a_silence_keeps_its_words_and_its_cause() -> None:
    connection = connection_to(retries=1)

    async def silent() -> None:
        raise TimeoutError("Timeout reading")

    with pytest.raises(SilentError, match="Timeout reading") as caught:
        asyncio.run(connection.retry.call_with_retry(silent, _failed))
    assert isinstance(caught.value.__cause__, TimeoutError)


def test_an_error_is_told_by_its_word() -> None:
    refused = storage_error(ResponseError("WRONGTYPE Operation"))
    assert isinstance(refused, StorageRefused)
    assert refused.word == "WRONGTYPE"
    silent = storage_error(TimeoutError())
    assert isinstance(silent, StorageUnavailable)
    assert silent.why == "silent"


# -- a start


SAFE: dict[str, Any] = {"maxmemory_policy": "noeviction", "aof_enabled": 1, "loading": 0}


class Told:
    """A Redis that tells so of itself, or raises; each section has its own fields."""

    def __init__(self, *said: dict[str, Any] | Exception) -> None:
        self.said = list(said)

    async def info(self, section: str) -> dict[str, Any]:
        said = self.said[0] if len(self.said) == 1 or section == "memory" else self.said.pop(0)
        if isinstance(said, Exception):
            if len(self.said) > 1:
                self.said.pop(0)
            raise said
        fields = {"memory": ["maxmemory_policy"], "persistence": ["aof_enabled", "loading"]}[section]
        return {name: value for name, value in said.items() if name in fields}


@pytest.mark.parametrize(
    ("said", "ephemeral", "raised"),
    [
        (SAFE, False, None),
        (SAFE, True, None),
        ({}, False, None),
        (SAFE | {"maxmemory_policy": "allkeys-lru"}, False, "maxmemory-policy allkeys-lru"),
        (SAFE | {"maxmemory_policy": "allkeys-lru"}, True, "maxmemory-policy allkeys-lru"),
        (SAFE | {"aof_enabled": 0}, False, "appendonly no"),
        (SAFE | {"aof_enabled": 0}, True, None),
        (ResponseError("NOPERM INFO"), False, None),
        (ResponseError("ERR unknown command"), False, None),
    ],
)
def test_a_redis_is_safe_if_it_neither_evicts_nor_forgets_as_far_as_it_tells(
    said: dict[str, Any] | Exception, ephemeral: bool, raised: str | None
) -> None:
    check = check_safe(Told(said), ephemeral=ephemeral)  # type: ignore[arg-type]
    if raised is None:
        asyncio.run(check)
    else:
        with pytest.raises(UnsafeStorage, match=raised):
            asyncio.run(check)


def test_while_it_reads_its_file_nothing_is_known_of_it() -> None:
    with pytest.raises(StorageUnavailable) as caught:
        asyncio.run(check_safe(Told(SAFE | {"loading": 1, "aof_enabled": 0}), ephemeral=False))  # type: ignore[arg-type]
    assert caught.value.why == "LOADING"


def test_a_start_waits_until_redis_is_there_and_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", pause)
    redis: Any = Told(ConnectionError(), BusyLoadingError("LOADING"), SAFE)
    with caplog.at_level(logging.WARNING):
        asyncio.run(reach(redis, ephemeral=False))
    assert pauses == [0.25, 0.25]
    assert [record.getMessage() for record in caplog.records] == [
        "waiting for Redis: unreachable", "waiting for Redis: LOADING",
    ]  # fmt: skip
    with pytest.raises(UnsafeStorage):
        asyncio.run(reach(Told(SAFE | {"aof_enabled": 0}), ephemeral=False))  # type: ignore[arg-type]
    asyncio.run(reach(Told(SAFE | {"aof_enabled": 0}), ephemeral=True))  # type: ignore[arg-type]


def test_a_start_waits_for_a_minute_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connecting._START_SECONDS == 60.0
    monkeypatch.setattr(connecting, "_START_SECONDS", 0.0)
    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(reach(Told(ConnectionError()), ephemeral=False))  # type: ignore[arg-type]


def test_whether_it_takes_writes_is_found_by_one_that_is_soon_gone(server: Server) -> None:
    server.do(check_writable(server.redis))
    assert server.command("GET", keys.PROBE) == b"1"
    assert keys.PROBE_MS // 2 < server.command("PTTL", keys.PROBE) <= keys.PROBE_MS


@pytest.mark.parametrize(
    ("said", "raised"),
    [
        (OutOfMemoryError("OOM"), None),
        (ResponseError("NOPERM no permissions"), StorageForbidden),
        (ResponseError("READONLY You can't write"), StorageUnavailable),
    ],
)
def test_one_that_is_full_counts_as_writable_and_one_that_refuses_does_not(
    said: Exception, raised: type[Exception] | None
) -> None:
    class Refusing:
        async def set(self, *_: object, **__: object) -> None:
            raise said

    check: Callable[[], Any] = lambda: asyncio.run(check_writable(Refusing()))  # type: ignore[arg-type]  # noqa: E731
    if raised is None:
        check()
    else:
        with pytest.raises(raised):
            check()
