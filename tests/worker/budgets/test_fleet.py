"""Permits as one process has them: of a real server, with others who ask, and without."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from broker import keys
from broker.breaker import Rules
from broker.budgets import Allowance, Budget, Limits, Outcome, Told, Wait
from broker.store.client import connect
from tests.broker.store.scripted import Server
from worker.budgets import fleet
from worker.budgets.fleet import Budgets
from worker.budgets.made import Made

RULES = Rules(failures=3, pause_ms=300)
LIVES_MS = 1000
"""For how long permits of a process hold that renews them: longer than a busy machine keeps it from that."""
OVERLOADED = Outcome("overloaded")


@pytest.fixture(autouse=True)
def redis_may_be_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine; a process that takes it for away counts by itself."""
    monkeypatch.setattr(fleet, "_ASK_SECONDS", 15.0)


def budget(**limits: int) -> Budget:
    return Budget.of("up", "key", "model", Limits(**limits))


def nobody_waits(wait: Wait) -> None:
    raise AssertionError(wait)


@asynccontextmanager
async def processes(server: Server, number: int = 1, holds_ms: int = 10_000) -> AsyncIterator[list[Budgets]]:
    """As many processes as that, but for their processes."""
    redis = connect(server.url, connections=20)
    made = [Budgets(redis, RULES, holds_ms, 20.0) for _ in range(number)]
    running = [asyncio.create_task(each.run()) for each in made]
    try:
        yield made
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        await redis.aclose(close_connection_pool=True)


def run(server: Server, test: Callable[..., Awaitable[None]], **arguments: Any) -> None:
    async def body() -> None:
        async with asyncio.timeout(20), processes(server, **arguments) as made:
            await test(*made)

    asyncio.run(body())


async def begun(budgets: Budgets, of: Budget, tokens: int = 1, told: list[Wait] | None = None) -> Made:
    return await budgets.begin(of, lambda: tokens, nobody_waits if told is None else told.append)


async def until(condition: Callable[[], bool]) -> None:
    """Whoever runs this bounds it."""
    while not condition():
        await asyncio.sleep(0.005)


async def all_hear_of_it(*those: Budgets, state: str = "closed") -> None:
    await until(lambda: all([told.state for told in each.statistics().troubled] == [state] for each in those))


def test_where_nothing_is_set_and_nothing_was_refused_redis_is_not_asked(server: Server) -> None:
    async def test(one: Budgets) -> None:
        for _ in range(20):
            made = await begun(one, budget())
            made.answered(Told(Allowance(100, 99, 1.0)))
            made.over(5)
        await one.close()
        assert (one.statistics().asked, one.statistics().running) == (0, 0)

    run(server, test)
    assert server.command("KEYS", f"{keys.UPSTREAM}*") == []


def test_a_place_that_is_given_back_goes_to_who_has_waited_longest_whatever_process_that_is(server: Server) -> None:
    one = budget(concurrent=1)

    async def test(a: Budgets, b: Budgets) -> None:
        first = await begun(a, one)
        order: list[str] = []

        async def waits(name: str, process: Budgets) -> None:
            made = await begun(process, one, told=[])
            order.append(name)
            await asyncio.sleep(0.01)
            made.over(1)

        tasks = []
        for number, (name, process) in enumerate((("b1", b), ("a1", a), ("b2", b), ("a2", a)), 1):
            tasks.append(asyncio.create_task(waits(name, process)))
            await until(lambda number=number: a.statistics().waiting + b.statistics().waiting == number)  # type: ignore[misc]
            await asyncio.sleep(0.02)  # who has waited longer is known by milliseconds
        first.over(1)
        await asyncio.gather(*tasks)
        assert order == ["b1", "a1", "b2", "a2"]

    run(server, test, number=2)


def test_who_is_cancelled_while_it_waits_leaves_its_place_to_the_next(server: Server) -> None:
    async def test(one: Budgets) -> None:
        first = await begun(one, budget(concurrent=1))
        gone, stays = (asyncio.create_task(begun(one, budget(concurrent=1), told=[])) for _ in range(2))
        await until(lambda: one.statistics().waiting == 2)
        gone.cancel()
        await asyncio.wait({gone})
        first.over(1)
        (await asyncio.wait_for(stays, 10)).over(1)
        await one.close()
        assert (one.statistics().running, one.statistics().waiting) == (0, 0)

    run(server, test)


def test_the_places_of_a_process_that_dies_lapse_and_those_of_one_that_lives_do_not(server: Server) -> None:
    two = budget(concurrent=2)

    async def test(lives: Budgets, other: Budgets) -> None:
        redis = connect(server.url)
        dies = Budgets(redis, RULES, 300, 20.0)  # nobody runs it
        await begun(dies, two)
        kept = await begun(lives, two)
        began = asyncio.get_running_loop().time()
        third = await asyncio.wait_for(begun(other, two, told=[]), 10)
        assert asyncio.get_running_loop().time() - began > 0.1
        fourth = asyncio.create_task(begun(other, two, told=[]))
        await asyncio.sleep(LIVES_MS * 1.2 / 1000)
        assert not fourth.done()
        kept.over(1)
        (await asyncio.wait_for(fourth, 10)).over(1)
        third.over(1)
        await redis.aclose(close_connection_pool=True)

    run(server, test, number=2, holds_ms=LIVES_MS)


def test_an_open_breaker_lets_exactly_one_call_through_and_all_when_that_is_answered(server: Server) -> None:
    async def test(*all_of_them: Budgets) -> None:
        for _ in range(3):
            made = await begun(all_of_them[0], budget())
            made.found(OVERLOADED)
            made.over(0)
        await all_hear_of_it(*all_of_them, state="open")
        told: list[Wait] = []
        asking = [asyncio.create_task(begun(each, budget(), told=told)) for each in all_of_them for _ in range(20)]
        await until(lambda: any(task.done() for task in asking))
        await until(lambda: {each.state for one in all_of_them for each in one.statistics().troubled} == {"half_open"})
        await asyncio.sleep(0.3)
        through = [task.result() for task in asking if task.done()]
        assert [made.probe for made in through] == [True]
        assert {wait.reason for wait in told} == {"overloaded"}
        through[0].answered()
        for made in await asyncio.wait_for(asyncio.gather(*asking), 10):
            made.over(1)
        assert sum(each.statistics().probes for each in all_of_them) == 1

    run(server, test, number=3)


def test_a_probe_that_is_broken_off_leaves_that_to_the_next(server: Server) -> None:
    async def test(a: Budgets, b: Budgets) -> None:
        for _ in range(3):
            made = await begun(a, budget())
            made.found(OVERLOADED)
            made.over(0)
        await all_hear_of_it(a, b, state="open")
        probe = await begun(a, budget(), told=[])
        assert probe.probe
        after = asyncio.create_task(begun(b, budget(), told=[]))
        await asyncio.sleep(0.2)
        assert not after.done()
        probe.over(None)
        made = await asyncio.wait_for(after, 10)
        assert made.probe
        made.over(1)

    run(server, test, number=2)


def test_what_an_upstream_says_is_left_is_shared_out(server: Server) -> None:
    """Ten times a second, and nothing left but one."""

    async def test(a: Budgets, b: Budgets) -> None:
        made = await begun(a, budget())
        clock = asyncio.get_running_loop().time
        began = clock()
        made.answered(Told(Allowance(10, 0, 1.0)))
        made.over(1)
        await all_hear_of_it(a, b)
        for each in await asyncio.gather(*(begun(process, budget(), told=[]) for process in (a, b) * 6)):
            each.over(1)
        assert 1.0 < clock() - began < 5.0, "12 calls, ten a second from when it was said"

    run(server, test, number=2)


def test_while_redis_is_away_each_process_keeps_to_the_limits_by_itself() -> None:
    async def test() -> None:
        redis = connect("redis://127.0.0.1:1/0", connections=1, retries=0)
        alone = Budgets(redis, RULES, 10_000, 20.0)
        running = asyncio.create_task(alone.run())
        made = [await asyncio.wait_for(begun(alone, budget(concurrent=2)), 10) for _ in range(2)]
        third = asyncio.create_task(begun(alone, budget(concurrent=2), told=[]))
        await asyncio.sleep(0.2)
        assert not third.done()
        made[0].over(1)
        await asyncio.wait_for(third, 10)
        assert alone.statistics().alone == 3
        running.cancel()
        await asyncio.wait({running})
        await alone.close()
        await redis.aclose(close_connection_pool=True)

    asyncio.run(test())


def test_tokens_that_a_call_did_not_use_are_there_for_the_next(server: Server) -> None:
    async def test(one: Budgets) -> None:
        minute = budget(tokens_per_minute=100)
        first = await begun(one, minute, tokens=100)
        second = asyncio.create_task(begun(one, minute, 80, told=[]))
        await asyncio.sleep(0.1)
        assert not second.done()
        first.over(10)
        (await asyncio.wait_for(second, 10)).over(None)
        third = asyncio.create_task(begun(one, minute, 80, told=[]))
        await asyncio.sleep(0.1)
        assert not third.done(), "nobody knows what the second has cost: all that it was counted with"
        third.cancel()
        await asyncio.wait({third})

    run(server, test)


@pytest.mark.parametrize("asked", [5.0, 300.0])
def test_all_wait_as_long_as_one_was_asked_to_but_not_longer_than_may_be(server: Server, asked: float) -> None:
    async def test(one: Budgets) -> None:
        made = await begun(one, budget())
        made.found(Outcome("answered", retry_ms=asked * 1000, limited=True))
        made.over(0)
        await one.close()

    before = server.now_ms()
    run(server, test)
    since = float(server.command("HGET", keys.upstream(budget().name)[0], "paused")) - 1000 * min(asked, 20)
    assert before <= since <= server.now_ms() + 1, "a script knows of parts of a millisecond"
