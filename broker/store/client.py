"""Connections to Redis: how long they wait, how they retry, which errors they raise."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from arq.connections import ArqRedis
from redis.asyncio import BlockingConnectionPool, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError, RedisError, ResponseError, TimeoutError

from broker import keys
from broker.errors import BrokerError, StorageForbidden, StorageFull, StorageRefused, StorageUnavailable, UnsafeStorage
from broker.refusals import SilentError, away, word
from broker.store.queue import dumps_job, loads_job

log = logging.getLogger("respool.connect")

T = TypeVar("T")


_CONNECT_SECONDS = 2.0
_START_SECONDS = 60.0
_START_PAUSE_SECONDS = 0.25
_ANSWER_SECONDS = 4.0
"""A connection that has not answered for so long is given up, and a Redis after twice as long. A blocking read must block for
less."""


class _Sturdy(AbstractConnection):
    """uvloop answers a write to a connection whose end it has just seen with RuntimeError. redis-py knows only OSError for
    that, and so the process that met it would end. And it sends within `asyncio.wait_for`, which before Python 3.12 forgets a
    cancel that comes just when it is done: a task that asks Redis again and again would go on for ever."""

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        task = asyncio.current_task()
        cancels = task.cancelling() if task is not None else 0
        await super().send_packed_command(command, check_health)
        if task is not None and task.cancelling() > cancels:
            await self.disconnect(nowait=True)  # its answer is not read
            raise asyncio.CancelledError

    async def _send_packed_command(self, command: Iterable[bytes]) -> None:
        try:
            await super()._send_packed_command(command)
        except RuntimeError as error:
            raise ConnectionResetError(str(error)) from error


class _Plain(_Sturdy, Connection):
    """Over TCP."""


class _Secure(_Sturdy, SSLConnection):
    """Over TLS."""


class _Local(_Sturdy, UnixDomainSocketConnection):
    """Over a Unix socket."""


_STURDY: dict[type, type] = {Connection: _Plain, SSLConnection: _Secure, UnixDomainSocketConnection: _Local}


class _Pool(BlockingConnectionPool):
    """Gives out the connections that live before those that must be made anew: a Redis that takes no new ones serves the
    old ones all the same."""

    async def release(self, connection: AbstractConnection) -> None:
        await super().release(connection)
        if not connection.is_connected:
            self._available_connections.remove(connection)
            self._available_connections.insert(0, connection)  # the last one is given out first


class _Patience(Retry):
    """Repeats a command `retries` times, but only once where no answer came: that gets over a dead connection, and a frozen
    Redis does not thaw because it is asked again."""

    async def call_with_retry(self, do: Callable[[], Awaitable[T]], fail: Callable[[RedisError], Any]) -> T:
        silences = 0

        async def once() -> T:
            nonlocal silences
            try:
                return await do()
            except TimeoutError as error:
                silences += 1
                if silences > 1:
                    raise SilentError(str(error)) from error
                raise
            except ResponseError as error:
                if silences and away(error):  # it refuses now; what it did before, when it did not answer, is not known
                    raise SilentError from error
                raise

        return await super().call_with_retry(once, fail)


class _Pipeline(Pipeline):
    """redis-py writes a failed command's arguments, which are people's prompts, into the exception."""

    def annotate_exception(self, exception: Exception, number: int, command: Iterable[object]) -> None:
        """The exception stays as it is."""


class _Client(ArqRedis):
    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        return _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


def connect(url: str, *, connections: int = 64, retries: int = 4, answer_seconds: float = _ANSWER_SECONDS) -> ArqRedis:
    """A client over a bounded pool: a caller waits for a free connection instead of opening one more.

    A command is repeated `retries` times with growing pauses (about 1 s in all), once if it was not answered; every script
    of ours may be run twice. The client is arq's own, as its worker wants one; jobs are JSON, never pickle, with which
    a writer to Redis could run code in the worker.
    """
    pool = _Pool.from_url(
        url,
        max_connections=connections,
        timeout=_ANSWER_SECONDS,
        socket_connect_timeout=_CONNECT_SECONDS,
        socket_timeout=answer_seconds,
        socket_keepalive=True,
        retry=_Patience(ExponentialBackoff(cap=0.4, base=0.05), retries),
        retry_on_error=[ConnectionError, TimeoutError, OSError],
    )
    if pool.connection_class is SSLConnection:
        pool.connection_kwargs["ssl_check_hostname"] = checks_hostname(pool.connection_kwargs)
    pool.connection_class = _STURDY[pool.connection_class]
    if pool.connection_class is _Local:
        del pool.connection_kwargs["socket_keepalive"]  # of TCP alone
    return _Client(pool_or_conn=pool, job_serializer=dumps_job, job_deserializer=loads_job)


def checks_hostname(options: Mapping[str, object]) -> bool:
    """Whether TLS by these options of a `rediss://` URL takes a certificate for its server's name alone: by default, which
    redis-py's is not, unless no certificate is asked for at all."""
    asks = str(options.get("ssl_cert_reqs", "required")).lower() != "none"
    return bool(options.get("ssl_check_hostname", asks))


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turns redis-py's errors into ours, which keep nothing of what Redis was sent. Raises StorageUnavailable, StorageFull,
    StorageForbidden or StorageRefused."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise storage_error(error) from None


def storage_error(error: Exception) -> BrokerError:
    """What an error of redis-py is to us."""
    if (why := away(error)) is not None:
        return StorageUnavailable(why)
    match said := word(error):
        case "OOM":
            return StorageFull()
        case "NOPERM":
            return StorageForbidden()
    return StorageRefused(said)


async def check_safe(redis: ArqRedis, *, ephemeral: bool) -> None:
    """Raises UnsafeStorage if this Redis would lose logs by itself: if it evicts, or, unless `ephemeral` is wanted, does not
    persist. A server that does not tell (a managed one may forbid INFO) is taken at its operator's word. Raises
    StorageUnavailable too."""
    try:
        with storage_errors():
            memory, persistence = await redis.info("memory"), await redis.info("persistence")
    except (StorageForbidden, StorageRefused):
        return
    if persistence.get("loading"):  # until it has read its file, a Redis says that it appends to none
        raise StorageUnavailable("LOADING")
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise UnsafeStorage(f"Redis has maxmemory-policy {policy} and would evict live logs: set it to noeviction")
    if not ephemeral and persistence.get("aof_enabled") == 0:
        raise UnsafeStorage(
            "Redis has appendonly no and would lose every generation when it stops: set it to yes, or RESPOOL_EPHEMERAL=1"
        )


async def reach(redis: ArqRedis, *, ephemeral: bool) -> None:
    """Waits at a process's start until Redis is there, for it may be starting too, and safe. Raises UnsafeStorage, or asyncio's
    TimeoutError after a minute."""
    async with asyncio.timeout(_START_SECONDS):
        while True:
            try:
                return await check_safe(redis, ephemeral=ephemeral)
            except StorageUnavailable as error:
                log.warning("waiting for Redis: %s", error.why)
                await asyncio.sleep(_START_PAUSE_SECONDS)


async def check_writable(redis: ArqRedis) -> None:
    """Raises StorageUnavailable or StorageForbidden if this Redis takes no writes now. One that is full does: ends are still
    written, and what there is stays readable."""
    with suppress(StorageFull), storage_errors():
        await redis.set(keys.PROBE, 1, px=keys.PROBE_MS)


__all__ = ["check_safe", "check_writable", "connect", "reach", "storage_error", "storage_errors"]
