"""The pool: who waits for a connection has its turn, in order; a full one is told apart from a Redis that is away."""

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError

from broker.refusals import CrowdedError
from broker.store.client import connect
from broker.store.pool import Pool, crowded
from tests.harness.clockwork import at_once

PATIENCE = 4.0


class Line:
    """A connection as the pool sees one. While `cut`, none is made."""

    cut = False

    def __init__(self, **_: Any) -> None:
        self.is_connected = False

    async def connect(self) -> None:
        await asyncio.sleep(0)
        if Line.cut:
            raise ConnectionError("refused")
        self.is_connected = True

    async def can_read_destructive(self) -> bool:
        return False

    async def re_auth(self) -> None: ...

    async def disconnect(self, nowait: bool = False) -> None:
        self.is_connected = False


def pool_of(connections: int, most_waiting: int = 100) -> Pool:
    Line.cut = False
    line = cast(type[AbstractConnection], Line)
    return Pool(connection_class=line, max_connections=connections, timeout=PATIENCE, most_waiting=most_waiting)


def run(work: Coroutine[Any, Any, None]) -> None:
    at_once(work)


async def use(pool: Pool, seconds: float, name: str = "", served: list[str] | None = None) -> None:
    connection = await pool.get_connection()
    if served is not None:
        served.append(name)
    await asyncio.sleep(seconds)
    await pool.release(connection)


def test_who_waits_is_served_in_order_and_nobody_who_comes_later_is_served_before() -> None:
    async def scene() -> None:
        pool, served = pool_of(2), list[str]()
        async with asyncio.TaskGroup() as group:
            for name in "abcdef":
                group.create_task(use(pool, 1, name, served))
            await asyncio.sleep(0.5)
            assert pool.waiting == 4
            await asyncio.sleep(0.5)
            group.create_task(use(pool, 1, "g", served))  # just when two are given back
        assert served == [*"abcdefg"]
        assert pool.waiting == 0

    run(scene())


def test_a_full_pool_that_serves_others_is_crowded_and_one_whose_connections_do_not_come_back_is_away() -> None:
    async def scene() -> None:
        pool = pool_of(2)
        held = [await pool.get_connection() for _ in range(2)]
        with pytest.raises(ConnectionError, match="no connection came back"):
            await pool.get_connection()
        late = asyncio.create_task(pool.get_connection())
        other = asyncio.create_task(use(pool, 60))
        await asyncio.sleep(0)
        first = asyncio.create_task(pool.get_connection())
        await asyncio.sleep(1)
        await pool.release(held.pop())
        await pool.release(await late)
        with pytest.raises(CrowdedError):
            await first
        other.cancel()
        assert pool.waiting == 0

    run(scene())


def test_connections_that_come_back_dead_are_no_sign_of_life() -> None:
    async def scene() -> None:
        pool = pool_of(1)
        connection = await pool.get_connection()
        first, second = (asyncio.create_task(pool.get_connection()) for _ in range(2))
        await asyncio.sleep(0.1)
        Line.cut = True
        await connection.disconnect()
        await pool.release(connection)
        for waiting in (first, second):
            with pytest.raises(ConnectionError, match="refused"):
                await waiting
        assert (pool.waiting, len(pool._available_connections)) == (0, 1)

    run(scene())


def test_a_line_has_an_end() -> None:
    async def scene() -> None:
        pool = pool_of(1, most_waiting=2)
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(use(pool, 1))
            await asyncio.sleep(0.5)
            with pytest.raises(CrowdedError):
                await pool.get_connection()
        await use(pool, 0)

    run(scene())


def test_a_turn_that_comes_just_when_its_waiter_is_cancelled_goes_to_the_next() -> None:
    async def scene() -> None:
        pool = pool_of(1)
        connection = await pool.get_connection()
        cancelled, next_ = (asyncio.create_task(pool.get_connection()) for _ in range(2))
        await asyncio.sleep(0)
        await pool.release(connection)
        cancelled.cancel()
        assert await next_ is connection
        assert cancelled.cancelled()

    run(scene())


def test_who_leaves_the_line_makes_it_shorter() -> None:
    async def scene() -> None:
        pool = pool_of(1, most_waiting=1)
        connection = await pool.get_connection()
        leaves = asyncio.create_task(pool.get_connection())
        await asyncio.sleep(0)
        leaves.cancel()
        await asyncio.wait({leaves})
        stays = asyncio.create_task(pool.get_connection())
        await asyncio.sleep(0)
        await pool.release(connection)
        assert await stays is connection

    run(scene())


def test_a_client_is_crowded_when_so_many_wait_and_others_are_served() -> None:
    async def scene() -> None:
        client = connect("redis://h:1")
        pool = client.connection_pool = pool_of(1)
        connection = await pool.get_connection()
        waiting = [asyncio.create_task(use(pool, 0)) for _ in range(2)]
        await asyncio.sleep(0)
        assert [crowded(client, by) for by in (1, 2, 3)] == [True, True, False]
        pool._answered_at -= 1.01 * PATIENCE
        assert not crowded(client, 1), "it is Redis"
        await pool.release(connection)
        await asyncio.wait(waiting)
        assert not crowded(client, 1)

    run(scene())


moments = st.floats(0, 6, allow_nan=False).map(lambda moment: round(moment, 1))
visits = st.lists(st.tuples(moments, moments, st.none() | moments), max_size=12)


@given(visits, st.integers(1, 3), st.lists(moments, max_size=2))
def test_no_connection_is_ever_lost_or_given_to_two(
    plan: list[tuple[float, float, float | None]], connections: int, cuts: list[float]
) -> None:
    """Whoever comes when, holds one for how long, and is cancelled when; Redis may be cut off meanwhile."""

    async def scene() -> None:
        pool, out = pool_of(connections), set[Any]()

        async def visit(comes: float, holds: float) -> None:
            await asyncio.sleep(comes)
            try:
                connection = await pool.get_connection()
            except (ConnectionError, CrowdedError):
                return
            assert connection not in out
            out.add(connection)
            try:
                await asyncio.sleep(holds)
            finally:
                out.remove(connection)
                await pool.release(connection)

        loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(visit(comes, holds)) for comes, holds, _ in plan]
        for task, (_, _, cancelled) in zip(tasks, plan, strict=True):
            if cancelled is not None:
                loop.call_later(cancelled, task.cancel)
        for moment, cut in zip(sorted(cuts), (True, False), strict=False):
            loop.call_later(moment, setattr, Line, "cut", cut)
        if tasks:
            await asyncio.wait(tasks)
        assert not [task for task in tasks if not task.cancelled() and task.exception()]
        assert (pool.waiting, pool._in_use_connections) == (0, set())
        assert len(pool._available_connections) <= connections

    run(scene())
