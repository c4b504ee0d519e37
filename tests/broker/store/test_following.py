"""Clients of a primary that has Sentinels, through kills, freezes and failovers of it: what Redis has acknowledged is there
afterwards."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from arq.connections import ArqRedis
from redis.exceptions import RedisError

from broker.errors import StorageUnavailable
from broker.local.embedded import EmbeddedServer
from broker.store.client import connect, storage_errors
from broker.store.sentinels import Place, Sentinels
from tests.harness.sentinels import PASSWORD, Trio, info, tell

KEY = "written"
WRITERS = 6
IDLE = 8
NAME_OF_OURS = "ours"
_PAUSE = 0.01


@pytest.fixture
def trio(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Trio]:
    """With two replicas: where there is one, a new primary that must have one waits for the old."""
    with Trio(tmp_path, **{"replicas": 2, **getattr(request, "param", {})}) as trio:
        yield trio


class Writers:
    """Write numbers, each once it has been acknowledged the next, over connections of one pool; others of it are idle."""

    def __init__(self, client: ArqRedis) -> None:
        self.client = client
        self.acknowledged: list[int] = []
        self.refused: set[str] = set()
        self._next = iter(range(10**9))

    async def write(self) -> None:
        while True:
            number = next(self._next)
            try:
                with storage_errors():
                    await self.client.sadd(KEY, number)  # type: ignore[misc]
            except StorageUnavailable as error:
                self.refused.add(error.why)
                await asyncio.sleep(_PAUSE)
            else:
                self.acknowledged.append(number)
                await asyncio.sleep(_PAUSE)

    async def more(self, count: int = 100) -> None:
        wanted = len(self.acknowledged) + count
        async with asyncio.timeout(60):
            while len(self.acknowledged) < wanted:
                await asyncio.sleep(_PAUSE)


@asynccontextmanager
async def writing(url: str) -> AsyncIterator[Writers]:
    client = connect(url)
    writers = Writers(client)
    async with asyncio.timeout(30):
        connections = [await client.connection_pool.get_connection() for _ in range(IDLE)]
        for connection in connections:
            await client.connection_pool.release(connection)
    tasks = [asyncio.create_task(writers.write()) for _ in range(WRITERS)]
    try:
        yield writers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await client.aclose(close_connection_pool=True)


async def apart(work: Callable[[], Any]) -> Any:
    """What waits, in a thread, so that the writers go on."""
    return await asyncio.to_thread(work)


def run(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)


def lost(trio: Trio, acknowledged: list[int]) -> list[int]:
    with redis.Redis.from_url(trio.primary.url) as client:
        there = {int(number) for number in client.smembers(KEY)}
    return sorted(set(acknowledged) - there)


def test_a_killed_primary_loses_nothing_that_it_had_acknowledged(trio: Trio) -> None:
    async def scene() -> None:
        async with writing(trio.url) as writers:
            await writers.more()
            before = trio.servers[0]
            before.kill()
            await apart(lambda: trio.moved_from(before))
            await apart(lambda: before.start())
            await apart(trio.whole)
            await writers.more()
        assert lost(trio, writers.acknowledged) == []

    run(scene())


def test_a_frozen_primary_that_thaws_swallows_nothing(trio: Trio) -> None:
    async def scene() -> None:
        async with writing(trio.url) as writers:
            await writers.more()
            before = trio.servers[0]
            before.signal(signal.SIGSTOP)
            await apart(lambda: trio.moved_from(before))
            before.signal(signal.SIGCONT)
            await writers.more(500)
            await apart(trio.whole)
            await writers.more()
        assert lost(trio, writers.acknowledged) == []

    run(scene())


@pytest.mark.parametrize("trio", [{"guarded": False}], indirect=True)
def test_a_primary_that_its_operator_replaces_swallows_nothing_even_if_it_needs_no_replica(trio: Trio) -> None:
    async def scene() -> None:
        async with writing(trio.url) as writers:
            await writers.more()
            before = trio.servers[0]
            await apart(trio.fail_over)
            await apart(lambda: trio.moved_from(before))
            await writers.more(500)
            await apart(trio.whole)
            await writers.more()
        assert lost(trio, writers.acknowledged) == []

    run(scene())


@pytest.mark.parametrize("trio", [{"guarded": False}], indirect=True)
def test_a_client_leaves_a_primary_that_has_been_replaced_and_has_connections_to_it_no_more(trio: Trio) -> None:
    """Idle ones and busy ones: a pop that waits, and a subscription."""

    def connected(server: EmbeddedServer) -> list[str]:
        clients = tell(server, "CLIENT", "LIST", "TYPE", "normal"), tell(server, "CLIENT", "LIST", "TYPE", "pubsub")
        return [line for each in clients for line in each.decode().splitlines() if NAME_OF_OURS in line]

    async def scene() -> None:
        client = connect(f"{trio.url}&client_name={NAME_OF_OURS}", retries=0)
        before = trio.servers[0]
        async with writing(trio.url):
            connections = [await client.connection_pool.get_connection() for _ in range(3)]
            for connection in connections:
                await client.connection_pool.release(connection)
            popping: asyncio.Task[Any] = asyncio.create_task(client.blpop(["nothing"], timeout=3))  # type: ignore[arg-type]
            async with client.pubsub() as channel:
                await channel.subscribe("any")
                await channel.get_message(timeout=5)
                assert len(connected(before)) >= 3
                before.signal(signal.SIGSTOP)
                after = await apart(lambda: trio.moved_from(before))
                with pytest.raises(RedisError):
                    await popping
                await client.set("key", 1)
                assert connected(after)
                before.signal(signal.SIGCONT)
                assert connected(before) == []
                assert info(before)["role"] == "master", "it does not know yet"
        await client.aclose(close_connection_pool=True)

    run(scene())


def test_sentinels_that_are_dead_or_frozen_are_done_without(trio: Trio) -> None:
    async def scene() -> None:
        trio.sentinels[0].kill()
        trio.sentinels[1].signal(signal.SIGSTOP)
        client = connect(trio.url)
        try:
            assert await client.ping()
        finally:
            trio.sentinels[1].signal(signal.SIGCONT)
            await client.aclose(close_connection_pool=True)

    run(scene())


def test_a_replica_is_taken_for_no_primary_whatever_the_sentinels_say(trio: Trio) -> None:
    async def scene() -> None:
        replica = Place("127.0.0.1", trio.servers[1].port)

        async def wrong() -> Place:
            return replica

        monkey = pytest.MonkeyPatch()
        with monkey.context() as patched:
            patched.setattr(Sentinels, "find", lambda _: wrong())
            patched.setattr(Sentinels, "known", property(lambda _: replica))
            client = connect(trio.url, retries=0)
            with pytest.raises(StorageUnavailable) as caught, storage_errors():
                await client.get("key")
            assert caught.value.why == "READONLY"
            await client.aclose(close_connection_pool=True)

    run(scene())


def test_a_wrong_password_is_told_as_such_and_not_tried_for_ever(trio: Trio) -> None:
    async def scene() -> None:
        client = connect(trio.url.replace(f":{PASSWORD}@", ":wrong@"), retries=0)
        with pytest.raises(RedisError, match=r"[Ii]nvalid"):
            await client.ping()
        await client.aclose(close_connection_pool=True)

    run(scene())
