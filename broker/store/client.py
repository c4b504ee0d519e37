"""Connections to Redis: how long they wait, how they retry, which errors they raise."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from arq.connections import ArqRedis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError, ReadOnlyError, RedisError, ResponseError, TimeoutError

from broker.errors import BrokerError, StorageForbidden, StorageFull, StorageRefused, StorageUnavailable, TooBusy
from broker.refusals import SilentError, away, word
from broker.store.address import Address, BadAddress, Guided, address_of
from broker.store.connections import Local, Plain, Secure
from broker.store.following import FollowingPool
from broker.store.pool import Pool
from broker.store.queue import dumps_job, loads_job

T = TypeVar("T")


_CONNECT_SECONDS = 2.0
_ANSWER_SECONDS = 4.0
"""A connection that has not answered for so long is given up, and a Redis after twice as long. A blocking read must block for
less."""
_TURN_SECONDS = 4.0
_MOST_WAITING = 2000


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


def connect(
    url: str, *, connections: int = 64, retries: int = 4, answer_seconds: float = _ANSWER_SECONDS,
    turn_seconds: float = _TURN_SECONDS, most_waiting: int = _MOST_WAITING,
) -> ArqRedis:  # fmt: skip
    """A client over a bounded pool: a caller waits for a free connection instead of opening one more, for `turn_seconds` at
    most and with `most_waiting` others at most.

    A command is repeated `retries` times with growing pauses (about 1 s in all), once if it was not answered; every script
    of ours may be run twice. The client is arq's own, as its worker wants one; jobs are JSON, never pickle, with which
    a writer to Redis could run code in the worker.
    """
    address = address_of(url)
    options = {
        "max_connections": connections,
        "timeout": turn_seconds,
        "most_waiting": most_waiting,
        "socket_connect_timeout": _CONNECT_SECONDS,
        "socket_timeout": answer_seconds,
        "retry": _Patience(ExponentialBackoff(cap=0.4, base=0.05), retries),
        "retry_on_error": [ConnectionError, TimeoutError, OSError, ReadOnlyError],
        **address.options,
    }
    pool = _pool(address, options)
    try:
        pool.make_connection()  # type: ignore[no-untyped-call]
    except TypeError:
        raise BadAddress("an option of it is not known") from None
    return _Client(pool_or_conn=pool, job_serializer=dumps_job, job_deserializer=loads_job)


def _pool(address: Address, options: dict[str, Any]) -> Pool:
    if isinstance(address, Guided):
        return FollowingPool(address=address, **{"socket_keepalive": True, **options})
    place = address.place
    if place.path:
        return Pool(connection_class=Local, path=place.path, **options)
    where = {"host": place.host, "port": place.port, "socket_keepalive": True}
    return Pool(connection_class=Secure if address.secure else Plain, **{**where, **options})


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turns redis-py's errors into ours, which keep nothing of what Redis was sent. Raises StorageUnavailable, which may be
    TooBusy, StorageFull, StorageForbidden or StorageRefused."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise storage_error(error) from None


def storage_error(error: Exception) -> BrokerError:
    """What an error of redis-py is to us."""
    if (why := away(error)) is not None:
        return TooBusy() if why == "crowded" else StorageUnavailable(why)
    match said := word(error):
        case "OOM":
            return StorageFull()
        case "NOPERM":
            return StorageForbidden()
    return StorageRefused(said)


__all__ = ["connect", "storage_error", "storage_errors"]
