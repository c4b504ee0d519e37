"""How long each key lives, on a real server: what is forgotten too early is lost, and what is kept too long fills it."""

import pytest

from broker import keys
from broker.ids import new_generation_id
from broker.record import Ending
from broker.replies import Finished, Refused
from tests.broker.store.scripted import Generation, Server

_SLACK_MS = 30_000
RETENTION_MS = 200_000
SHORTEST_MS = 100_000
HOUR_US = 3600 * 1_000_000
"""Any life is longer: so that one is not taken for another."""


def lives(left_ms: int, whole_ms: int) -> bool:
    """Whether a key that was just written lives for so long."""
    return whole_ms - _SLACK_MS < left_ms <= whole_ms


@pytest.fixture
def generation(server: Server) -> Generation:
    made = Generation(server)
    made.create(RETENTION_MS)
    return made


def shorten(generation: Generation, *, but: str = "") -> None:
    """As if it had waited for long: its keys are about to expire."""
    for key in generation.keys:
        if key != but:
            generation.server.command("PEXPIRE", key, SHORTEST_MS // 2)


def test_what_is_queued_is_remembered_a_day_longer_than_it_may_wait(generation: Generation) -> None:
    record, _, tombstone = map(generation.ttl, generation.keys)
    assert lives(record, keys.WAITING_MS)
    assert lives(tombstone, keys.WAITING_MS + keys.REMEMBERED_MS)


def test_a_claim_begins_the_waiting_time_anew_however_long_it_has_waited(generation: Generation) -> None:
    generation.granted()
    generation.expire_lease()
    shorten(generation)
    generation.granted()
    record, log, tombstone = map(generation.ttl, generation.keys)
    assert lives(record, keys.WAITING_MS)
    assert lives(log, keys.WAITING_MS)
    assert lives(tombstone, keys.WAITING_MS + keys.REMEMBERED_MS)


@pytest.mark.parametrize(("waited_ms", "anew"), [(120_000, True), (-120_000, True), (0, False)])
def test_a_first_claim_begins_the_waiting_time_anew_unless_that_has_just_begun(
    generation: Generation, waited_ms: int, anew: bool
) -> None:
    shorten(generation)
    generation.server.command("HINCRBY", generation.keys[0], "created_ms", -waited_ms)
    generation.granted()
    record, log, tombstone = map(generation.ttl, generation.keys)
    assert lives(record, keys.WAITING_MS) is anew
    assert lives(tombstone, keys.WAITING_MS + keys.REMEMBERED_MS) is anew
    assert lives(log, keys.WAITING_MS)


def test_a_cancel_is_not_forgotten_before_the_generation_is(generation: Generation) -> None:
    generation.granted()
    assert generation.cancel() == "cancelling"
    assert lives(generation.ttl(generation.keys[0]), keys.WAITING_MS)
    generation.expire_lease()
    assert generation.claim() == Refused("sealed")


@pytest.mark.parametrize(
    "ending",
    [Ending("completed", stop_reason="end_turn"), Ending("failed", code="upstream_error"), Ending("cancelled")],
)
def test_however_it_ended_it_is_kept_for_the_retention_and_remembered_a_day_longer(
    generation: Generation, ending: Ending
) -> None:
    attempt = generation.granted()
    generation.cancel()
    shorten(generation, but=generation.keys[0])
    assert generation.finish(attempt, 1, ending) == Finished("ended")
    record, log, tombstone = map(generation.ttl, generation.keys)
    assert lives(record, RETENTION_MS)
    assert lives(log, RETENTION_MS)
    assert lives(tombstone, RETENTION_MS + keys.REMEMBERED_MS)


@pytest.mark.parametrize("by", ["a cancel before its start", "a claim that finds it cancelled", "a claim too many"])
def test_what_no_worker_ended_is_kept_as_long(generation: Generation, by: str) -> None:
    if by == "a claim that finds it cancelled":
        generation.granted()
        generation.cancel()
        generation.expire_lease()
    shorten(generation)
    if by == "a cancel before its start":
        generation.cancel()
    else:
        generation.claim(most=3 if "cancelled" in by else 0)
    record, log, tombstone = map(generation.ttl, generation.keys)
    assert lives(record, RETENTION_MS)
    assert lives(log, RETENTION_MS)
    assert lives(tombstone, RETENTION_MS + keys.REMEMBERED_MS)


def test_an_idempotency_key_is_known_for_a_day(server: Server) -> None:
    id_ = new_generation_id()
    server.do(server.coordination.submit(id_, "key", "fingerprint", 3000))
    (key,) = server.command("KEYS", keys.idempotency("*"))
    assert lives(server.command("PTTL", key), keys.IDEMPOTENCY_MS)


def test_the_lists_outlive_what_they_list_whoever_wrote_them_last(server: Server) -> None:
    lists = (keys.DUE, keys.index("all"), keys.index("queued"))
    first, second = new_generation_id(), new_generation_id()
    server.do(server.coordination.submit(first, None, "fingerprint", 0))
    assert all(lives(server.command("PTTL", key), keys.INDEX_MS) for key in lists)
    for key in lists:
        server.command("PEXPIRE", key, SHORTEST_MS)
    # The list of all is kept alive by the first submit of an hour.
    server.command("ZINCRBY", keys.index("all"), -HOUR_US, first)
    server.do(server.coordination.submit(second, None, "fingerprint", 0))
    assert all(lives(server.command("PTTL", key), keys.INDEX_MS) for key in lists)


def test_the_list_of_all_lives_on_where_the_clock_has_jumped_back(server: Server) -> None:
    server.do(server.coordination.submit(first := new_generation_id(), None, "fingerprint", 0))
    server.command("ZINCRBY", keys.index("all"), 60_000_000, first)
    server.command("PEXPIRE", keys.index("all"), SHORTEST_MS)
    server.do(server.coordination.submit(new_generation_id(), None, "fingerprint", 0))
    assert lives(server.command("PTTL", keys.index("all")), keys.INDEX_MS)


def test_a_sweep_that_finds_something_keeps_due_alive(server: Server) -> None:
    server.do(server.coordination.submit(new_generation_id(), None, "fingerprint", 0))
    server.command("PEXPIRE", keys.DUE, SHORTEST_MS)
    assert server.do(server.coordination.overdue(10, 60_000))[0] == 1
    assert lives(server.command("PTTL", keys.DUE), keys.INDEX_MS)


def test_what_a_sweeper_was_given_is_due_again_when_it_said(server: Server) -> None:
    id_ = new_generation_id()
    server.do(server.coordination.submit(id_, None, "fingerprint", 0))
    server.do(server.coordination.overdue(10, 60_000))
    assert int(server.command("ZSCORE", keys.DUE, id_)) - server.now_ms() in range(50_000, 60_001)
