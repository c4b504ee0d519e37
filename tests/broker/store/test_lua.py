"""Each script keeps the contract in its header, and refuses what it says it refuses, on a real server."""

from importlib.resources import files
from itertools import pairwise
from typing import Any, cast

import orjson
import pytest
from arq.constants import in_progress_key_prefix

from broker import events, keys
from broker.errors import (
    AlreadyEnded,
    ExpiredGeneration,
    IdempotencyMismatch,
    StorageForbidden,
    StorageFull,
    StorageRefused,
    UnknownGeneration,
)
from broker.events import END, EVENT, START, TEXT, THINKING, TOOL_INPUT, WITHDRAW, Content, event
from broker.ids import BEGINNING, EntryId, new_generation_id
from broker.record import Ending
from broker.replies import Appended, Behind, Fenced, Finished, Granted, Refused, Released, Taken
from broker.store import log_steps
from broker.store.lua import Argument, Script, step
from broker.store.queue import Job
from tests.broker.store.scripted import LEASE_MS, Generation, Heard, Server

A, B, C = (Content(TEXT, text) for text in (b"a", "b\u2028\n:".encode(), b"c"))
BACK, SEALED = Ending("failed", code="upstream_error", message='said "no"', retryable=True), Refused("sealed")


@pytest.fixture
def generation(server: Server) -> Generation:
    made = Generation(server)
    made.create()
    return made


def end_of(generation: Generation) -> dict[str, object]:
    last = generation.log[-1]
    assert last.kind == END
    end: dict[str, object] = orjson.loads(last.value)
    assert generation.field("end") == last.value.decode()
    assert generation.field("terminal_id") == str(last.id)
    return end


# -- how they are sent


def scripts() -> list[str]:
    return sorted(
        each.name.removesuffix(".lua") for each in files("broker.store.lua").iterdir() if each.name.endswith(".lua")
    )


def test_a_script_goes_by_the_sha_that_the_server_gives_it(server: Server) -> None:
    for script in map(Script, scripts()):
        assert server.command("SCRIPT LOAD", script.text) == script.sha


def test_what_a_script_uses_stands_between_its_first_line_and_itself() -> None:
    clock, tenants, turns, lease, hooks, common, attempts, take, confirm = (
        (files("broker.store.lua") / f"{name}.lua").read_text()
        for name in ("clock", "tenants", "turns", "lease", "hooks", "common", "attempts", "take", "confirm")
    )
    assert Script("take").text == "#!lua\n" + clock + tenants + turns + take.removeprefix("#!lua\n")
    used = f"{clock}{lease}{hooks}{common}{attempts}"
    assert Script("claim").text.startswith(f"{used}-- uses clock, lease, hooks, common, attempts\n")
    assert Script("confirm").text == confirm


def runs(server: Server, command: str) -> int:
    """How often the server has run it."""
    found = server.command("INFO", "commandstats").get(f"cmdstat_{command}", {"calls": 0})
    return int(found["calls"])


def test_many_calls_are_made_once_each_and_in_no_transaction(server: Server, generation: Generation) -> None:
    ids = [generation.id, new_generation_id()]
    server.do(server.logs.looks(ids))
    before = runs(server, "evalsha"), runs(server, "exec")
    assert [look is not None for look in server.do(server.logs.looks(ids)).values()] == [True, False]
    assert (runs(server, "evalsha"), runs(server, "exec")) == (before[0] + 2, before[1])


def test_many_calls_are_made_again_where_the_server_has_forgotten_the_script(
    server: Server, generation: Generation
) -> None:
    ids = [generation.id, new_generation_id(), generation.id]
    looked = server.do(server.logs.looks(ids))
    server.command("SCRIPT", "FLUSH")
    forgetful = server.do(server.logs.looks(ids))
    assert {id_: look and look.state for id_, look in forgetful.items()} == {ids[0]: "queued", ids[1]: None}
    assert forgetful.keys() == looked.keys()


def test_a_step_is_made_at_once_by_the_role_that_it_is_a_method_of(server: Server, generation: Generation) -> None:
    look = step(log_steps.look)
    found = server.do(look(server.logs, generation.id))
    assert found is not None
    assert found.state == "queued"
    assert look.__doc__ == log_steps.look.__doc__


def test_a_record_of_another_type_keeps_nobody_from_a_look_at_the_others(
    server: Server, generation: Generation
) -> None:
    server.do(server.logs.looks([generation.id]))  # it knows the script now
    odd = new_generation_id()
    server.command("SET", keys.record(odd), "no record", "PX", 60_000)
    assert server.do(server.logs.looks([odd, generation.id])).keys() == {generation.id}
    with pytest.raises(StorageRefused, match="WRONGTYPE"):
        server.do(server.logs.look(odd))


def test_what_is_wrong_with_the_server_is_raised_whatever_call_it_comes_from(
    server: Server, generation: Generation
) -> None:
    server.command("ACL", "SETUSER", "default", "-evalsha")
    try:
        with pytest.raises(StorageForbidden):
            server.do(server.logs.looks([generation.id]))
    finally:
        server.command("ACL", "SETUSER", "default", "+evalsha")


# -- create


def test_create_makes_a_record_once(server: Server) -> None:
    generation = Generation(server)
    assert generation.create()
    assert not generation.create()
    assert generation.field("state") == "queued"
    assert generation.field("request") == "{}"
    assert generation.ttl(generation.keys[0]) > keys.WAITING_MS - 60_000
    assert generation.ttl(generation.keys[2]) > keys.WAITING_MS + keys.REMEMBERED_MS - 60_000


def test_create_does_not_bring_back_what_has_expired(generation: Generation) -> None:
    generation.server.command("DEL", generation.keys[0])
    with pytest.raises(ExpiredGeneration):
        generation.create()


# -- submit


def submit(server: Server, id_: str, key: str | None, fingerprint: str = "f", due_ms: int = 3000) -> tuple[str, bool]:
    accepted = server.do(server.coordination.submit(id_, key, fingerprint, due_ms))
    return accepted.id, accepted.known


def test_one_idempotency_key_is_one_generation(server: Server) -> None:
    first, second = new_generation_id(), new_generation_id()
    assert submit(server, first, "key") == (first, False)
    assert submit(server, second, "key") == (first, True)
    with pytest.raises(IdempotencyMismatch):
        submit(server, second, "key", fingerprint="g")
    assert server.command("ZRANGE", keys.DUE, 0, -1) == [first.encode()]
    assert submit(server, second, None) == (second, False)


def test_a_submit_repeated_with_its_id_changes_nothing(server: Server) -> None:
    id_ = new_generation_id()
    submit(server, id_, "key")
    before = [server.command("ZSCORE", key, id_) for key in (keys.DUE, keys.index("all"), keys.index("queued"))]
    assert submit(server, id_, "key", due_ms=9000) == (id_, False)
    after = [server.command("ZSCORE", key, id_) for key in (keys.DUE, keys.index("all"), keys.index("queued"))]
    assert before == after
    assert int(before[0]) - server.now_ms() in range(2000, 3001)


# -- overdue


def overdue(server: Server, most: int = 10) -> tuple[int, list[str]]:
    return server.do(server.coordination.overdue(most, 60_000))


def test_what_is_overdue_is_given_to_one_sweeper_only(server: Server) -> None:
    ids = [new_generation_id() for _ in range(5)]
    for id_ in ids:
        submit(server, id_, None, due_ms=0)
    submit(server, new_generation_id(), None, due_ms=60_000)
    (_, first), (_, second) = overdue(server, 3), overdue(server, 3)
    assert (len(first), len(second)) == (3, 2)
    assert sorted(first + second) == sorted(ids)
    assert overdue(server) == (0, [])


def test_what_waits_in_the_queue_is_looked_at_by_nobody_unless_its_job_is_lost(server: Server) -> None:
    lost, waits, continued = (new_generation_id() for _ in range(3))
    for id_ in (lost, waits, continued):
        submit(server, id_, None, due_ms=0)
    queued(server, waits)
    queued(server, continued, 2)
    name = queued(server, lost)
    assert overdue(server) == (3, [])
    looks = [float(server.command("ZSCORE", keys.DUE, id_)) - server.now_ms() for id_ in (lost, waits, continued)]
    assert all(5000 < look <= 8000 for look in looks)
    server.command("ZREM", keys.QUEUE, name)
    for id_ in (lost, waits, continued):
        server.command("ZADD", keys.DUE, 0, id_)
    assert overdue(server) == (3, [lost])


def test_what_is_due_beyond_any_look_was_so_before_the_clock_jumped_back(server: Server) -> None:
    id_, later = new_generation_id(), new_generation_id()
    submit(server, later, None, due_ms=60_000)
    submit(server, id_, None)
    server.command("ZADD", keys.DUE, server.now_ms() + 3_600_000, id_)
    assert overdue(server) == (1, [id_])
    assert overdue(server) == (0, [])


# -- the queue


def queued(server: Server, id_: str, ordinal: int = 1) -> str:
    """Puts the job into the queue; its name."""
    server.do(server.coordination.enqueue(id_, ordinal))
    return Job(id_, ordinal).name


def take(server: Server, most: int = 10) -> Taken:
    return server.do(server.coordination.take(most, lock_ms=60_000, again_ms=3000))


def test_jobs_are_taken_in_the_order_of_their_submits_however_late_they_were_queued(server: Server) -> None:
    ids = [new_generation_id() for _ in range(4)]
    for id_ in ids:
        submit(server, id_, None)
    for id_ in reversed(ids[1:]):
        queued(server, id_)
    assert list(take(server, 1).jobs) == [Job(ids[1], 1).name]
    again = queued(server, ids[0], 2)
    taken = take(server)
    assert list(taken.jobs) == [again, Job(ids[2], 1).name, Job(ids[3], 1).name]
    assert taken.left == 0
    assert take(server) == Taken(0, {})


def test_the_order_of_submits_stands_when_the_clock_jumps_back(server: Server) -> None:
    first, second = new_generation_id(), new_generation_id()
    submit(server, first, None)
    ahead = (server.now_ms() + 3_600_000) * 1000
    server.command("ZADD", keys.index("all"), ahead, first)
    submit(server, second, None)
    for state in ("all", "queued"):
        assert float(server.command("ZSCORE", keys.index(state), second)) == ahead + 1
    names = [queued(server, first), queued(server, second)]
    assert list(take(server).jobs) == names
    assert [row[1] for row in server.do(server.coordination.listed("all", None, 10))] == [second, first]


def test_a_job_that_was_taken_is_locked_and_looked_after(server: Server) -> None:
    id_ = new_generation_id()
    submit(server, id_, None, due_ms=60_000)
    name = queued(server, id_)
    assert list(take(server).jobs) == [name]
    assert float(server.command("ZSCORE", keys.DUE, id_)) - server.now_ms() <= 3000
    assert not server.command("EXISTS", keys.WAKE)
    assert queued(server, id_) == name
    assert take(server) == Taken(0, {}), "it is locked"
    server.command("DEL", in_progress_key_prefix + name)
    queued(server, id_)
    assert list(take(server).jobs) == [name]


def test_jobs_that_were_put_back_have_their_place(server: Server) -> None:
    ids = [new_generation_id() for _ in range(3)]
    for id_ in ids:
        submit(server, id_, None)
    names = [queued(server, id_) for id_ in ids]
    server.do(server.coordination.put_back(take(server, 2).jobs))
    assert server.command("LLEN", keys.WAKE) == 5
    assert list(take(server).jobs) == names


# -- leases


def jump_back(generation: Generation, ms: int = 3_600_000) -> None:
    """As if the clock of Redis had just jumped back by so much."""
    generation.server.command("HINCRBY", keys.record(generation.id), "lease_until", ms)


@pytest.mark.parametrize("ms", [LEASE_MS, 3_600_000])
def test_no_lease_is_believed_to_last_longer_than_it_was_granted_for(generation: Generation, ms: int) -> None:
    generation.granted()
    jump_back(generation, ms)
    held = generation.claim()
    assert isinstance(held, Refused)
    assert (held.why, held.held_ms) == ("held", LEASE_MS)
    jump_back(generation, ms)
    look = generation.server.do(generation.server.logs.look(generation.id))
    assert look is not None
    assert look.lease_ms == LEASE_MS
    jump_back(generation, ms)
    assert generation.cancel() == "cancelling"
    left = int(generation.field("lease_until") or 0) - generation.server.now_ms()
    assert 0 < left <= LEASE_MS, "it runs out"


def test_a_lease_of_a_record_that_does_not_say_how_long_lasts_no_longer_than_any(generation: Generation) -> None:
    generation.granted()
    generation.server.command("HDEL", keys.record(generation.id), "lease_ms")
    jump_back(generation)
    held = generation.claim()
    assert isinstance(held, Refused)
    assert held.held_ms == 60_000


def test_a_lease_is_believed_for_as_long_as_it_was_granted_and_not_for_the_longest(generation: Generation) -> None:
    server, lease_ms = generation.server, 20_000

    def claim() -> Granted | Refused:
        return server.do(
            server.logs.claim(
                generation.id, "me", lease_ms=lease_ms, most_attempts=3, planned_from=BEGINNING, run=True,
                start_json=b'{"type":"stream_start"}', kept_chunks=0,
            )
        )  # fmt: skip

    assert isinstance(claim(), Granted)
    jump_back(generation)
    assert generation.claim() == Refused("held", lease_ms)
    jump_back(generation)
    assert generation.cancel() == "cancelling"
    assert int(generation.field("lease_until") or 0) - server.now_ms() <= lease_ms
    jump_back(generation)
    look = server.do(server.logs.look(generation.id))
    assert look is not None
    assert look.lease_ms == lease_ms


def test_figures_of_a_generation_that_saw_the_clock_jump_back_are_not_negative(generation: Generation) -> None:
    attempt = generation.granted()
    generation.server.command("HINCRBY", keys.record(generation.id), "created_ms", 3_600_000)
    generation.append(attempt, 1, A)
    generation.finish(attempt, 2)
    assert (end_of(generation)["ttft_ms"], end_of(generation)["total_ms"]) == (0, 0)


# -- claim


def test_a_claim_starts_an_attempt_with_its_first_entry(generation: Generation) -> None:
    with Heard(generation.server, keys.live(generation.id)) as heard:
        verdict = generation.claim(kept=7)
        (published,) = heard.appends()
    assert isinstance(verdict, Granted)
    (entry,) = generation.log
    assert (entry.id, entry.kind) == (EntryId(verdict.attempt, 0), START)
    assert orjson.loads(entry.value) == {"type": "stream_start", "attempt": 1}
    assert (published.prev, published.entries) == (BEGINNING, [entry])
    assert abs(verdict.attempt - generation.server.now_ms()) < 5000
    assert int(generation.field("lease_until") or 0) - generation.server.now_ms() in range(
        LEASE_MS - 5000, LEASE_MS + 1
    )
    assert generation.field("state") == "running"


def test_a_claim_repeated_because_its_reply_was_lost_is_granted_again(generation: Generation) -> None:
    first = generation.claim(BEGINNING, claimant="me")
    assert generation.claim(BEGINNING, claimant="me") == first
    assert len(generation.log) == 1
    assert generation.field("spent") == "1"
    refused = generation.claim(claimant="somebody else")
    assert isinstance(refused, Refused)
    assert (refused.why, refused.held_ms > LEASE_MS - 5000) == ("held", True)


def test_a_claim_repeated_when_its_lease_is_over_is_another_one(generation: Generation) -> None:
    first = generation.claim(claimant="me")
    assert isinstance(first, Granted)
    generation.expire_lease()
    again = generation.claim(claimant="me")
    assert isinstance(again, Granted)
    assert (again.attempt > first.attempt, again.ordinal) == (True, 2)


def test_a_claim_of_nothing_is_refused(server: Server) -> None:
    assert Generation(server).claim() == Refused("unknown")


def test_a_claim_planned_from_an_older_log_is_refused(generation: Generation) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, A)
    generation.expire_lease()
    assert generation.claim(EntryId(attempt, 0)) == Refused("moved")
    assert len(generation.log) == 2
    assert isinstance(generation.claim(EntryId(attempt, 1)), Granted)


def test_attempts_rise_even_where_the_clock_does_not(generation: Generation) -> None:
    generation.granted()
    generation.expire_lease()
    future = generation.server.now_ms() + 1_000_000
    generation.server.command("XADD", generation.keys[1], f"{future}-0", "s", "{}")
    assert generation.granted() == future + 1


def test_a_claim_after_a_cancel_ends_the_generation(generation: Generation) -> None:
    attempt = generation.granted()
    assert generation.cancel() == "cancelling"
    generation.expire_lease()
    assert generation.claim() == SEALED
    assert end_of(generation)["status"] == "cancelled"
    assert generation.last.attempt > attempt
    assert generation.claim() == Refused("ended")


def test_an_interrupted_generation_that_must_not_go_on_fails(generation: Generation) -> None:
    first = generation.claim(run=False)
    assert isinstance(first, Granted)
    generation.expire_lease()
    assert generation.claim(run=False) == SEALED
    assert end_of(generation)["code"] == "interrupted"


def test_no_attempt_follows_the_last_one(generation: Generation) -> None:
    for kept in (0, 1, 1):  # each but the first comes no further than the one before
        attempt = generation.granted(kept=kept)
        if not kept:
            generation.append(attempt, 1, A)
        generation.expire_lease()
    assert generation.field("spent") == "2", "the first was free, the third is not over yet"
    attempt = generation.granted(kept=1)
    generation.expire_lease()
    assert generation.claim(kept=1) == SEALED
    end = end_of(generation)
    assert (end["code"], end["partial"], generation.field("spent")) == ("attempts_exhausted", True, "3")
    ids = [entry.id for entry in generation.log]
    assert all(before < after for before, after in pairwise(ids))


# -- append


def test_an_append_writes_all_entries_and_publishes_them_once(generation: Generation) -> None:
    attempt = generation.granted()
    with Heard(generation.server, keys.live(generation.id)) as heard:
        assert generation.append(attempt, 1, A, B, event("usage", n=1), usage=b'{"n":1}') == Appended(3)
        (published,) = heard.appends()
    written = generation.log[1:]
    assert [(entry.id.seq, entry.kind, entry.value) for entry in written[:2]] == [(1, *A), (2, *B)]
    assert (published.prev, published.entries) == (EntryId(attempt, 0), written)
    assert generation.field("usage") == '{"n":1}'
    assert generation.field("first_ms")


def test_sealed_chunks_count_as_chunks_and_other_sealed_entries_do_not(generation: Generation) -> None:
    attempt = generation.granted()
    assert generation.append(attempt, 1, Content(events.SEALED[EVENT], b"?")) == Appended(1)
    assert generation.field("first_ms") is None
    generation.append(attempt, 2, *(Content(events.SEALED[kind], b"?") for kind in (TEXT, THINKING, TOOL_INPUT)))
    assert generation.field("first_ms")
    assert generation.field("others") == "1"


def test_an_append_repeated_or_overlapping_writes_nothing_twice(generation: Generation) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, A, B)
    with Heard(generation.server, keys.live(generation.id)) as heard:
        assert generation.append(attempt, 1, A, B) == Appended(2)
        assert generation.append(attempt, 1, A) == Appended(2)
        assert generation.append(attempt, 2, B, C) == Appended(3)
        (published,) = heard.appends()
    assert [entry.value for entry in generation.log[1:]] == [A.value, B.value, C.value]
    assert [entry.value for entry in published.entries] == [C.value]


def test_an_append_behind_a_lost_tail_is_told_where_the_log_ends(generation: Generation) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, A)
    assert generation.append(attempt, 3, C) == Behind(1)
    assert generation.append(attempt, 2, B, C) == Appended(3)


def test_a_paused_worker_cannot_append_after_its_successor_has_claimed(generation: Generation) -> None:
    paused = generation.granted()
    generation.expire_lease()
    generation.append(paused, 1, A)  # nobody has claimed: it is still the one that runs
    successor = generation.granted()
    assert generation.append(paused, 2, B) == Fenced()
    assert generation.finish(paused, 2) == Finished("fenced")
    assert not generation.release(paused)
    assert generation.append(successor, 1, C) == Appended(1)


def test_nothing_is_appended_to_what_is_queued_ended_or_not_there(server: Server, generation: Generation) -> None:
    assert Generation(server).append(1, 1, A) == Fenced()
    assert generation.append(1, 1, A) == Fenced()
    attempt = generation.granted()
    generation.finish(attempt, 1)
    assert generation.append(attempt, 1, A) == Fenced()
    assert generation.append(attempt, 2, A) == Fenced()


def test_an_append_does_not_make_a_log_anew(generation: Generation) -> None:
    attempt = generation.granted()
    generation.server.command("DEL", generation.keys[1])
    assert generation.append(attempt, 1, A) == Fenced()
    assert generation.append(attempt, 2, B) == Fenced()
    assert generation.log == []


def test_an_append_tells_of_a_cancel_and_renews_the_lease_where_asked(generation: Generation) -> None:
    attempt = generation.granted()
    generation.expire_lease()
    generation.append(attempt, 1, A)
    assert generation.field("lease_until") == "1"
    generation.append(attempt, 2, lease_ms=LEASE_MS)
    assert int(generation.field("lease_until") or 0) > generation.server.now_ms() + LEASE_MS - 5000
    generation.cancel()
    assert generation.append(attempt, 2, B) == Appended(2, cancel_pending=True)
    assert generation.append(attempt, 3) == Appended(2, cancel_pending=True)


def test_the_first_token_is_timed_once_and_by_nothing_else(generation: Generation) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, event("block_start", index=0))
    assert generation.field("first_ms") is None
    generation.append(attempt, 2, A)
    first = generation.field("first_ms")
    assert abs(int(first or 0) - generation.server.now_ms()) < 5000
    while generation.server.now_ms() <= int(first or 0):
        pass
    generation.append(attempt, 3, B)
    assert generation.field("first_ms") == first


@pytest.mark.parametrize("by", ["finish", "cancel", "claim"])
def test_an_end_tells_how_many_chunks_there_are_whoever_writes_it(generation: Generation, by: str) -> None:
    """Those of the latest attempt, and those that it has kept; block starts and the like are none."""
    first = generation.granted()
    generation.append(first, 1, event("block_start", index=0), A, B, event("block_stop", index=0), C)
    generation.expire_lease()
    verdict = generation.claim(kept=2)
    assert isinstance(verdict, Granted)
    attempt = verdict.attempt
    for _ in range(2):  # the second time there is nothing new in it
        generation.append(attempt, 1, event("block_start", index=1), A, Content(THINKING, b"so"))
    generation.append(attempt, 2, A, Content(THINKING, b"so"), Content(TOOL_INPUT, b"{"), event("usage", n=1))
    if by == "finish":
        generation.finish(attempt, 6)
    else:
        generation.expire_lease()
        generation.cancel() if by == "cancel" else generation.claim(run=False)
    assert end_of(generation)["chunks"] == 2 + 3


# -- finish


def test_a_finish_writes_the_end_and_starts_the_retention(server: Server) -> None:
    generation = Generation(server)
    generation.create(retention_ms=100_000)
    attempt = generation.granted()
    generation.append(attempt, 1, A, usage=b'{"output_tokens":1}')
    generation.cancel()
    assert generation.finish(attempt, 2) == Finished("ended")
    assert generation.last > EntryId(attempt, 2)
    end = end_of(generation)
    assert {key: end[key] for key in ("status", "stop_reason", "usage", "chunks")} == {
        "status": "completed", "stop_reason": "end_turn", "usage": {"output_tokens": 1}, "chunks": 1,
    }  # fmt: skip
    record, log, tombstone = map(generation.ttl, generation.keys)
    assert all(90_000 < ttl <= 100_000 for ttl in (record, log))
    assert tombstone > keys.REMEMBERED_MS
    assert generation.field("cancel") is None


def test_a_finish_repeated_says_the_same_and_writes_nothing(generation: Generation) -> None:
    attempt = generation.granted()
    generation.finish(attempt, 1)
    before = generation.log
    assert generation.finish(attempt, 1) == Finished("ended")
    assert generation.finish(attempt, 1, BACK) == Finished("ended")
    assert generation.log == before


def test_a_finish_of_what_ended_otherwise_is_told_the_state_that_it_has(server: Server, generation: Generation) -> None:
    assert generation.cancel() == "cancelled"
    assert generation.finish(1, 1) == Finished("ended"), "no attempt has ever run"
    script = Script("finish")
    args: list[Argument] = [keys.live(generation.id), 1, 1, keys.REMEMBERED_MS, "completed", "end_turn", "", "", 0]
    assert server.do(script(server.redis, generation.keys, args)) == [b"ended", b"cancelled"]
    fresh = Generation(server)
    fresh.create()
    args[1] = fresh.granted()
    for _ in range(2):
        replied: list[Any] = cast(Any, server.do(script(server.redis, fresh.keys, args)))
        assert replied[:2] == [b"ended", b"completed"]


def test_a_finish_does_not_make_a_log_anew(generation: Generation) -> None:
    attempt = generation.granted()
    generation.server.command("DEL", generation.keys[1])
    assert generation.finish(attempt, 1) == Finished("fenced")
    assert generation.log == []


def test_a_finish_without_a_record_is_fenced_even_if_the_log_is_there(generation: Generation) -> None:
    attempt = generation.granted()
    generation.server.command("DEL", generation.keys[0])
    assert generation.finish(attempt, 1) == Finished("fenced")
    assert len(generation.log) == 1


def test_an_end_written_again_after_it_was_lost_has_another_id(generation: Generation) -> None:
    """Its figures hold the time: it would have other bytes."""
    attempt = generation.granted()
    before = generation.save()
    generation.finish(attempt, 1)
    lost = generation.last
    while generation.server.now_ms() <= lost.attempt:
        pass
    generation.roll_back(before)
    assert generation.finish(attempt, 1) == Finished("ended")
    assert (generation.last > lost, generation.last.seq) == (True, 0)


def test_a_finish_behind_a_lost_tail_is_refused_until_the_tail_is_back(generation: Generation) -> None:
    attempt = generation.granted()
    assert generation.finish(attempt, 2, BACK) == Finished("behind", 0)
    generation.append(attempt, 1, A)
    assert generation.finish(attempt, 1, BACK) == Finished("fenced")
    assert generation.finish(attempt, 2, BACK) == Finished("ended")
    end = end_of(generation)
    assert (end["code"], end["message"], end["retryable"]) == ("upstream_error", 'said "no"', True)


# -- cancel


def test_a_cancel_of_what_nobody_runs_ends_it_at_once(generation: Generation) -> None:
    assert generation.cancel() == "cancelled"
    end = end_of(generation)
    assert (end["status"], end["ttft_ms"], end["usage"]) == ("cancelled", None, None)
    assert generation.cancel() == "cancelled"
    assert generation.claim() == Refused("ended")
    assert len(generation.log) == 1


def test_a_cancel_of_what_runs_tells_the_workers(generation: Generation) -> None:
    attempt = generation.granted()
    with Heard(generation.server, keys.CANCELS) as heard:
        assert generation.cancel() == "cancelling"
        assert generation.cancel() == "cancelling"
        assert heard.messages() == [generation.id.encode()] * 2
    assert generation.field("state") == "running"
    assert generation.field("cancel") is not None
    generation.finish(attempt, 1, Ending("cancelled"))
    assert generation.field("cancel") is None
    assert generation.cancel() == "cancelled"


def test_a_cancel_whose_worker_is_gone_ends_it_under_an_id_nobody_has_seen(generation: Generation) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, A)
    generation.expire_lease()
    assert generation.cancel() == "cancelled"
    assert generation.last.attempt > attempt
    assert generation.last.seq == 0
    assert generation.append(attempt, 2, B) == Fenced()


def test_a_cancel_after_the_end_or_of_nothing_says_so(server: Server, generation: Generation) -> None:
    generation.finish(generation.granted(), 1)
    with pytest.raises(AlreadyEnded) as ended:
        generation.cancel()
    assert ended.value.state == "completed"
    with pytest.raises(UnknownGeneration):
        Generation(server).cancel()
    server.command("DEL", generation.keys[0])
    with pytest.raises(ExpiredGeneration):
        generation.cancel()


# -- release


def test_a_released_generation_can_be_claimed_at_once(generation: Generation) -> None:
    attempt = generation.granted()
    assert generation.release(attempt)
    assert generation.field("spent") == "1"
    assert isinstance(generation.claim(), Granted)
    assert generation.field("spent") == "2"


def test_a_released_attempt_cannot_renew_its_lease(generation: Generation) -> None:
    attempt = generation.granted()
    generation.release(attempt)
    assert generation.append(attempt, 1, A, lease_ms=LEASE_MS) == Fenced()
    assert isinstance(generation.claim(), Granted)


def test_a_hand_over_does_not_count_and_its_repetition_does_not_count_twice(generation: Generation) -> None:
    for _ in range(5):
        attempt = generation.granted()
        assert generation.release(attempt, counts=False)
        assert generation.release(attempt, counts=False)  # the reply to the first was lost
        assert generation.field("spent") == "0"


@pytest.mark.parametrize("by", ["claim", "release", "revoke"])
def test_an_attempt_that_got_further_than_any_before_it_is_free(generation: Generation, by: str) -> None:
    def is_over(attempt: int) -> None:
        if by == "release":
            assert generation.release(attempt)
        else:
            generation.expire_lease()
            assert by == "claim" or generation.revoke()

    spent = []
    for kept, own in ((0, 2), (2, 1), (0, 3), (0, 4), (1, 2), (4, 0)):  # a restart keeps nothing
        attempt = generation.granted(kept=kept, most=9)
        generation.append(attempt, 1, event("message"), *[A] * own)
        is_over(attempt)
        assert generation.claim(BEGINNING, most=9) == Refused("moved")
        spent.append(generation.field("spent"))
    assert spent == ["0", "0", "1", "1", "2", "3"]


@pytest.mark.parametrize("by", ["release", "revoke", "claim"])
def test_an_attempt_is_counted_once_however_often_it_is_found_over(generation: Generation, by: str) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, A)
    for _ in range(2):
        if by == "release":
            assert generation.release(attempt)
        elif by == "revoke":
            generation.revoke(attempt)
        else:
            generation.expire_lease()
            assert generation.claim(BEGINNING) == Refused("moved")
    assert (generation.field("spent"), generation.field("reached"), generation.field("produced")) == ("0", "1", "1")


def test_attempts_in_all_are_bounded_however_far_they_get(generation: Generation) -> None:
    for kept in range(4):
        attempt = generation.granted(kept=kept)
        generation.append(attempt, 1, A)
        released = generation.server.do(
            generation.server.logs.release(generation.id, attempt, counts=True, most_attempts=1, attempts_in_all=4)
        )
        assert released == (Released("released", 0) if kept < 3 else Released("exhausted"))
    generation.expire_lease()
    assert generation.claim(in_all=4, kept=4) == SEALED
    assert end_of(generation)["code"] == "attempts_exhausted"


def test_a_release_behind_which_no_attempt_may_follow_is_not_done(generation: Generation) -> None:
    def release(attempt: int, *, counts: bool = True) -> Released:
        return generation.server.do(
            generation.server.logs.release(generation.id, attempt, counts=counts, most_attempts=1, attempts_in_all=1)
        )

    attempt = generation.granted()
    assert release(attempt) == release(attempt) == Released("last")
    assert generation.append(attempt, 1, A) == Appended(1), "it may write its end"
    assert release(attempt) == Released("exhausted"), "it got further"
    assert release(attempt + 1) == Released("fenced")
    assert release(attempt, counts=False).why == "released", "a hand-over is always done"


@pytest.mark.parametrize(("usage", "chunks", "paid"), [("{}", 3, 3), ('{"output_tokens":9}', 2, 9), ("null", 2, 2)])
def test_what_attempts_have_cost_is_what_upstream_said_or_a_token_for_each_chunk(
    generation: Generation, usage: str, chunks: int, paid: int
) -> None:
    for first in (True, False):
        attempt = generation.granted()
        generation.append(attempt, 1, event("message"), *([A] * (chunks - 1 if first else 1)), usage=usage.encode())
        assert generation.release(attempt)
    verdict = generation.claim(claimant="me", most_paid=paid + 1)
    assert isinstance(verdict, Granted)
    assert verdict.paid == paid
    assert generation.claim(claimant="me") == verdict
    generation.expire_lease()
    assert generation.claim(most_paid=paid) == SEALED
    end = end_of(generation)
    assert (end["code"], end["retryable"]) == ("spend_exceeded", False)


# -- withdraw


TOLD = b'{"type":"withdraw","guardrail":"rules","reason":"","category":""}'
BLOCKED = Ending("failed", code="blocked", message="no", withdraw=TOLD)


def is_withdrawn(generation: Generation, last: EntryId) -> dict[str, object]:
    """Its log is `withdraw` and the end, behind all that there was; the end."""
    withdraw, end = generation.log
    assert (withdraw.kind, withdraw.id.seq) == (WITHDRAW, 0)
    assert last < withdraw.id < end.id
    said = end_of(generation)
    assert (said["withdrawn"], said["chunks"]) == (True, 0)
    return said


def test_what_is_blocked_is_replaced_by_its_withdrawal_in_the_step_that_ends_it(generation: Generation) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, event("message"), A, B)
    last = generation.last
    with Heard(generation.server, keys.live(generation.id)) as heard:
        assert generation.finish(attempt, 4, BLOCKED) == Finished("ended")
        withdrawn, ended = heard.appends()
    said = is_withdrawn(generation, last)
    assert (said["code"], said["partial"], said["status"]) == ("blocked", False, 422)
    assert generation.log[0].value == TOLD
    assert (withdrawn.prev, withdrawn.entries) == (last, generation.log[:1])
    assert (ended.prev, ended.entries) == (generation.log[0].id, generation.log[1:])
    assert generation.finish(attempt, 4, BLOCKED) == Finished("ended")
    assert len(generation.log) == 2
    assert generation.append(attempt, 4, C) == Fenced()


@pytest.mark.parametrize("seq", [1, 2, 9])
def test_where_a_log_ends_does_not_matter_if_nothing_of_it_stays(generation: Generation, seq: int) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, A, B)
    last = generation.last
    assert generation.finish(attempt, seq, BLOCKED) == Finished("ended")
    is_withdrawn(generation, last)


def test_a_paused_worker_cannot_withdraw_what_is_its_successor_s(generation: Generation) -> None:
    paused = generation.granted()
    generation.append(paused, 1, A)
    generation.expire_lease()
    generation.append(generation.granted(), 1, B)
    log = generation.log
    assert generation.finish(paused, 2, BLOCKED) == Finished("fenced")
    assert generation.log == log


@pytest.mark.parametrize("how", ["cancelled", "interrupted", "attempts_exhausted"])
@pytest.mark.parametrize("guarded", [True, False])
def test_what_no_worker_is_left_to_check_is_withdrawn(generation: Generation, how: str, guarded: bool) -> None:
    verdict = generation.claim(guarded=guarded)
    assert isinstance(verdict, Granted)
    generation.append(verdict.attempt, 1, A)
    last = generation.last
    generation.expire_lease()
    if how == "cancelled":
        assert generation.cancel() == "cancelled"
    else:
        assert generation.claim(run=how != "interrupted", in_all=1) == SEALED
    if guarded:
        said = is_withdrawn(generation, last)
        told = orjson.loads(generation.log[0].value)
        assert (told["guardrail"], told["category"]) == (None, "unchecked")
    else:
        said = end_of(generation)
        assert ("withdrawn" in said, said["chunks"]) == (False, 1)
    assert how in (said.get("code"), said.get("status"))


@pytest.mark.parametrize("begun", [True, False])
def test_nothing_is_withdrawn_where_nothing_was_put_out(generation: Generation, begun: bool) -> None:
    if begun:
        verdict = generation.claim(guarded=True)
        assert isinstance(verdict, Granted)
        generation.append(verdict.attempt, 1, event("message"))
        generation.expire_lease()
    assert generation.cancel() == "cancelled"
    assert "withdrawn" not in end_of(generation)


def test_an_attempt_of_a_worker_without_guardrails_is_not_guarded(generation: Generation) -> None:
    for guarded in (True, False):
        verdict = generation.claim(guarded=guarded)
        assert isinstance(verdict, Granted)
        generation.append(verdict.attempt, 1, A)
        generation.expire_lease()
    generation.cancel()
    assert "withdrawn" not in end_of(generation)


# -- revoke


def test_viewers_are_told_of_a_dead_worker_when_its_lease_is_taken(generation: Generation) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, event("message"), A, B)
    assert not generation.revoke(), "its lease is alive"
    assert not generation.revoke(attempt - 1)
    generation.expire_lease()
    with Heard(generation.server, keys.live(generation.id)) as heard:
        assert generation.revoke()
        (published,) = heard.appends()
        assert not generation.revoke()
        assert heard.appends() == []
    assert published.prev == EntryId(attempt, 3)
    assert published.entries == generation.log[-1:]
    assert orjson.loads(generation.log[-1].value) == {"type": "recovering", "attempt": 1}
    assert (generation.last.attempt > attempt, generation.last.seq) == (True, 0)
    assert isinstance(generation.claim(), Granted)


def test_a_dead_child_s_lease_is_taken_while_it_is_alive(generation: Generation) -> None:
    attempt = generation.granted()
    assert generation.revoke(attempt)
    assert isinstance(generation.claim(), Granted)


def test_a_worker_that_was_only_paused_writes_nothing_behind_recovering(generation: Generation) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, A)
    generation.expire_lease()
    assert generation.revoke()
    log = generation.log
    assert generation.append(attempt, 2, B, lease_ms=LEASE_MS) == Fenced()
    assert generation.finish(attempt, 2) == Finished("fenced")
    assert generation.release(attempt, counts=False)
    assert (generation.log, generation.field("spent")) == (log, "0")
    assert generation.cancel() == "cancelled"
    assert (end_of(generation)["chunks"], generation.last.attempt > log[-1].id.attempt) == (1, True)


def test_no_id_is_used_twice_where_redis_comes_back_without_the_revoke(generation: Generation) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, A)
    before = generation.save()
    generation.expire_lease()
    assert generation.revoke()
    recovering = generation.last
    generation.roll_back(before)
    assert generation.append(attempt, 2, B) == Appended(2)
    assert recovering.attempt != attempt


def test_behind_a_cancel_nothing_recovers(generation: Generation) -> None:
    attempt = generation.granted()
    generation.cancel()
    assert generation.revoke(attempt)
    assert generation.last == EntryId(attempt, 0)
    assert generation.claim() == SEALED
    assert end_of(generation)["status"] == "cancelled"


def test_a_log_that_has_gone_is_not_made_anew_to_say_that_a_worker_is_dead(generation: Generation) -> None:
    attempt = generation.granted()
    generation.server.command("DEL", generation.keys[1])
    assert generation.revoke(attempt)
    assert generation.log == []


# -- all of them


def test_a_full_server_takes_nothing_new_and_still_tells_the_end(server: Server) -> None:
    fresh, queued, cancelled, running = (Generation(server) for _ in range(4))
    for generation in (queued, cancelled, running):
        generation.create()
    attempt = running.granted()
    server.command("CONFIG", "SET", "maxmemory", 1)
    try:
        for refused in (
            fresh.create, queued.claim, lambda: running.append(attempt, 1, A), lambda: submit(server, fresh.id, None)
        ):  # fmt: skip
            with pytest.raises(StorageFull):
                refused()
        assert cancelled.cancel() == "cancelled"
        assert running.finish(attempt, 1, Ending("failed", code="storage_full")) == Finished("ended")
    finally:
        server.command("CONFIG", "SET", "maxmemory", 0)
    assert end_of(running)["code"] == "storage_full"
    assert isinstance(queued.claim(), Granted)


def test_scripts_run_on_a_server_that_has_forgotten_them(generation: Generation) -> None:
    generation.server.command("SCRIPT", "FLUSH")
    attempt = generation.granted()
    generation.server.command("SCRIPT", "FLUSH")
    assert generation.finish(attempt, 1) == Finished("ended")
