"""The pool of connections, against a real server."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.exceptions import ConnectionError

from broker.connect import connect
from broker.embedded import EmbeddedServer


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
