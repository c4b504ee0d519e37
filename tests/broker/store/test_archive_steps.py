"""The step that takes a log out of Redis, and the list of what archivers do, on a real server."""

import pytest

from broker import keys
from broker.events import TEXT, Content
from broker.replies import Look
from broker.store.archiving import Archiving
from broker.store.coordination import Coordination
from tests.broker.store.scripted import DONE, Generation, Server

MARK = "0" * 40
LATE_MS = 60_000


@pytest.fixture
def ended(server: Server) -> Generation:
    generation = Generation(server)
    generation.create(owner="me")
    attempt = generation.granted()
    generation.append(attempt, 1, Content(TEXT, b"a"), Content(TEXT, b"b"), usage=b'{"output_tokens":2}')
    generation.finish(attempt, 3)
    return generation


def archive(of: Generation, entries: int = 4, mark: str = MARK, until_ms: int = LATE_MS) -> str:
    last = of.server.do(of.server.logs.record(of.id)).terminal_id
    assert last is not None
    return of.server.do(of.server.logs.archive(of.id, mark, last, entries, until_ms))


def test_a_log_leaves_and_a_stub_stays_that_tells_the_same_for_as_long(ended: Generation, server: Server) -> None:
    before, lives = server.do(server.logs.record(ended.id)), ended.ttl(ended.keys[0])
    assert archive(ended) == "archived"
    assert server.do(server.logs.record(ended.id)) == before
    assert server.command("EXISTS", ended.keys[1]) == 0
    assert ended.field("archived") == MARK
    assert ended.field("request") is None
    assert lives - 5000 < ended.ttl(ended.keys[0]) <= lives
    assert archive(ended) == "archived", "an answer that was lost"
    assert archive(ended, mark="1" * 40) == "changed", "another try's object"


def test_a_log_that_is_not_what_was_read_stays(ended: Generation, server: Server) -> None:
    assert archive(ended, entries=3) == "changed"
    assert server.do(server.logs.archive(ended.id, MARK, ended.log[0].id, 4, LATE_MS)) == "changed"
    assert len(ended.log) == 4


def test_a_log_whose_end_redis_has_lost_stays_and_another_end_is_not_taken_for_it(server: Server) -> None:
    generation = Generation(server)
    generation.create()
    attempt = generation.granted()
    generation.append(attempt, 1, Content(TEXT, b"a"))
    saved = generation.save()
    generation.finish(attempt, 2)
    end = generation.last
    generation.roll_back(saved)
    assert server.do(server.logs.archive(generation.id, MARK, end, 3, LATE_MS)) == "changed"
    generation.finish(attempt, 2)
    assert server.do(server.logs.archive(generation.id, MARK, end, 3, LATE_MS)) == "changed"
    assert len(generation.log) == 3


def test_what_is_gone_is_not_made_anew(ended: Generation, server: Server) -> None:
    end = ended.last
    server.command("DEL", *ended.keys)
    assert server.do(server.logs.archive(ended.id, MARK, end, 4, LATE_MS)) == "gone"
    assert server.command("KEYS", "*") == []


def test_who_comes_so_late_that_his_object_may_be_taken_for_an_orphan_is_refused(ended: Generation) -> None:
    ended.server.command("HINCRBY", ended.keys[0], "finished_ms", -LATE_MS - 1)
    assert archive(ended) == "late"
    assert len(ended.log) == 4
    assert archive(ended, until_ms=2 * LATE_MS) == "archived"


def test_nothing_begins_again_in_a_stub(ended: Generation, server: Server) -> None:
    end = ended.last
    archive(ended)
    before = ended.fields
    ended.claim(end)
    ended.append(1, 1, Content(TEXT, b"a"))
    ended.finish(1, 2)
    ended.release(1)
    assert ended.fields == before
    assert server.command("EXISTS", ended.keys[1]) == 0
    assert ended.create() is False


# -- the list


def look(ended_ms: int) -> Look:
    return Look("completed", 1, 1000, 0, 3_600_000, ended_ms)


def scores(server: Server) -> dict[str, float]:
    now, rows = server.now_ms(), server.command("ZRANGE", keys.ARCHIVE, 0, -1, "WITHSCORES")
    pairs = rows if rows and isinstance(rows[0], (list, tuple)) else list(zip(rows[::2], rows[1::2], strict=True))
    return {name.decode(): float(score) - now for name, score in pairs}


@pytest.mark.parametrize(("ended_ms", "left"), [(0, 5000), (2000, 3000), (90_000, 0)])
def test_what_has_ended_is_listed_for_its_time_however_late_it_is_filed(
    server: Server, ended_ms: int, left: int
) -> None:
    server.do(Coordination(server.redis, 5000).retire({"gen_1": look(ended_ms)}))
    assert left - 2000 < scores(server)["gen_1"] <= left
    assert server.command("PTTL", keys.ARCHIVE) > keys.INDEX_MS - 60_000


def test_nothing_is_listed_where_there_is_no_archive(server: Server) -> None:
    server.do(Coordination(server.redis).retire({"gen_1": look(0)}))
    assert scores(server) == {}


def test_of_many_archivers_one_gets_each_and_another_one_later(server: Server) -> None:
    archiving = Archiving(server.redis)
    server.do(archiving.look_in({"one": -20, "two": -10, "later": 60_000}))
    assert server.do(archiving.due(1, 60_000)) == ["one"]
    assert server.do(archiving.due(9, 0)) == ["two"]
    assert server.do(archiving.due(9, 60_000)) == ["two"]
    assert server.do(archiving.due(9, 60_000)) == []
    server.do(archiving.drop(["one", "two"]))
    assert scores(server).keys() == {"later"}


def test_one_sweeps_at_a_time_and_not_again_for_a_day(server: Server) -> None:
    archiving = Archiving(server.redis)
    assert server.do(archiving.begin_sweep()) is True
    assert server.do(archiving.begin_sweep()) is False
    server.do(archiving.go_on_sweeping())
    assert keys.SWEEPING_MS - 60_000 < server.command("PTTL", keys.ARCHIVE_SWEPT) <= keys.SWEEPING_MS
    server.do(archiving.end_sweep())
    assert keys.SWEPT_MS - 60_000 < server.command("PTTL", keys.ARCHIVE_SWEPT) <= keys.SWEPT_MS


def test_a_worker_s_end_lists_it(server: Server) -> None:
    generation = Generation(server)
    generation.create()
    attempt = generation.granted()
    generation.finish(attempt, 1, DONE)
    looks = server.do(server.logs.looks([generation.id]))
    server.do(Coordination(server.redis, 5000).retire({id_: each for id_, each in looks.items() if each}))
    assert scores(server).keys() == {generation.id}
