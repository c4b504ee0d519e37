"""How connections are made, and how often a command is repeated."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from redis.asyncio import Connection
from redis.asyncio import retry as retrying
from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,
)

from broker.errors import StorageRefused, StorageUnavailable
from broker.refusals import SilentError
from broker.store.address import checks_hostname
from broker.store.client import connect, storage_error
from broker.store.connections import Plain, Sturdy
from broker.store.pool import Pool
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
    assert options["retry_on_error"] == [ConnectionError, TimeoutError, OSError, ReadOnlyError]
    connection = connection_to(url)
    assert isinstance(connection, Sturdy)
    assert connection.retry._retries == 4
    assert [connection.retry._backoff.compute(tried) for tried in (1, 2, 3, 4, 5)] == [0.1, 0.2, 0.4, 0.4, 0.4]
    pool = connect(url, turn_seconds=9.0, most_waiting=5).connection_pool
    assert isinstance(pool, Pool)
    assert (pool.max_connections, pool.timeout, pool.most_waiting) == (64, 9.0, 5)
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
    assert isinstance(connection, Plain)
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
