"""`?wait=`: who waits is answered at the end, at the bound, or when the process goes, and nobody before the end is safe."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from broker.events import TEXT, Content
from broker.ids import new_generation_id
from broker.store.appends import AttemptLog
from broker.store.logs import Logs
from tests.api.in_process import Answer, Api
from tests.api.routes.test_generations import GENERATIONS, Unsafe, running, strict_end
from tests.broker.store.scripted import DONE, Generation, Server

Meanwhile = Callable[[], Awaitable[object]]


def waits(api: Api, id_: str, seconds: float, meanwhile: Meanwhile | None = None, *, waiters: int = 1) -> list[Answer]:
    """What those are answered who wait for the generation's end, while something happens once all of them do."""
    target = f"{GENERATIONS}/{id_}?wait={seconds}"

    async def ask() -> list[Answer]:
        asking = [asyncio.ensure_future(api._ask("GET", target, {}, b"", 99)) for _ in range(waiters)]
        if meanwhile is not None:
            async with asyncio.timeout(5):
                while api.service.hub.statistics().waiting < waiters:
                    await asyncio.sleep(0)
            await meanwhile()
        return await asyncio.gather(*asking)

    answers = api._server.do(ask())
    assert api.service.hub.statistics().waiting == 0
    return answers


def test_who_waits_is_answered_when_the_generation_has_ended_however_many_they_are(api: Api, server: Server) -> None:
    generation, attempt = running(server, "a")

    async def meanwhile() -> None:
        async with asyncio.timeout(5):
            while not api.service.hub.statistics().feeds:
                await asyncio.sleep(0)
        await server.appends.send([_append(generation, attempt)])
        await server.logs.finish(generation.id, attempt, 4, DONE)

    answers = waits(api, generation.id, 60, meanwhile, waiters=50)
    assert {(answer.shown["state"], answer.shown["text"]) for answer in answers} == {("completed", "ab")}


def _append(generation: Generation, attempt: int) -> Any:
    return AttemptLog(generation.id, attempt).append(3, [Content(TEXT, b"b")])


def test_what_has_ended_is_not_waited_for_nor_what_ends_between_the_look_and_the_wait(api: Api, server: Server) -> None:
    generation, attempt = running(server, "a")
    generation.finish(attempt, 3)
    assert waits(api, generation.id, 60)[0].shown["state"] == "completed"

    late, attempt = running(server, "a")
    visit = api.service.logs.visit

    class Late(Logs):
        async def visit(self, *args: Any) -> Any:
            found = await visit(*args)
            await server.logs.finish(late.id, attempt, 3, DONE)
            return found

    api.change(logs=Late(server.redis))
    assert waits(api, late.id, 60)[0].shown["state"] == "completed"


def test_who_comes_to_a_feed_that_knows_the_end_does_not_wait(api: Api, server: Server) -> None:
    generation, attempt = running(server, "a")
    visit, hub = api.service.logs.visit, api.service.hub

    class Slow(Logs):
        async def visit(self, *args: Any) -> Any:
            found = await visit(*args)
            hub.await_no_more(generation.id, hub.await_end(generation.id, ""))
            (feed,) = hub._feeds.values()
            await server.logs.finish(generation.id, attempt, 3, DONE)
            async with asyncio.timeout(5):
                while not feed.ring.ended:
                    await asyncio.sleep(0)
            return found

    api.change(logs=Slow(server.redis))
    assert waits(api, generation.id, 20)[0].shown["state"] == "completed"


def test_at_the_bound_the_record_is_told_as_it_is(api: Api, server: Server) -> None:
    generation, _ = running(server, "a")
    (answer,) = waits(api, generation.id, 0.05)
    assert (answer.shown["state"], answer.shown["text"]) == ("running", "a")


def test_a_cancel_of_what_waits_lets_its_waiters_go(api: Api, server: Server) -> None:
    generation = Generation(server)
    generation.create()
    (answer,) = waits(api, generation.id, 60, lambda: server.logs.cancel(generation.id))
    assert answer.shown["state"] == "cancelled"


def test_a_process_that_drains_answers_at_once(api: Api, server: Server) -> None:
    generation, _ = running(server, "a")

    async def drain() -> None:
        api.service.hub.drain()

    assert waits(api, generation.id, 60, drain)[0].shown["state"] == "running"
    assert waits(api, generation.id, 60)[0].shown["state"] == "running"
    api.service.hub.draining = False


def test_a_client_that_leaves_is_waited_for_no_longer(api: Api, server: Server) -> None:
    generation, _ = running(server, "a")
    answer = api.get(f"{GENERATIONS}/{generation.id}?wait=60", 0)
    assert (answer.status, answer.body) == (204, b"")
    assert api.service.hub.statistics().waiting == 0


def test_nobody_is_told_an_end_that_is_not_safe(api: Api, server: Server) -> None:
    unsafe = Unsafe()
    generation = strict_end(api, server, unsafe)

    async def ask() -> tuple[bool, Answer]:
        asking = asyncio.ensure_future(api._ask("GET", f"{GENERATIONS}/{generation.id}?wait=60", {}, b"", 99))
        await asyncio.sleep(0.3)
        early = asking.done()
        unsafe.says.set()
        return early, await asking

    early, answer = server.do(ask())
    assert not early
    assert answer.shown["state"] == "completed"


def test_a_strict_end_that_comes_while_it_is_waited_for_is_told_when_it_is_safe(api: Api, server: Server) -> None:
    unsafe = Unsafe()
    unsafe.logs = api.service.logs
    api.service.hub.strict_ends._disk = cast(Any, unsafe)
    id_ = api.post(GENERATIONS, {"model": "m", "messages": [{"role": "user", "content": "x"}], "durability": "strict"})
    generation = Generation(server, id_.shown["id"])
    attempt = generation.granted()
    waiting: list[int] = []

    async def meanwhile() -> None:
        await server.logs.finish(generation.id, attempt, 1, DONE)
        await asyncio.sleep(0.3)
        waiting.append(api.service.hub.statistics().waiting)
        unsafe.says.set()

    assert waits(api, generation.id, 60, meanwhile)[0].shown["state"] == "completed"
    assert waiting == [1]


def test_a_log_that_expires_while_it_is_waited_for_is_told_as_expired(api: Api, server: Server) -> None:
    generation, _ = running(server, "a")

    async def meanwhile() -> None:
        hub = api.service.hub
        async with asyncio.timeout(5):
            while not any(feed.ring.synced for feed in hub._feeds.values()):
                await asyncio.sleep(0)
        await server.redis.delete(*generation.keys[:2])
        for feed in hub._feeds.values():
            hub._catch_up.sync(feed)

    assert waits(api, generation.id, 60, meanwhile)[0].code == (410, "expired")


@pytest.mark.parametrize("wait", ["-1", "60.5", "x", "nan", "inf", ""])
def test_a_wait_that_cannot_be_is_refused_with_its_name(api: Api, server: Server, wait: str) -> None:
    generation, _ = running(server, "a")
    answer = api.get(f"{GENERATIONS}/{generation.id}?wait={wait}")
    assert answer.code == (422, "invalid_request")
    assert answer.json["errors"][0]["parameter"] == "wait"


def test_what_is_not_there_is_not_waited_for(api: Api) -> None:
    assert api.get(f"{GENERATIONS}/{new_generation_id()}?wait=60").code == (404, "not_found")
