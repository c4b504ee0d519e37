"""What starts later, and what is in the background: listed at once, queued when it may start, in a place that it keeps."""

from datetime import UTC, datetime
from typing import Any

import pytest

from broker import keys
from broker.request import GenerationRequest
from broker.store.agreement import Agreement
from broker.store.recovery import put_back
from tests.broker.store.scripted import Generation, Server
from tests.broker.store.test_accepting import ASKED, members, submissions
from tests.system.test_coordination_lost import coordination_loses
from worker.sweeper import Sweeper

HOUR_MS = 3_600_000
DELAY_MS = 60_000
ONE_SERVER = pytest.mark.parametrize("one_server", [True, False], ids=["one-server", "two-servers"])
KEYED = pytest.mark.parametrize("key", [None, "key"])


def submit(server: Server, key: str | None = None, *, one_server: bool = True, **fields: Any) -> str:
    request = GenerationRequest.model_validate({**ASKED, **fields})
    return server.do(submissions(server.logs, server.coordination, one_server=one_server).submit(request, key))


def at(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


def sweep(server: Server) -> None:
    agreement = Agreement("worker", server.redis, server.redis)
    server.do(Sweeper(server.logs, server.coordination, agreement, 0.5, 3000).sweep())


def its_time_comes(server: Server, id_: str) -> int:
    """As if it had been asked to start just now; when that is."""
    now = server.now_ms()
    server.command("HSET", keys.record(id_), "start_ms", now, "place_ms", now)
    for looks in (keys.STARTING, keys.DUE):
        if server.command("ZSCORE", looks, id_) is not None:
            server.command("ZADD", looks, now, id_)
    return now


BEGUN = 4e12


def place(server: Server, id_: str, ordinal: int = 1) -> float | None:
    score = server.command("ZSCORE", keys.QUEUE, f"{id_}:{ordinal}")
    return None if score is None else float(score)


@ONE_SERVER
@KEYED
def test_what_starts_later_is_listed_at_once_and_queued_when_its_time_has_come(
    server: Server, key: str | None, one_server: bool
) -> None:
    start = server.now_ms() + HOUR_MS
    id_ = submit(server, key, one_server=one_server, start_after=at(start))
    for index in ("all", "queued"):
        assert members(server, keys.index(index)) == {id_}
    sweep(server)
    assert members(server, keys.QUEUE) == set()
    assert float(server.command("ZSCORE", keys.STARTING, id_)) == start
    assert members(server, keys.DUE) == set()
    assert server.do(server.coordination.ranks([(id_, "")])) == [None]
    assert server.do(server.coordination.without_look([id_])) == []
    assert 0 <= keys.WAITING_MS + HOUR_MS - server.command("PTTL", keys.record(id_)) < 5000
    assert 0 <= keys.WAITING_MS + HOUR_MS + keys.REMEMBERED_MS - server.command("PTTL", keys.tombstone(id_)) < 5000

    now = its_time_comes(server, id_)
    sweep(server)
    assert place(server, id_) == now
    assert members(server, keys.STARTING) == set()
    assert members(server, keys.DUE) == {id_}


@ONE_SERVER
@KEYED
def test_what_might_have_started_in_the_past_is_queued_at_once(
    server: Server, key: str | None, one_server: bool
) -> None:
    id_ = submit(server, key, one_server=one_server, start_after="1999-12-31T23:59:59Z")
    if place(server, id_) is None:
        sweep(server)
    created = int(server.command("HGET", keys.record(id_), "created_ms"))
    assert place(server, id_) == created
    assert members(server, keys.STARTING) == set()


@ONE_SERVER
def test_what_coordination_has_lost_starts_when_it_should_all_the_same(server: Server, one_server: bool) -> None:
    start = server.now_ms() + HOUR_MS
    id_ = submit(server, one_server=one_server, start_after=at(start))
    coordination_loses(server, keys.STARTING)
    assert server.do(put_back(server.logs, server.coordination, [id_])) == [id_]
    sweep(server)
    assert members(server, keys.QUEUE) == members(server, keys.DUE) == set()
    assert float(server.command("ZSCORE", keys.STARTING, id_)) == start
    its_time_comes(server, id_)
    sweep(server)
    assert members(server, keys.QUEUE) == {f"{id_}:1"}


def test_a_cancel_before_the_start_leaves_nothing_to_start(server: Server) -> None:
    id_ = submit(server, start_after=at(server.now_ms() + HOUR_MS))
    assert server.do(server.logs.cancel(id_)) == "cancelled"
    looks = server.do(server.logs.looks([id_]))
    server.do(server.coordination.retire({id_: looks[id_]}))  # type: ignore[dict-item]
    assert members(server, keys.STARTING) == set()
    assert members(server, keys.index("cancelled")) == {id_}


def test_a_repeated_submit_is_the_same_generation_that_waits(server: Server) -> None:
    start = at(server.now_ms() + HOUR_MS)
    ids = {submit(server, "key", start_after=start) for _ in range(3)}
    sweep(server)
    assert members(server, keys.STARTING) == ids
    assert len(ids) == 1
    assert members(server, keys.QUEUE) == set()


def test_what_has_gone_is_on_no_list(server: Server) -> None:
    id_ = submit(server, start_after=at(server.now_ms() + HOUR_MS))
    server.do(server.coordination.unlist([id_]))
    assert members(server, keys.STARTING) == members(server, keys.index("all")) == set()


@ONE_SERVER
@KEYED
def test_the_background_goes_behind_what_is_submitted_in_its_delay_and_before_what_comes_later(
    server: Server, key: str | None, one_server: bool
) -> None:
    background = submit(server, key, one_server=one_server, priority="background")
    interactive = [submit(server, one_server=one_server) for _ in range(2)]
    created = int(server.command("HGET", keys.record(background), "created_ms"))
    assert place(server, background) == created + DELAY_MS
    late = submit(server, one_server=one_server)
    server.command("ZADD", keys.QUEUE, created + DELAY_MS + 1, f"{late}:1")
    order = [*interactive, background, late]
    assert server.do(server.coordination.ranks((each, "") for each in order)) == [0, 1, 2, 3]
    taken = server.do(server.coordination.take(9, lock_ms=60_000, again_ms=60_000))
    assert list(taken.jobs) == [f"{id_}:1" for id_ in order]


def test_the_background_keeps_its_place_and_lists_keep_the_order_of_submits(server: Server) -> None:
    background, interactive = submit(server, priority="background"), submit(server)
    where, listed = place(server, background), server.command("ZSCORE", keys.index("all"), background)
    taken = server.do(server.coordination.take(9, lock_ms=60_000, again_ms=60_000))
    assert server.command("ZRANGE", keys.index("running"), 0, -1) == [background.encode(), interactive.encode()]
    server.do(server.coordination.put_back(taken.jobs))
    assert place(server, background) == where
    assert server.command("ZSCORE", keys.index("queued"), background) == listed

    generation = Generation(server, background)
    server.command("ZREM", keys.QUEUE, f"{background}:1")
    generation.granted()
    generation.expire_lease()
    server.command("ZADD", keys.DUE, 1, background)
    sweep(server)
    assert place(server, background, 2) == (where or 0) - BEGUN, "it has begun: it goes first"


def test_a_job_that_waits_without_a_place_in_the_lists_is_looked_at_and_stays(server: Server) -> None:
    background = submit(server, priority="background")
    for _ in range(2):
        server.command("ZADD", keys.DUE, 1, background)
        sweep(server)
    assert members(server, keys.QUEUE) == {f"{background}:1"}
