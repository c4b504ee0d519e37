"""More requests at once than this process has connections to Redis: what they are told, and that it is never Redis' fault."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from broker.store.pool import Pool
from tests.api.in_process import Answer, Api
from tests.broker.store.scripted import Generation, Server

GENERATIONS = "/v1/generations"
ASKED: dict[str, Any] = {"model": "sim-1", "messages": [{"role": "user", "content": "Hi"}]}
READING = (
    ("get", f"{GENERATIONS}/{{id}}"),
    ("get", GENERATIONS),
    ("post", f"{GENERATIONS}/{{id}}/cancel"),
    ("get", "/readyz"),
)


@contextmanager
def full(server: Server, api: Api, *, most_waiting: int) -> Iterator[None]:
    """All connections of both roles are in use, by others who were served just now."""
    pools = [redis.connection_pool for redis in (api.service.coordination.redis, api.service.logs.redis)]

    async def fill(pool: Pool, listening: int) -> list[Any]:
        while len(pool._in_use_connections) < listening:
            await asyncio.sleep(0.01)
        await pool.release(await pool.get_connection())
        return [await pool.get_connection() for _ in range(pool.max_connections - listening)]

    async def empty(pool: Pool, held: list[Any]) -> None:
        for connection in held:
            await pool.release(connection)

    held = []
    for pool, listening in zip(pools, (1, 0), strict=True):  # coordination tells of what is revoked
        assert isinstance(pool, Pool)
        held.append((pool, server.do(fill(pool, listening)), pool.most_waiting))
        pool.most_waiting = most_waiting
    try:
        yield
    finally:
        for pool, connections, most in held:
            pool.most_waiting = most
            server.do(empty(pool, connections))


def ask(api: Api, method: str, path: str) -> Answer:
    return api.post(path, ASKED, 1) if method == "post" else api.get(path)


@pytest.mark.parametrize(("method", "path"), [*READING, ("post", GENERATIONS), ("post", "/v1/chat/stream")])
def test_who_has_no_turn_is_told_that_it_is_busy_here(server: Server, api: Api, method: str, path: str) -> None:
    generation = Generation(server)
    generation.create()
    path = path.format(id=generation.id)
    with full(server, api, most_waiting=0):
        busy = ask(api, method, path)
    assert busy.code == (503, "too_busy")
    assert busy.headers["retry-after"] == "1"
    assert ask(api, method, path).status in (200, 202)


def test_a_stream_that_has_no_turn_says_when_to_come_again(server: Server, api: Api) -> None:
    generation = Generation(server)
    generation.create()
    with full(server, api, most_waiting=0):
        answer = api.get(f"{GENERATIONS}/{generation.id}/events")
    assert answer.status == 200, "anything else ends an EventSource for ever"
    assert b"retry: " in answer.body


def test_a_submit_is_refused_unread_while_many_wait_and_nothing_else_is(
    server: Server, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = Generation(server)
    generation.create()
    for role in (api.service.coordination, api.service.logs):
        monkeypatch.setattr("api.routes.service.crowded", lambda redis, _, role=role: redis is role.redis)
        for path in (GENERATIONS, "/v1/chat/stream"):
            assert api.post(path, {"not": "looked at"}).code == (503, "too_busy")
        for _, path in (*READING[:2], READING[3]):
            assert api.get(path.format(id=generation.id)).status == 200


def test_a_process_that_is_not_ready_in_time_says_whose_fault_it_is(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("api.routes.service.check_writable", silent)
    monkeypatch.setattr("api.routes.service._READY_SECONDS", 0.01)
    for busy, code in ((True, "too_busy"), (False, "redis_unavailable")):
        monkeypatch.setattr("api.routes.service.crowded", lambda redis, _, busy=busy: busy)
        assert api.get("/readyz").code == (503, code)
