"""What one generation's record and log are asked, on a real server; and, on a scripted one, when Redis has a write safe."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError, NoPermissionError, ResponseError

from broker import keys
from broker.errors import ExpiredGeneration, IdempotencyMismatch, StorageUnavailable, UnknownGeneration
from broker.events import TEXT, Content, Entry
from broker.ids import BEGINNING, EntryId, new_generation_id
from broker.record import Record
from broker.replies import Finished, Held, Look, Newest, Visit
from broker.store.logs import Logs, runs_of
from tests.broker.store.scripted import LEASE_MS, Generation, Server

RETENTION_MS = 200_000
_SLACK_MS = 30_000


@pytest.fixture
def generation(server: Server) -> Generation:
    made = Generation(server)
    made.create(RETENTION_MS)
    return made


def forgotten(server: Server) -> str:
    """A generation whose record is gone."""
    gone = Generation(server)
    gone.create()
    server.command("DEL", gone.keys[0])
    return gone.id


# -- records


def test_a_record_that_is_made_while_it_is_looked_for_has_not_expired(server: Server) -> None:
    generation = Generation(server)

    class Between:
        """The record comes between the look at it and the one at its tombstone."""

        execute_command = staticmethod(server.redis.execute_command)

        async def get(self, key: str) -> Any:
            await server.logs.create(generation.id, b"{}", "sim-1", RETENTION_MS, "normal")
            return await server.redis.get(key)

    logs = Logs(cast(Any, Between()))
    assert server.do(logs.record(generation.id)).state == "queued"


def test_a_record_is_what_was_submitted_and_has_its_request_where_that_is_asked_for(server: Server) -> None:
    id_ = new_generation_id()
    assert server.do(server.logs.create(id_, b'{"a":1}', "sim-1", RETENTION_MS))
    record = server.do(server.logs.record(id_, with_request=True))
    assert (record.id, record.state, record.model, record.request) == (id_, "queued", "sim-1", b'{"a":1}')
    assert server.do(server.logs.record(id_)).request is None
    fields = server.command("HMGET", keys.record(id_), "durability", "retention_ms")
    assert fields == [b"normal", b"200000"]


def test_a_record_that_is_gone_has_expired_and_one_that_never_was_is_unknown(server: Server) -> None:
    gone = forgotten(server)
    with pytest.raises(ExpiredGeneration):
        server.do(server.logs.create(gone, b"{}", "sim-1", RETENTION_MS))
    for ask in (server.logs.record, lambda id_: server.logs.visit(id_, None), server.logs.cancel):
        with pytest.raises(ExpiredGeneration):
            server.do(ask(gone))
        with pytest.raises(UnknownGeneration):
            server.do(ask(new_generation_id()))


def test_many_records_are_read_in_the_order_that_they_were_asked_for(server: Server, generation: Generation) -> None:
    other = Generation(server)
    other.create()
    records = server.do(server.logs.records([other.id, forgotten(server), generation.id]))
    assert [record and (record.id, record.request) for record in records] == [
        (other.id, None), None, (generation.id, None),
    ]  # fmt: skip
    assert server.do(server.logs.records([])) == []


def test_a_look_shows_what_is_left_of_the_lease_and_how_long_ago_it_ended(
    server: Server, generation: Generation
) -> None:
    created = int(generation.field("created_ms") or 0)

    def look() -> Look:
        found = server.do(server.logs.look(generation.id))
        assert found is not None
        assert found.created_ms == created
        return found

    queued = look()
    assert (queued.state, queued.ordinal, queued.lease_ms, queued.ended_ms) == ("queued", 0, 0, 0)
    assert keys.WAITING_MS - _SLACK_MS < queued.expires_ms <= keys.WAITING_MS
    attempt = generation.granted()
    running = look()
    assert (running.state, running.ordinal, running.ended_ms) == ("running", 1, 0)
    assert LEASE_MS - _SLACK_MS < running.lease_ms <= LEASE_MS
    generation.finish(attempt, 1)
    server.command("HINCRBY", keys.record(generation.id), "finished_ms", -70_000)
    ended = look()
    assert (ended.state, ended.ordinal, ended.lease_ms) == ("completed", 1, 0)
    assert 70_000 <= ended.ended_ms < 70_000 + _SLACK_MS
    assert RETENTION_MS - _SLACK_MS < ended.expires_ms <= RETENTION_MS
    server.command("PERSIST", generation.keys[0])
    assert look().expires_ms == 0
    server.command("PEXPIRE", generation.keys[0], RETENTION_MS)


def test_looks_are_at_many_and_none_is_at_what_has_no_record(server: Server, generation: Generation) -> None:
    gone = forgotten(server)
    server.command("SCRIPT", "FLUSH")
    looks = server.do(server.logs.looks([gone, generation.id]))
    assert list(looks) == [gone, generation.id]
    assert looks[gone] is None
    seen, alone = looks[generation.id], server.do(server.logs.look(generation.id))
    assert seen is not None
    assert alone is not None
    assert replace(seen, expires_ms=0) == replace(alone, expires_ms=0)
    assert server.do(server.logs.look(gone)) is None


def test_records_that_redis_refuses_to_show_are_logged_in_one_line(
    server: Server, generation: Generation, caplog: pytest.LogCaptureFixture
) -> None:
    assert server.do(server.logs.looks([generation.id])).keys() == {generation.id}
    assert caplog.messages == []
    odd = [new_generation_id() for _ in range(2)]
    for id_ in odd:
        server.command("SET", keys.record(id_), "no record", "PX", 60_000)
    assert server.do(server.logs.looks([odd[0], generation.id, odd[1]])).keys() == {generation.id}
    assert caplog.messages == [f"Redis refuses a look at 2 records: {odd[0]}, {odd[1]}"]


def test_a_process_holds_what_runs_under_claims_of_its_name_and_no_other(server: Server) -> None:
    made = [Generation(server) for _ in range(4)]
    for each in made:
        each.create(owner="acme")
    mine, again, other, _ = made
    mine.claim(claimant="me/1")
    again.claim(claimant="you/1")
    again.expire_lease()
    again.claim(claimant="me/2")
    other.claim(claimant="mean/1")
    held = server.do(server.logs.held_by("me", [each.id for each in made]))
    assert held == [
        Held(each.id, each.last.attempt, ordinal, int(each.field("created_ms") or 0), owner="acme")
        for each, ordinal in ((mine, 1), (again, 2))
    ]


# -- the log


def test_a_log_is_read_from_an_entry_on(generation: Generation) -> None:
    logs, server = generation.server.logs, generation.server
    attempt = generation.granted()
    generation.append(attempt, 1, *(Content(TEXT, b"%d" % seq) for seq in range(1, 6)))

    def seqs(entries: list[Any]) -> list[int]:
        return [entry.id.seq for entry in entries]

    assert seqs(server.do(logs.from_(generation.id, BEGINNING, 9))) == [0, 1, 2, 3, 4, 5]
    assert seqs(server.do(logs.from_(generation.id, EntryId(attempt, 1), 2))) == [1, 2]
    assert server.do(logs.from_(generation.id, EntryId(attempt, 6), 9)) == []
    assert server.do(logs.newest(generation.id)) == Newest(Entry(EntryId(attempt, 5), TEXT, b"5"), True)
    assert server.do(logs.newest(new_generation_id())) == Newest(None, False)


def test_a_log_without_entries_is_there_if_its_record_is(generation: Generation, server: Server) -> None:
    assert server.do(server.logs.newest(generation.id)) == Newest(None, True)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=30))
def test_runs_are_the_entries_wherever_ids_jump(jumps: list[tuple[int, int]]) -> None:
    ids, attempt, seq = list[EntryId](), 1, 0
    for other, further in jumps:
        attempt, seq = (attempt, seq + further) if other < 3 else (attempt + further, 0)
        ids.append(EntryId(attempt, seq))
    runs = runs_of([(str(id_).encode(), (TEXT, str(id_).encode())) for id_ in ids])
    found = [
        (EntryId(run.first.attempt, run.first.seq + at), value)
        for run in runs
        for at, (_, value) in enumerate(run.contents)
    ]
    assert found == [(id_, str(id_).encode()) for id_ in ids]
    assert [run.last for run in runs[-1:]] == ids[-1:]
    if jumps and all(jump == (1, 1) for jump in jumps):
        assert len(runs) == 1


def test_an_end_ahead_of_the_log_is_told_where_the_log_ends(generation: Generation) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, Content(TEXT, b"1"), Content(TEXT, b"2"))
    assert generation.finish(attempt, 5) == Finished("behind", 2)
    assert generation.finish(attempt, 3) == Finished("ended", 0)


def test_an_arriving_viewer_is_told_the_state_the_end_and_whether_its_cursor_is_known(generation: Generation) -> None:
    def visit(cursor: EntryId | None) -> Visit:
        return generation.server.do(generation.server.logs.visit(generation.id, cursor))

    assert visit(None) == Visit("queued", None, cursor_known=False)
    attempt = generation.granted()
    assert visit(EntryId(attempt, 0)) == Visit("running", None, cursor_known=True)
    assert visit(EntryId(attempt - 1, 0)) == Visit("running", None, cursor_known=False)
    assert visit(EntryId(attempt, 1)) == Visit("running", None, cursor_known=False)
    generation.finish(attempt, 1)
    end = generation.last
    assert visit(end) == Visit("completed", end, cursor_known=True)
    assert visit(None) == Visit("completed", end, cursor_known=False)


def test_an_arriving_viewer_is_told_whose_it_is(server: Server) -> None:
    for owner in ("somebody", ""):
        made = Generation(server)
        made.create(owner=owner)
        assert server.do(server.logs.visit(made.id, None)).owner == owner


def test_what_is_made_just_after_it_was_cancelled_was_not_there(server: Server, generation: Generation) -> None:
    class Late(Logs):
        async def record(self, id_: str, *, with_request: bool = False) -> Record:
            return await super().record(generation.id, with_request=with_request)

    with pytest.raises(UnknownGeneration):
        server.do(Late(server.redis).cancel(new_generation_id()))


# -- ends that are safe


def test_an_end_that_is_noted_as_safe_is_no_longer_unconfirmed(server: Server) -> None:
    generation = Generation(server)
    server.do(server.logs.create(generation.id, b"{}", "sim-1", RETENTION_MS, "strict"))

    def confirm(end: EntryId) -> bool:
        return server.do(server.logs.confirm(generation.id, end))

    assert not confirm(BEGINNING)
    generation.finish(generation.granted(), 1)
    end = generation.last
    assert not confirm(EntryId(end.attempt, 1)), "it ends otherwise"
    assert server.do(server.logs.record(generation.id)).unconfirmed
    assert confirm(end)
    assert confirm(end), "its reply was lost"
    assert generation.field("confirmed") == str(end)
    assert not server.do(server.logs.record(generation.id)).unconfirmed
    assert not server.do(server.logs.confirm(new_generation_id(), end))


def test_a_server_that_writes_a_file_tells_of_it_and_confirms_unless_the_kernel_syncs_it(server: Server) -> None:
    sample = server.do(server.logs.fsyncs())
    assert sample is not None
    assert (sample.policy, sample.stalled) == ("everysec", False)
    assert abs(sample.ms - server.now_ms()) < _SLACK_MS
    assert keys.SYNC_MS // 2 < server.command("PTTL", keys.SYNC) <= keys.SYNC_MS, "there is something to sync"
    assert server.do(server.logs.can_confirm())
    server.command("CONFIG", "SET", "appendfsync", "no")
    try:
        assert not server.do(server.logs.can_confirm())
    finally:
        server.command("CONFIG", "SET", "appendfsync", "everysec")


class Saying:
    """A Redis whose replies are given; `asked` is what each pipeline was asked, but for its scripts."""

    def __init__(
        self, *replies: Any, slaves: int = 0, refuses: Sequence[str] = ("WAITAOF",), persists: int | None = 0
    ) -> None:
        self.asked: list[list[tuple[Any, ...]]] = []
        self.written = 0
        self._replies = list(replies)
        self._slaves = slaves
        self._refuses = refuses
        self._persists = persists

    def pipeline(self, *, transaction: bool) -> "Saying":
        assert not transaction
        self.asked.append([])
        return self

    def execute_command(self, *words: Any) -> Any:
        if words[0] == "EVAL":
            assert words[2:] == (1, keys.SYNC, keys.SYNC_MS)
            self.written += 1
        elif self.asked:
            self.asked[-1].append(words)
        else:
            assert words in (("WAITAOF", 1, 0, 1), ("WAIT", 0, 1)), "only whether it is refused is asked"
            return self._wait(words[0])
        return None

    async def _wait(self, word: str) -> list[int]:
        if word in self._refuses:
            raise NoPermissionError(f"{word} is refused")
        return [0, 0]

    async def execute(self, *, raise_on_error: bool) -> list[Any]:
        assert not raise_on_error
        return self._replies.pop(0)  # type: ignore[no-any-return]

    async def info(self, section: str) -> dict[str, Any]:
        if self._persists is None:
            raise NoPermissionError("INFO is refused")
        return {"connected_slaves": self._slaves} if section == "replication" else {"aof_enabled": self._persists}


NO_FILE = ResponseError("WAITAOF cannot be used when numlocal is set but appendonly is disabled.")
DISK, REPLICA = ("WAITAOF", 1, 0, 2000), ("WAIT", 1, 2000)


@pytest.mark.parametrize(
    ("replies", "where", "asked"),
    [
        ([[1, 0]], "disk", [DISK]),
        ([[0, 0]], None, [DISK]),
        ([[0, 1]], None, [DISK]),
        ([NO_FILE, 1], "replica", [DISK, REPLICA]),
        ([NO_FILE, 2], "replica", [DISK, REPLICA]),
        ([NO_FILE, 0], None, [DISK, REPLICA]),
        ([NO_FILE, ResponseError("WAIT cannot be used with replica instances")], None, [DISK, REPLICA]),
    ],
)
def test_what_is_written_is_safe_on_the_disk_or_where_there_is_no_file_on_a_replica(
    server: Server, replies: list[Any], where: str | None, asked: list[tuple[Any, ...]]
) -> None:
    redis = Saying(*([None, reply] for reply in replies))
    assert server.do(Logs(redis).acknowledged()) == where  # type: ignore[arg-type]
    assert redis.asked == [[each] for each in asked]
    assert redis.written == len(asked), "a write of the connection's own, each time"


def test_a_redis_that_goes_away_while_it_is_asked_for_its_disk_is_away(server: Server) -> None:
    with pytest.raises(StorageUnavailable):
        server.do(Logs(Saying([None, ConnectionError()])).acknowledged())  # type: ignore[arg-type]


def test_a_redis_that_does_not_tell_of_its_file_has_no_sample(server: Server) -> None:
    info = {"aof_enabled": 1, "run_id": "a", "server_time_usec": 5000, "aof_rewrites": 0, "aof_pending_bio_fsync": 0}
    info |= {"aof_last_write_status": "ok", "aof_current_size": 1, "aof_delayed_fsync": 0}

    def sample(info: Any, config: Any) -> Any:
        redis = Saying([info, config, None])
        found = server.do(Logs(redis).fsyncs())  # type: ignore[arg-type]
        assert redis.asked == [[("INFO", "server", "persistence"), ("CONFIG GET", "*appendfsync*")]]
        assert redis.written == 1
        return found

    assert sample(ResponseError("NOPERM"), {}) is None
    assert sample(info, {"appendfsync": "always"}).policy == "always"
    assert sample(info, ResponseError("NOPERM")).policy is None


@pytest.mark.parametrize(
    ("how", "can"),
    [
        ({"slaves": 0}, False),
        ({"slaves": 1}, True),
        ({"slaves": 1, "refuses": ("WAITAOF", "WAIT")}, False),
        ({"slaves": 1, "persists": 1}, False),
        ({"slaves": 1, "persists": None}, False),
    ],
)
def test_where_it_is_sure_that_there_is_no_file_an_end_can_be_confirmed_by_a_replica(
    server: Server, how: dict[str, Any], can: bool
) -> None:
    assert server.do(Logs(Saying(**how)).can_confirm()) is can  # type: ignore[arg-type]


def test_a_redis_that_is_away_when_it_is_asked_whether_it_can_confirm_is_away(server: Server) -> None:
    redis = Saying()
    redis._wait = away  # type: ignore[method-assign, assignment]
    with pytest.raises(StorageUnavailable):
        server.do(Logs(redis).can_confirm())  # type: ignore[arg-type]


async def away(_: str) -> Any:
    raise ResponseError("MISCONF its disk is full")


def test_where_redis_does_not_tell_of_its_file_no_end_can_be_confirmed(server: Server) -> None:
    redis: Any = Saying([ResponseError("NOPERM"), {}, None], refuses=())
    assert server.do(Logs(redis).can_confirm()) is False


def test_a_record_that_a_key_has_made_is_there_for_its_body_and_no_other(server: Server) -> None:
    def create(fingerprint: str) -> bool:
        return server.do(server.logs.create("gen_key", b"{}", "m", 60_000, "normal", fingerprint))

    assert [create("same"), create("same")] == [True, False]
    with pytest.raises(IdempotencyMismatch):
        create("other")
    server.command("DEL", keys.record("gen_key"))
    with pytest.raises(ExpiredGeneration):
        create("same")
