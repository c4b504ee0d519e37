"""The bound of the queue: who races for the last places gets as many as there are, and what was accepted is not refused."""

import asyncio

import pytest

from broker import keys
from broker.errors import QueueFull
from broker.request import GenerationRequest
from broker.store.accepting import Submissions
from broker.store.coordination import Coordination
from broker.store.derived import Derivation
from broker.store.waits import Waits
from broker.waiting import ALL_EVEN
from tests.broker.store.scripted import Server

MOST = 7


def request() -> GenerationRequest:
    return GenerationRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}]})


def submissions(server: Server, most: int | None = MOST, *, two: bool = False) -> Submissions:
    async def make() -> Submissions:
        derivation = Derivation(server.redis, 0) if two else None
        waits = Waits(server.coordination, ALL_EVEN)
        return Submissions(
            server.logs, server.coordination, 1000, 3600, derivation, lambda _: None, most_waiting=most, waits=waits
        )

    return server.do(make())


@pytest.mark.parametrize("two", [False, True], ids=["one server", "two servers"])
@pytest.mark.parametrize("keyed", [False, True], ids=["without a key", "with a key"])
def test_of_many_that_race_so_many_are_accepted_as_there_are_places(server: Server, keyed: bool, two: bool) -> None:
    here = submissions(server, two=two)

    async def one(n: int) -> bool:
        try:
            await here.accept(request(), f"key-{n}" if keyed else None, f"tenant-{n % 3}")
        except QueueFull as error:
            return error.seconds != 30  # nobody knows when
        return True

    async def all_() -> int:
        return sum(await asyncio.gather(*(one(n) for n in range(60))))

    assert server.do(all_()) == MOST
    assert server.do(server.coordination.standing()).depth == MOST
    assert server.do(all_()) == (MOST if keyed else 0), "what a key has made is known, and nothing new"
    assert server.do(server.coordination.standing()).depth == MOST
    assert len(server.do(server.coordination.take(2, lock_ms=60_000, again_ms=3000)).jobs) == 2

    async def more() -> int:
        return sum(await asyncio.gather(*(one(n) for n in range(1000, 1020))))

    assert server.do(more()) == 2


def test_what_is_queued_again_is_never_refused(server: Server) -> None:
    here = submissions(server, 1)
    id_ = server.do(here.submit(request(), None))
    coordination: Coordination = server.coordination
    taken = server.do(coordination.take(1, lock_ms=60_000, again_ms=3000))
    server.do(here.submit(request(), None))
    server.do(coordination.enqueue(id_, 2))
    server.do(coordination.put_back(taken.jobs))
    assert server.do(coordination.standing()).depth == 3


def test_a_place_that_is_kept_for_a_submit_that_breaks_off_is_free_again(server: Server) -> None:
    here = submissions(server, 1)
    server.do(server.coordination.submit("gen_a", None, "", 1000, most_waiting=1))
    with pytest.raises(QueueFull):
        server.do(here.submit(request(), "key"))
    server.do(server.coordination.submit("gen_a", None, "", 1000, most_waiting=1))
    assert 0 < server.command("PTTL", "respool:coming") <= keys.COMING_MS
    server.command("ZADD", "respool:coming", server.now_ms() - 1, "gen_a")
    server.do(here.submit(request(), "key"))


@pytest.mark.parametrize("two", [False, True], ids=["one server", "two servers"])
def test_where_far_fewer_wait_than_may_nobody_counts_them(server: Server, two: bool) -> None:
    server.do(submissions(server, 10_001, two=two).submit(request(), "key"))
    assert server.command("EXISTS", "respool:coming") == 0
    server.do(submissions(server, 10_001, two=two).submit(request(), "another"))
    assert (server.command("EXISTS", "respool:coming"), server.do(server.coordination.standing()).depth) == (0, 2)
