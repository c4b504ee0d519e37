"""The queue, the lists, and when somebody looks at a generation again."""

import hashlib
from typing import Any

import pytest
from arq.constants import in_progress_key_prefix, job_key_prefix
from arq.jobs import deserialize_job
from redis.exceptions import NoPermissionError

from broker import keys
from broker.errors import IdempotencyMismatch, StorageUnavailable
from broker.ids import new_generation_id
from broker.local.embedded import free_port
from broker.replies import Look, Taken
from broker.store.client import connect
from broker.store.coordination import Coordination
from broker.store.queue import Job, loads_job
from tests.broker.store.scripted import Generation, Server

SOON_MS = 10_000


def due_in(server: Server, generation: Generation, listed: str = keys.DUE) -> float:
    """ms until the next look."""
    return float(server.command("ZSCORE", listed, generation.id)) - server.now_ms()


def retire(server: Server, generation: Generation, *, rolled_back: bool = False, ended_ms: int = 0) -> None:
    """Ends it, and files it, as one that ended so long ago; its end may be lost in between."""
    attempt = generation.granted()
    before = generation.save()
    generation.finish(attempt, 1)
    if ended_ms:
        server.command("HINCRBY", keys.record(generation.id), "finished_ms", -ended_ms)
    look = server.do(server.logs.look(generation.id))
    assert look is not None
    if rolled_back:
        generation.roll_back(before)
    server.do(Coordination(server.redis).retire({generation.id: look}))


def test_an_end_that_redis_takes_back_while_it_is_filed_is_looked_at_again_soon(server: Server) -> None:
    generation = Generation(server)
    generation.create()
    retire(server, generation, rolled_back=True)
    assert generation.field("state") == "running"
    assert due_in(server, generation) <= SOON_MS


def test_an_end_that_has_stood_is_looked_at_when_it_has_expired(server: Server) -> None:
    generation = Generation(server)
    generation.create(retention_ms=100_000)
    retire(server, generation, ended_ms=SOON_MS)
    assert 100_000 < due_in(server, generation, keys.EXPIRING) + 5000 < 110_000
    assert server.command("ZSCORE", keys.DUE, generation.id) is None


def test_what_has_expired_is_due_then(server: Server) -> None:
    generation = Generation(server)
    generation.create(retention_ms=100_000)
    retire(server, generation, ended_ms=SOON_MS)
    assert server.do(Coordination(server.redis).overdue(10, 3000)) == (0, [])
    server.command("ZADD", keys.EXPIRING, server.now_ms() - 1, generation.id)
    assert server.do(Coordination(server.redis).overdue(10, 3000)) == (1, [generation.id])


@pytest.mark.parametrize(("ended_ms", "listed", "in_ms"), [(9_999, keys.DUE, 10_000), (10_000, keys.EXPIRING, 51_000)])
def test_an_end_has_stood_when_it_is_10_s_old(server: Server, ended_ms: int, listed: str, in_ms: int) -> None:
    generation = Generation(server)
    for key in (keys.DUE, keys.EXPIRING):
        server.command("ZADD", key, 1, generation.id)
        server.command("PEXPIRE", key, 60_000)
    look = Look("completed", 1, 5, 0, expires_ms=50_000, ended_ms=ended_ms)
    server.do(server.coordination.retire({generation.id: look}))
    assert in_ms - 5000 < due_in(server, generation, listed) <= in_ms
    assert server.command("PTTL", listed) > keys.INDEX_MS - 60_000
    if listed == keys.EXPIRING:
        assert server.command("ZSCORE", keys.DUE, generation.id) is None


def test_looks_that_nobody_wants_are_not_asked_of_redis() -> None:
    class Nothing:
        """Has no commands."""

    looking = Coordination(Nothing()).look_again({})  # type: ignore[arg-type]
    with pytest.raises(StopIteration):
        looking.send(None)


def test_each_generation_is_looked_at_again_in_its_own_time(server: Server) -> None:
    soon, late = Generation(server), Generation(server)
    server.do(server.coordination.look_again({soon.id: 10_000, late.id: 90_000}))
    assert 5000 < due_in(server, soon) <= 10_000
    assert 85_000 < due_in(server, late) <= 90_000
    assert server.command("PTTL", keys.DUE) > keys.INDEX_MS - 60_000


# -- the connection


def test_it_is_ready_as_long_as_a_connection_is_to_be_had_and_keeps_none(server: Server) -> None:
    url = f"redis://127.0.0.1:{free_port()}"

    async def asked() -> None:
        for _ in range(5):  # of a pool of four
            await server.coordination.ready()
        away = connect(url, retries=0)
        with pytest.raises(StorageUnavailable):
            await Coordination(away).ready()
        await away.aclose(close_connection_pool=True)

    server.do(asked())


# -- submitting, the queue


def members(server: Server, key: str) -> list[str]:
    return [raw.decode() for raw in server.command("ZRANGE", key, 0, -1)]


BEGUN = 4e12
"""So much earlier stand those that have begun."""


def submitted(server: Server, count: int) -> list[str]:
    ids = [new_generation_id() for _ in range(count)]
    for id_ in ids:
        server.do(server.coordination.submit(id_, None, "f", 3000))
    return ids


def test_an_idempotency_key_is_kept_as_its_sha256(server: Server) -> None:
    id_ = new_generation_id()
    server.do(server.coordination.submit(id_, "kéy", "f", 3000))
    key = keys.idempotency(hashlib.sha256("kéy".encode()).hexdigest())
    assert server.command("GET", key) == f"{id_} f".encode()


def test_a_key_names_one_body(server: Server) -> None:
    id_ = new_generation_id()
    server.do(server.coordination.submit(id_, "key", "f", 3000))
    with pytest.raises(IdempotencyMismatch):
        server.do(server.coordination.submit(new_generation_id(), "key", "g", 3000))
    assert members(server, keys.DUE) == [id_]


def test_a_submit_stands_in_the_lists_by_its_microsecond(server: Server) -> None:
    before = server.now_ms()
    ids = submitted(server, 2)
    after = server.now_ms()
    for state in ("all", "queued"):
        first, second = (float(server.command("ZSCORE", keys.index(state), id_)) for id_ in ids)
        assert before * 1000 <= first < second < (after + 1) * 1000


def test_a_known_submit_is_not_listed_again_but_looked_after_again(server: Server) -> None:
    first, second = new_generation_id(), new_generation_id()
    server.do(server.coordination.submit(first, "key", "f", 3000))
    server.do(server.coordination.unlist([first]))
    assert server.do(server.coordination.submit(second, "key", "f", 3000)).known
    assert members(server, keys.DUE) == [first]
    assert members(server, keys.index("all")) == members(server, keys.index("queued")) == []


def test_a_queued_job_is_one_that_arq_understands(server: Server) -> None:
    (id_,) = submitted(server, 1)
    server.do(server.coordination.enqueue(id_, 1))
    key = job_key_prefix + Job(id_, 1).name
    job = deserialize_job(server.command("GET", key), deserializer=loads_job)
    assert (job.function, list(job.args), job.kwargs) == ("generate", [id_], {})
    assert loads_job(server.command("GET", key))["t"] is None
    assert abs(job.enqueue_time.timestamp() * 1000 - server.now_ms()) < 60_000
    assert keys.WAITING_MS - 60_000 < server.command("PTTL", key) <= keys.WAITING_MS
    assert Job.of(Job(id_, 1).name).id == id_


def test_a_queued_job_wakes_one_worker_and_there_are_1000_waking_calls_at_most(server: Server) -> None:
    (id_,) = submitted(server, 1)
    server.command("RPUSH", keys.WAKE, *["old"] * 1000)
    server.do(server.coordination.enqueue(id_, 1))
    assert server.command("LRANGE", keys.WAKE, 0, 1) == [Job(id_, 1).name.encode(), b"old"]
    assert server.command("LLEN", keys.WAKE) == 1000
    assert 30_000 < server.command("PTTL", keys.WAKE) <= keys.WAKE_MS
    for listed in (keys.QUEUE, keys.DUE):
        assert keys.INDEX_MS - 60_000 < server.command("PTTL", listed) <= keys.INDEX_MS


def test_what_the_lists_have_forgotten_is_queued_by_the_time_that_it_is_told_or_else_now(server: Server) -> None:
    (listed,) = submitted(server, 1)
    told, now = new_generation_id(), new_generation_id()
    before = server.now_ms()
    for id_, created_ms in ((listed, 5), (told, 7), (now, None)):
        server.do(server.coordination.enqueue(id_, 1, created_ms=created_ms))
    places = [float(server.command("ZSCORE", keys.QUEUE, Job(id_, 1).name)) for id_ in (listed, told, now)]
    assert round(places[0] * 1000) == float(server.command("ZSCORE", keys.index("all"), listed))
    assert places[1] == 7
    assert before <= places[2] <= server.now_ms()
    assert [server.command("ZSCORE", keys.DUE, id_) for id_ in (told, now)] == [0, 0], "somebody looks at once"


def test_a_job_that_stands_in_the_queue_is_enqueued_again_without_a_change(server: Server) -> None:
    (id_,) = submitted(server, 1)
    server.do(server.coordination.enqueue(id_, 1))
    key = job_key_prefix + Job(id_, 1).name
    server.command("SET", key, "the first", "PX", 60_000)
    server.command("ZADD", keys.QUEUE, 5, Job(id_, 1).name)
    server.command("ZADD", keys.DUE, 5, id_)
    server.do(server.coordination.enqueue(id_, 1))
    assert server.command("GET", key) == b"the first"
    assert float(server.command("ZSCORE", keys.QUEUE, Job(id_, 1).name)) == 5
    assert float(server.command("ZSCORE", keys.DUE, id_)) == 5


PREFIXES = (job_key_prefix, in_progress_key_prefix)


def traces(server: Server, id_: str, ordinals: range) -> None:
    """All that arq may have left of these attempts."""
    for ordinal in ordinals:
        name = Job(id_, ordinal).name
        server.command("ZADD", keys.QUEUE, ordinal, name)
        for prefix in PREFIXES:
            server.command("SET", prefix + name, "1", "PX", 60_000)
    server.command("PEXPIRE", keys.QUEUE, 60_000)


def left(server: Server, id_: str, ordinals: range) -> dict[int, int]:
    """How many traces there are of each attempt of which there are any."""
    found = {}
    for ordinal in ordinals:
        name = Job(id_, ordinal).name
        there = server.command("EXISTS", *(prefix + name for prefix in PREFIXES))
        found[ordinal] = there + (server.command("ZSCORE", keys.QUEUE, name) is not None)
    return {ordinal: count for ordinal, count in found.items() if count}


def test_a_later_attempts_job_takes_the_place_of_all_earlier_ones(server: Server) -> None:
    (id_,) = submitted(server, 1)
    traces(server, id_, range(1, 5))
    server.do(server.coordination.enqueue(id_, 3))
    assert left(server, id_, range(1, 5)) == {3: 3, 4: 3}


def test_of_attempts_without_number_the_jobs_of_the_latest_20_are_removed(server: Server) -> None:
    (id_,) = submitted(server, 1)
    traces(server, id_, range(1, 31))
    server.do(server.coordination.enqueue(id_, 26))
    assert list(left(server, id_, range(1, 31))) == [*range(1, 6), *range(26, 31)]


def look(state: Any, ordinal: int, **others: int) -> Look:
    values: dict[str, Any] = {"created_ms": 5, "lease_ms": 0, "expires_ms": 0, "ended_ms": 0} | others
    return Look(state, ordinal, **values)


def test_a_lost_job_is_queued_again_where_arq_would_take_it(server: Server) -> None:
    first, second = new_generation_id(), new_generation_id()
    for id_ in (first, second):
        traces(server, id_, range(1, 5))
    server.do(server.coordination.enqueue_lost({first: look("queued", 0), second: look("running", 2, created_ms=9)}))
    assert left(server, first, range(1, 5)) == {1: 2, 2: 3, 3: 3, 4: 3}
    assert left(server, second, range(1, 5)) == {3: 2, 4: 3}
    for name, place in ((Job(first, 1).name, 5), (Job(second, 3).name, 9 - BEGUN)):
        assert float(server.command("ZSCORE", keys.QUEUE, name)) == place
        assert server.command("EXISTS", job_key_prefix + name)


def test_a_job_waits_if_it_is_in_the_queue_and_known_and_in_nobodys_hands(server: Server) -> None:
    waits, gone, unknown, locked = ids = submitted(server, 4)
    for id_ in ids:
        server.do(server.coordination.enqueue(id_, 1))
    server.command("ZREM", keys.QUEUE, Job(gone, 1).name)
    server.command("DEL", job_key_prefix + Job(unknown, 1).name)
    server.command("SET", in_progress_key_prefix + Job(locked, 1).name, "1", "PX", 60_000)
    assert server.do(server.coordination.waiting(dict.fromkeys(ids, look("queued", 0)))) == {waits}
    assert server.do(server.coordination.waiting({waits: look("running", 1)})) == set()
    server.command("ZADD", keys.QUEUE, 0, Job(waits, 1).name)
    assert server.do(server.coordination.waiting({waits: look("queued", 0)})) == {waits}, "its place may be any"


def test_who_takes_jobs_has_them_alone_for_as_long_as_he_said_and_knows_how_many_are_left(server: Server) -> None:
    ids = submitted(server, 4)
    for id_ in ids:
        server.do(server.coordination.enqueue(id_, 1))
    names = [Job(id_, 1).name for id_ in ids]
    places = {name: float(server.command("ZSCORE", keys.QUEUE, name)) for name in names}
    taken = server.do(server.coordination.take(3, lock_ms=200_000, again_ms=100_000))
    assert taken == Taken(1, {name: places[name] for name in names[:3]})
    for id_ in ids[:3]:
        lock = in_progress_key_prefix + Job(id_, 1).name
        assert server.command("GET", lock) == b"1"
        assert 150_000 < server.command("PTTL", lock) <= 200_000
        assert 50_000 < float(server.command("ZSCORE", keys.DUE, id_)) - server.now_ms() <= 100_000
    assert server.command("EXISTS", keys.WAKE), "there is one left"
    assert server.do(server.coordination.take(3, lock_ms=200_000, again_ms=100_000)).left == 0
    assert not server.command("EXISTS", keys.WAKE)


def listed(server: Server, id_: str) -> dict[str, float]:
    """The states that it is listed under, and where."""
    scores = {state: server.command("ZSCORE", keys.index(state), id_) for state in keys.STATES}
    return {state: float(score) for state, score in scores.items() if score is not None}


def test_what_is_taken_is_listed_as_running_in_its_place_and_as_queued_again_if_it_is_put_back(server: Server) -> None:
    first, later, waits = submitted(server, 3)
    place = {id_: float(server.command("ZSCORE", keys.index("all"), id_)) for id_ in (first, later, waits)}
    server.do(server.coordination.enqueue(first, 1))
    server.do(server.coordination.enqueue(later, 2))
    server.do(server.coordination.enqueue(waits, 1))
    for key in (keys.DUE, keys.index("queued")):
        server.command("PEXPIRE", key, 60_000)
    taken = server.do(server.coordination.take(2, lock_ms=200_000, again_ms=100_000))
    assert listed(server, first) == {"running": place[first]}
    assert listed(server, later) == {"running": place[later]}
    assert listed(server, waits) == {"queued": place[waits]}
    for key in (keys.DUE, keys.index("running")):
        assert keys.INDEX_MS - 60_000 < server.command("PTTL", key) <= keys.INDEX_MS
    server.do(server.coordination.put_back(taken.jobs))
    assert listed(server, first).keys() == listed(server, waits).keys() == {"queued"}
    assert abs(listed(server, first)["queued"] - place[first]) <= 1
    assert listed(server, later) == {"running": place[later]}, "an attempt has begun"
    assert keys.INDEX_MS - 60_000 < server.command("PTTL", keys.index("queued")) <= keys.INDEX_MS


def test_what_was_taken_and_never_begun_is_listed_as_queued_when_its_job_is_queued_again(server: Server) -> None:
    taken, begun = submitted(server, 2)
    for id_ in (taken, begun):
        server.do(server.coordination.enqueue(id_, 1))
    server.do(server.coordination.take(2, lock_ms=200_000, again_ms=100_000))
    server.do(server.coordination.enqueue_lost({taken: look("queued", 0), begun: look("running", 1)}))
    assert listed(server, taken).keys() == {"queued"}
    assert listed(server, begun).keys() == {"running"}


def test_a_job_that_is_cleared_away_leaves_nothing(server: Server) -> None:
    (id_,) = submitted(server, 1)
    traces(server, id_, range(1, 3))
    server.command("ZREM", keys.QUEUE, Job(id_, 1).name)
    server.do(server.coordination.clear(Job(id_, 1).name))
    assert left(server, id_, range(1, 3)) == {2: 3}


def test_ends_are_filed_many_at_a_time_each_under_its_own_state(server: Server) -> None:
    ids = submitted(server, 3)
    states: tuple[Any, ...] = ("completed", "failed", "cancelled")
    for id_ in ids:
        traces(server, id_, range(1, 5))
    for key in (keys.DUE, keys.index("all")):
        server.command("PEXPIRE", key, 60_000)
    ended = {id_: look(state, 2, ended_ms=0) for id_, state in zip(ids, states, strict=True)}
    server.do(server.coordination.retire(ended))
    for id_, state in zip(ids, states, strict=True):
        assert listed(server, id_) == {state: 5000}
        assert left(server, id_, range(1, 5)) == {4: 3}
        assert keys.INDEX_MS - 60_000 < server.command("PTTL", keys.index(state)) <= keys.INDEX_MS
    for key in (keys.DUE, keys.index("all")):
        assert keys.INDEX_MS - 60_000 < server.command("PTTL", key) <= keys.INDEX_MS


def test_a_hundred_ends_of_very_many_attempts_are_filed_at_once(server: Server) -> None:
    ended = {new_generation_id(): look("failed", 50, ended_ms=SOON_MS) for _ in range(100)}
    server.do(server.coordination.retire(ended))
    assert len(members(server, keys.EXPIRING)) == len(members(server, keys.index("all"))) == 100


def test_jobs_that_are_put_back_can_be_taken_by_the_next_who_is_woken(server: Server) -> None:
    (id_,) = submitted(server, 1)
    server.do(server.coordination.enqueue(id_, 1))
    taken = server.do(server.coordination.take(3, lock_ms=200_000, again_ms=100_000))
    server.do(server.coordination.put_back(taken.jobs))
    assert 30_000 < server.command("PTTL", keys.WAKE) <= keys.WAKE_MS
    assert server.command("LRANGE", keys.WAKE, 0, -1) == [Job(id_, 1).name.encode()]
    assert server.do(server.coordination.take(3, lock_ms=200_000, again_ms=100_000)).jobs == taken.jobs


def test_what_must_be_done_whole_or_not_at_all_is_a_transaction(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    (id_,) = submitted(server, 1)
    asked: list[bool] = []
    pipeline = server.redis.pipeline

    def noted(transaction: bool = True) -> Any:
        asked.append(transaction)
        return pipeline(transaction=transaction)

    monkeypatch.setattr(server.redis, "pipeline", noted)
    server.do(server.coordination.enqueue(id_, 2))
    server.do(server.coordination.enqueue_lost({id_: look("queued", 0)}))
    assert asked == [True, True]


# -- sweeping


def due(server: Server, listed: str, scores: dict[str, int]) -> None:
    """Lists generations as due in so many ms."""
    for id_, in_ms in scores.items():
        server.command("ZADD", listed, server.now_ms() + in_ms, id_)
    server.command("PEXPIRE", listed, 60_000)


def overdue(server: Server, most: int = 10) -> tuple[int, list[str]]:
    return server.do(server.coordination.overdue(most, 60_000))


def test_what_has_expired_is_off_its_list_and_given_out_like_all_that_is_due(server: Server) -> None:
    due(server, keys.EXPIRING, {"a": -30, "b": -20, "c": -10, "later": 60_000})
    due(server, keys.DUE, {"due": -5})
    assert overdue(server, 2) == (2, ["due", "a"])
    assert members(server, keys.EXPIRING) == ["c", "later"]
    assert overdue(server) == (2, ["b", "c"])
    assert overdue(server) == (0, [])


def test_what_has_expired_and_is_due_later_is_looked_at_then(server: Server) -> None:
    due(server, keys.EXPIRING, {"a": -30})
    due(server, keys.DUE, {"a": 30_000})
    assert overdue(server) == (0, [])
    assert 20_000 < float(server.command("ZSCORE", keys.DUE, "a")) - server.now_ms() <= 30_000


def test_no_more_are_given_out_than_were_asked_for_however_far_ahead_they_were_listed(server: Server) -> None:
    due(server, keys.DUE, {"a": -10, "b": 3_600_000, "c": 7_200_000, "soon": 60_500})
    assert overdue(server, 1) == (1, ["a"])
    due(server, keys.DUE, {"a": -10})
    assert overdue(server, 2) == (2, ["a", "b"])
    assert overdue(server, 2) == (1, ["c"])
    assert overdue(server, 2) == (0, [])


@pytest.mark.parametrize(("in_ms", "given"), [(60_500, []), (70_000, ["a"])])
def test_nobody_looks_more_than_61_s_ahead(server: Server, in_ms: int, given: list[str]) -> None:
    due(server, keys.DUE, {"a": in_ms})
    assert overdue(server) == (len(given), given)


def test_of_several_that_are_due_those_whose_jobs_wait_are_looked_at_in_8_s_and_the_others_as_asked(
    server: Server,
) -> None:
    ids = submitted(server, 4)
    for id_, ordinal in zip(ids[1:3], (1, 2), strict=True):
        server.do(server.coordination.enqueue(id_, ordinal))
    due(server, keys.DUE, dict.fromkeys(ids, -10))
    count, given = overdue(server)
    assert (count, sorted(given)) == (4, sorted([ids[0], ids[3]]))
    in_ms = [float(server.command("ZSCORE", keys.DUE, id_)) - server.now_ms() for id_ in ids]
    assert [50_000 < each <= 60_000 for each in in_ms] == [True, False, False, True]
    assert [4000 < each <= 8000 for each in in_ms] == [False, True, True, False]
    assert keys.INDEX_MS - 60_000 < server.command("PTTL", keys.DUE) <= keys.INDEX_MS


@pytest.mark.parametrize(("wait", "in_ms"), [(801, 8010), (3000, 30_000), (6100, 60_000)])
def test_the_more_wait_the_later_each_is_looked_at_but_never_later_than_in_a_minute(
    server: Server, wait: int, in_ms: int
) -> None:
    server.command("ZADD", keys.QUEUE, *(word for n in range(wait) for word in (n, f"g{n}:1")))
    server.command("PEXPIRE", keys.QUEUE, 60_000)
    before = server.now_ms()
    due(server, keys.DUE, {"g5": -10})
    assert overdue(server) == (1, [])
    assert in_ms <= float(server.command("ZSCORE", keys.DUE, "g5")) - before <= in_ms + server.now_ms() - before


def test_a_job_in_the_place_of_another_does_not_wait_for_it(server: Server) -> None:
    """Two places in the queue may be the same, to the microsecond."""
    mine, other = submitted(server, 2)
    place = float(server.command("ZSCORE", keys.index("all"), mine)) / 1000 - BEGUN
    server.command("ZADD", keys.QUEUE, f"{place:.3f}", Job(other, 2).name)
    server.command("PEXPIRE", keys.QUEUE, 60_000)
    due(server, keys.DUE, {mine: -10})
    assert overdue(server) == (1, [mine])
    server.command("ZADD", keys.QUEUE, f"{place:.3f}", Job(mine, 2).name)
    due(server, keys.DUE, {mine: -10})
    assert overdue(server) == (1, [])


def test_a_first_job_that_waits_does_so_even_where_the_lists_have_forgotten_its_submit(server: Server) -> None:
    server.command("ZADD", keys.QUEUE, 5, Job("a", 1).name)
    server.command("PEXPIRE", keys.QUEUE, 60_000)
    due(server, keys.DUE, {"a": -10, "b": -10})
    assert overdue(server) == (2, ["b"])


# -- indexes


def test_a_generation_is_listed_under_its_state_and_no_other_by_its_submit(server: Server) -> None:
    id_ = new_generation_id()
    for state in keys.STATES:
        server.do(server.coordination.move(id_, state, 7))
        assert [each for each in keys.STATES if members(server, keys.index(each))] == [state]
        for index in ("all", state):
            assert float(server.command("ZSCORE", keys.index(index), id_)) == 7000
            assert keys.INDEX_MS - 60_000 < server.command("PTTL", keys.index(index)) <= keys.INDEX_MS
    server.do(server.coordination.move(id_, "cancelled", 8))
    assert float(server.command("ZSCORE", keys.index("all"), id_)) == 7000, "it keeps its place"


def test_who_is_listed_where_it_was_keeps_the_microsecond_of_its_submit(server: Server) -> None:
    (id_,) = submitted(server, 1)
    places = [server.command("ZSCORE", keys.index(index), id_) for index in ("all", "queued")]
    server.do(server.coordination.move(id_, "queued", 7))
    assert [server.command("ZSCORE", keys.index(index), id_) for index in ("all", "queued")] == places


# -- recovering


def test_a_server_s_run_has_a_name_unless_it_does_not_tell(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert server.do(server.coordination.run_id()) == server.command("INFO", "server")["run_id"]

    async def answers(*asked: str) -> dict[str, object]:
        assert asked == ("server",)
        return {}

    async def forbids(*_: str) -> dict[str, object]:
        raise NoPermissionError("NOPERM this user has no permissions to run the 'info' command")

    for says in (answers, forbids):
        monkeypatch.setattr(server.redis, "info", says)
        assert server.do(server.coordination.run_id()) is None


def test_those_without_a_look_are_told_in_the_order_asked_for(server: Server) -> None:
    has, *without = submitted(server, 3)
    server.command("ZREM", keys.DUE, *without)
    assert server.do(server.coordination.without_look([without[1], has, without[0]])) == [without[1], without[0]]
    assert server.do(Coordination(connect(f"redis://127.0.0.1:{free_port()}/0")).without_look([])) == []


def test_what_was_lost_is_listed_by_its_submit_and_due_at_once(server: Server) -> None:
    lost, kept = new_generation_id(), submitted(server, 1)[0]
    place = server.command("ZSCORE", keys.DUE, kept)
    server.do(server.coordination.list_again({lost: look("running", 1), kept: look("queued", 0)}, {}))
    assert float(server.command("ZSCORE", keys.DUE, lost)) == 0
    assert server.command("ZSCORE", keys.DUE, kept) == place
    assert members(server, keys.index("running")) == [lost]
    assert float(server.command("ZSCORE", keys.index("running"), lost)) == 5000
    assert keys.INDEX_MS - 60_000 < server.command("PTTL", keys.DUE) <= keys.INDEX_MS
    server.command("DEL", keys.DUE)
    server.do(server.coordination.list_again({lost: look("running", 1)}, {}))
    assert keys.INDEX_MS - 60_000 < server.command("PTTL", keys.DUE) <= keys.INDEX_MS


def test_what_has_ended_is_filed_and_nothing_is_left_of_its_jobs(server: Server) -> None:
    one, other = new_generation_id(), new_generation_id()
    for id_ in (one, other):
        traces(server, id_, range(1, 5))
        server.do(server.coordination.move(id_, "running", 5))
    server.do(server.coordination.retire({one: look("failed", 1), other: look("completed", 2)}))
    assert list(left(server, one, range(1, 5))) == [3, 4]
    assert list(left(server, other, range(1, 5))) == [4]
    assert members(server, keys.index("failed")) == [one]
    assert members(server, keys.index("completed")) == [other]
    assert members(server, keys.index("running")) == []
    assert float(server.command("ZSCORE", keys.index("failed"), one)) == 5000


def test_what_is_listed_is_read_newest_first_and_on_from_a_cursor(server: Server) -> None:
    rows = [(1000, "a"), (2000, "b"), (2000, "c"), (2000, "d"), (3000, "e")]
    for score, name in rows:
        server.command("ZADD", keys.index("all"), score, name)
    server.command("PEXPIRE", keys.index("all"), 60_000)

    def listed(before: tuple[int, str] | None, limit: int) -> list[tuple[int, str]]:
        return server.do(server.coordination.listed("all", before, limit))

    newest = rows[::-1]
    assert listed(None, 10) == newest
    assert listed(None, 2) == newest[:2]
    for at, row in enumerate(newest):
        assert listed(row, 2) == newest[at + 1 : at + 3]
    assert server.do(server.coordination.listed("queued", None, 10)) == []


def test_what_is_behind_a_cursor_is_listed_however_much_is_before_it(server: Server) -> None:
    for at in range(1, 31):
        server.command("ZADD", keys.index("all"), at, f"{at}")
    server.command("PEXPIRE", keys.index("all"), 60_000)
    assert server.do(server.coordination.listed("all", (3, "3"), 5)) == [(2, "2"), (1, "1")]


def test_eight_that_share_a_microsecond_with_the_cursor_are_skipped(server: Server) -> None:
    for name in "abcdefghi":
        server.command("ZADD", keys.index("all"), 1000, name)
    server.command("PEXPIRE", keys.index("all"), 60_000)
    assert server.do(server.coordination.listed("all", (1000, "b"), 1)) == [(1000, "a")]


def test_a_position_is_how_many_jobs_are_before_in_the_queue(server: Server) -> None:
    ids = submitted(server, 3)
    for id_ in ids[1:]:
        server.do(server.coordination.enqueue(id_, 1))
    assert server.do(server.coordination.ranks([(each, "") for each in (ids[2], ids[1], ids[0])])) == [1, 0, None]


def test_what_is_unlisted_is_on_no_list_and_nothing_is_left_of_its_jobs(server: Server) -> None:
    gone, stays = submitted(server, 2)
    lists = (keys.DUE, keys.EXPIRING, keys.RUNNING, *(keys.index(each) for each in ("all", *keys.STATES)))
    for id_ in (gone, stays):
        traces(server, id_, range(1, 22))
        for key in lists:
            server.command("ZADD", key, 5, id_)
            server.command("PEXPIRE", key, 60_000)
    server.do(server.coordination.unlist([gone]))
    assert all(members(server, key) == [stays] for key in lists)
    assert left(server, gone, range(1, 22)) == {21: 3}
    assert len(left(server, stays, range(1, 22))) == 21


# -- workers


def test_a_worker_is_alive_for_15_s_after_its_heartbeat(server: Server) -> None:
    assert not server.do(server.coordination.alive("me"))
    server.do(server.coordination.beat("me", "me-1", 4))
    assert server.do(server.coordination.alive("me"))
    assert not server.do(server.coordination.alive("you"))
    assert 10_000 < server.command("PTTL", keys.worker("me")) <= 15_000
