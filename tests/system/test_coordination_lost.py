"""Two servers, and the one for coordination has lost its last second while the logs have kept theirs: what was accepted stays
accepted, once."""

from functools import partial
from typing import Any, cast

import pytest

from broker import keys
from broker.errors import ExpiredGeneration, IdempotencyMismatch, StorageUnavailable
from broker.request import GenerationRequest
from broker.store.accepting import Submissions
from broker.store.agreement import Agreement
from broker.store.coordination import Coordination
from broker.store.derived import Derivation
from broker.store.logs import Logs
from broker.store.recovery import put_back
from tests.broker.store.scripted import DONE, Generation, Server
from tests.broker.store.test_accepting import REQUEST, members, records, submissions
from worker.rescan import Rescan
from worker.sweeper import Sweeper

OTHER = GenerationRequest.model_validate({"model": "sim-1", "messages": [{"role": "user", "content": "Bye"}]})
LISTS = (keys.DUE, keys.index("all"), keys.index("queued"))


def coordination_loses(server: Server, *more: str) -> None:
    """All that it has; the logs keep theirs."""
    for key in server.command("KEYS", "*"):
        if key.startswith((b"respool:idem", b"respool:index", b"arq:", *map(str.encode, more))) or key.decode() in (
            keys.DUE,
            keys.QUEUE,
            keys.WAKE,
            keys.EXPIRING,
        ):
            server.command("DEL", key)


def submit(server: Server, key: str | None, request: GenerationRequest = REQUEST) -> str:
    return server.do(submissions(server.logs, server.coordination).submit(request, key))


def agreement(server: Server) -> Agreement:
    return Agreement("worker", server.redis, server.redis)


def sweep(server: Server) -> None:
    server.do(Sweeper(server.logs, server.coordination, agreement(server), 0.5, 3000).sweep())


def in_care(server: Server, id_: str) -> bool:
    """Whether it is looked after and listed, and its job is where a worker finds it."""
    return all(id_ in members(server, key) for key in LISTS) and f"{id_}:1" in members(server, keys.QUEUE)


def test_a_key_that_coordination_has_forgotten_names_the_generation_that_it_made(server: Server) -> None:
    id_ = submit(server, "key")
    coordination_loses(server)
    assert submit(server, "key") == id_
    assert records(server) == {id_}
    sweep(server)
    assert in_care(server, id_)


def test_a_key_that_coordination_has_forgotten_is_refused_to_another_body(server: Server) -> None:
    id_ = submit(server, "key")
    coordination_loses(server)
    with pytest.raises(IdempotencyMismatch):
        submit(server, "key", OTHER)
    assert submit(server, "key") == id_


def test_of_two_bodies_that_came_at_once_the_one_that_made_the_record_has_the_key(server: Server) -> None:
    """Coordination forgets the first between its two steps."""

    class Overtaken(Coordination):
        async def submit(self, *args: Any) -> Any:
            accepted = await super().submit(*args)
            await self.redis.delete(*await self.redis.keys("respool:idem*"))
            await submissions(server.logs, server.coordination).submit(OTHER, "key")
            return accepted

    with pytest.raises(IdempotencyMismatch):
        server.do(submissions(server.logs, Overtaken(server.redis)).submit(REQUEST, "key"))
    assert len(records(server)) == 1


def test_a_key_whose_generation_has_expired_is_gone_though_coordination_has_forgotten_it(server: Server) -> None:
    id_ = submit(server, "key")
    coordination_loses(server)
    server.command("DEL", keys.record(id_))
    with pytest.raises(ExpiredGeneration):
        submit(server, "key")
    assert records(server) == set()


def test_a_key_may_be_used_again_when_its_24_hours_are_over(server: Server) -> None:
    id_ = submit(server, "key")
    coordination_loses(server)
    made, _, fingerprint = server.command("GET", keys.tombstone(id_)).partition(b" ")
    server.command("SET", keys.tombstone(id_), b"%d %s" % (int(made) - keys.IDEMPOTENCY_MS, fingerprint), "KEEPTTL")
    again = submit(server, "key", OTHER)
    assert again != id_
    assert records(server) == {id_, again}
    assert submit(server, "key", OTHER) == again


def test_what_is_remembered_of_a_key_outlives_the_claim_and_the_end(server: Server) -> None:
    id_ = submit(server, "key")
    before = server.command("GET", keys.tombstone(id_))
    generation = Generation(server, id_)
    server.command("HINCRBY", keys.record(id_), "created_ms", -120_000)  # so that the claim begins its time anew
    generation.finish(generation.granted(), 1, DONE)
    assert generation.field("state") == "completed"
    assert server.command("GET", keys.tombstone(id_)) == before
    coordination_loses(server)
    assert submit(server, "key") == id_


def test_what_was_accepted_is_looked_at_once_more_where_there_are_two_servers(server: Server) -> None:
    watched: list[str] = []
    for derivation in (None, Derivation(server.redis)):
        whole = Submissions(server.logs, server.coordination, 3000, 3600, derivation, watched.append)
        ids = [server.do(whole.submit(REQUEST, key)) for key in (None, "key")]
    assert watched == ids


def test_what_coordination_has_lost_is_put_back_in_its_old_place_and_nothing_else_is(server: Server) -> None:
    first, second, kept = (submit(server, None) for _ in range(3))
    ended, unknown = Generation(server), Generation(server)
    ended.create()
    ended.finish(ended.granted(), 1, DONE)
    due, order = members(server, keys.DUE), [first, second]
    server.command("ZREM", keys.DUE, *order)
    for key in LISTS[1:]:
        server.command("ZREM", key, *order)
    server.command("ZREM", keys.QUEUE, *(f"{id_}:1" for id_ in order))
    asked = [second, ended.id, first, unknown.id, kept]
    assert set(server.do(put_back(server.logs, server.coordination, asked))) == set(order)
    assert members(server, keys.DUE) == due
    sweep(server)
    assert all(in_care(server, id_) for id_ in order)
    jobs = [name.decode() for name in server.command("ZRANGE", keys.QUEUE, 0, -1)]
    assert jobs == [f"{id_}:1" for id_ in (first, second, kept)]
    assert server.do(put_back(server.logs, server.coordination, asked)) == []


def test_where_nothing_is_lost_no_record_is_looked_at_and_nothing_is_told(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    kept, ended = submit(server, None), Generation(server)
    nowhere = cast(Logs, None)
    assert server.do(put_back(nowhere, server.coordination, [kept])) == []
    ended.create()
    ended.finish(ended.granted(), 1, DONE)
    assert server.do(put_back(server.logs, server.coordination, [ended.id])) == []
    assert caplog.messages == []


def test_what_runs_and_has_lost_its_place_is_looked_at_when_its_lease_ends(server: Server) -> None:
    generation = Generation(server)
    generation.create()
    generation.granted()
    assert server.do(put_back(server.logs, server.coordination, [generation.id])) == [generation.id]
    assert generation.id in members(server, keys.index("running"))
    sweep(server)
    assert members(server, keys.QUEUE) == set()
    assert generation.id in members(server, keys.DUE)


def rescan(server: Server, coordination: Coordination | None = None) -> int | None:
    return server.do(Rescan(server.logs, coordination or server.coordination, agreement(server)).look())


class Run(Coordination):
    """One that tells another run of itself, or none."""

    def __init__(self, server: Server, run: str | None) -> None:
        super().__init__(server.redis)
        self._run = run

    async def run_id(self) -> str | None:
        return self._run


def test_after_coordination_has_started_anew_one_worker_finds_what_it_has_lost(server: Server) -> None:
    assert rescan(server) == 0
    ids = {submit(server, None) for _ in range(3)}
    coordination_loses(server)
    assert rescan(server) is None, "it has not started anew"
    server.command("SET", keys.RECOVERING, 1, "PX", 1000)
    assert rescan(server, Run(server, "next")) is None, "another worker searches"
    server.command("DEL", keys.RECOVERING)
    assert rescan(server, Run(server, "next")) == 3
    assert members(server, keys.DUE) == ids
    server.command("PEXPIRE", keys.RECOVERED, 1000)
    assert rescan(server, Run(server, "next")) is None
    assert server.command("PTTL", keys.RECOVERED) > keys.INDEX_MS - 60_000


def test_where_coordination_does_not_tell_its_runs_nothing_is_searched(server: Server) -> None:
    assert rescan(server, Run(server, None)) is None
    server.command("ACL", "SETUSER", "default", "-info")
    try:
        assert server.do(server.coordination.run_id()) is None
    finally:
        server.command("ACL", "SETUSER", "default", "+info")
    assert server.do(server.coordination.run_id())


def test_a_search_that_fails_is_made_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    id_ = submit(server, None)
    coordination_loses(server)
    monkeypatch.setattr(Logs, "looks", partial(_refused, server))
    with pytest.raises(StorageUnavailable):
        rescan(server)
    monkeypatch.undo()
    assert rescan(server) == 1
    assert members(server, keys.DUE) == {id_}


async def _refused(server: Server, *_: object) -> None:
    raise StorageUnavailable


def test_a_record_that_is_none_of_ours_keeps_the_sweeper_from_no_other(server: Server) -> None:
    id_ = submit(server, None)
    wrong = Generation(server)
    server.command("SET", keys.record(wrong.id), "not a hash", "PX", 60_000)
    server.command("DEL", keys.QUEUE)
    server.command("ZADD", keys.DUE, 0, wrong.id, 0, id_)
    sweep(server)
    assert members(server, keys.QUEUE) == {f"{id_}:1"}
