"""The pool of connections, against a real server."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from arq.connections import ArqRedis
from redis.exceptions import ConnectionError

from broker.local.embedded import EmbeddedServer
from broker.store.client import connect


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path) as server:
        yield server


def test_while_redis_takes_no_new_connections_the_old_ones_serve(server: EmbeddedServer) -> None:
    async def talk(operator: redis.Redis) -> None:
        client = connect(server.url, retries=0)
        try:
            async with client.pubsub() as channel:
                await channel.subscribe("any")
                await channel.get_message(timeout=5)
                await client.ping()  # over a second connection
                operator.config_set("maxclients", 1)
                operator.client_kill_filter(_type="pubsub")
                with pytest.raises(ConnectionError):
                    await anext(channel.listen())
            for _ in range(3):
                assert await client.ping()
        finally:
            await client.aclose(close_connection_pool=True)

    with redis.Redis.from_url(server.url) as operator:
        asyncio.run(talk(operator))


def test_a_task_that_is_cancelled_while_it_asks_redis_ends(server: EmbeddedServer) -> None:
    """Whatever it is doing at that moment."""

    async def ask_for_ever(client: ArqRedis) -> None:
        while True:
            await client.ping()

    async def cancel_at(step: int, client: ArqRedis) -> None:
        task = asyncio.create_task(ask_for_ever(client))
        for _ in range(step):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task}, timeout=5)
        assert task.cancelled(), step
        assert await client.echo(str(step)) == str(step).encode(), "no answer is taken for another's"

    async def cancel_everywhere() -> None:
        client = connect(server.url)
        try:
            await client.ping()
            for step in range(30):
                await cancel_at(step, client)
        finally:
            await client.aclose(close_connection_pool=True)

    asyncio.run(cancel_everywhere())
