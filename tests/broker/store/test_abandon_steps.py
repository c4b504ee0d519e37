"""The steps by which a generation that nobody watches ends, on a real server: time passes when the test says so."""

from collections.abc import Callable

import orjson
import pytest

from broker import keys
from broker.errors import AlreadyEnded
from broker.record import Ending
from broker.replies import Watched
from broker.store import log_steps
from tests.broker.store.scripted import Generation, Server

GRACE_MS = 30_000
PAUSE_MS = 5000
CANCELLED = Ending("cancelled")


class Abandonable(Generation):
    """Is cancelled behind `GRACE_MS` without a viewer."""

    def __init__(self, server: Server, abandon_ms: int | None = GRACE_MS) -> None:
        super().__init__(server)
        server.do(server.logs.create(self.id, b"{}", "sim-1", 3_600_000, abandon_ms=abandon_ms))
        self.before = Watched(0, 0)

    def watch(self) -> bool:
        return self.server.do(log_steps.watch(self.id).run(self.server.redis))

    def ask(self, attempt: int, *, unwatched: bool = False) -> bool:
        """Whether it is abandoned, as its worker asks."""
        call = log_steps.abandon(
            self.id, attempt, GRACE_MS, unwatched=unwatched, before=self.before, longest_pause_ms=PAUSE_MS
        )
        self.before = self.server.do(call.run(self.server.redis))
        return self.before.abandoned

    def pass_time(self, ms: int, *, asked: bool = True) -> None:
        """As if so much time had passed, in which it was asked all the while, or not."""
        if (watched := self.field("watched_ms")) is not None:
            self.server.command("HSET", self.keys[0], "watched_ms", int(watched) - ms)
        self.before = self.before._replace(since_ms=self.before.since_ms - ms)
        if not asked:
            self.before = self.before._replace(asked_ms=self.before.asked_ms - ms)

    @property
    def end(self) -> dict[str, object]:
        found: dict[str, object] = orjson.loads(self.log[-1].value)
        return found


@pytest.fixture
def generation(server: Server) -> Abandonable:
    return Abandonable(server)


def test_what_nobody_has_watched_for_longer_than_the_grace_is_cancelled_for_that(generation: Abandonable) -> None:
    attempt = generation.granted()
    assert generation.watch()
    assert not generation.ask(attempt)
    generation.pass_time(GRACE_MS - 1000)
    assert not generation.ask(attempt)
    generation.pass_time(2000)
    assert generation.ask(attempt)
    assert generation.finish(attempt, 1, CANCELLED).why == "ended"
    assert (generation.end["status"], generation.end["stop_reason"], generation.end["reason"]) == (
        "cancelled", None, "abandoned",
    )  # fmt: skip
    assert not generation.watch(), "it has ended"


def test_one_note_of_a_viewer_gives_the_whole_grace_again(generation: Abandonable) -> None:
    attempt = generation.granted()
    generation.watch()
    generation.ask(attempt)
    generation.pass_time(GRACE_MS - 1)
    generation.watch()
    generation.pass_time(GRACE_MS - 1000)
    assert not generation.ask(attempt)
    generation.pass_time(2000)
    assert generation.ask(attempt)


def test_what_nobody_has_watched_yet_counts_only_if_that_was_asked_for(server: Server) -> None:
    for unwatched in (False, True):
        generation = Abandonable(server)
        attempt = generation.granted()
        assert not generation.ask(attempt, unwatched=unwatched)
        generation.pass_time(GRACE_MS + 1000)
        assert generation.ask(attempt, unwatched=unwatched) is unwatched


def test_behind_a_pause_in_which_nobody_asked_the_grace_begins_anew(generation: Abandonable) -> None:
    attempt = generation.granted()
    generation.watch()
    generation.ask(attempt)
    generation.pass_time(GRACE_MS + 1000, asked=False)
    assert not generation.ask(attempt), "nobody could be noted either"
    generation.pass_time(GRACE_MS - 1000)
    assert not generation.ask(attempt)
    generation.pass_time(2000)
    assert generation.ask(attempt)


def test_a_question_that_was_answered_late_and_unheard_cancels_nothing(generation: Abandonable) -> None:
    attempt = generation.granted()
    generation.watch()
    generation.ask(attempt)
    generation.pass_time(GRACE_MS + 1000, asked=False)
    before = generation.before
    assert not generation.ask(attempt)
    generation.before = before  # its answer was lost
    assert not generation.ask(attempt)
    assert generation.field("cancel") is None


@pytest.mark.parametrize("jump", [-3_600_000, 3_600_000])
def test_a_clock_that_jumps_cancels_nothing_and_keeps_nothing_alive(generation: Abandonable, jump: int) -> None:
    attempt = generation.granted()
    generation.watch()
    generation.ask(attempt)
    generation.pass_time(jump, asked=False)
    assert not generation.ask(attempt)
    generation.pass_time(GRACE_MS + 1000)
    assert generation.ask(attempt)


def _ended(generation: Abandonable, attempt: int) -> None:
    generation.finish(attempt, 1)


def _superseded(generation: Abandonable, attempt: int) -> None:
    generation.expire_lease()
    generation.granted()


def _given_back(generation: Abandonable, attempt: int) -> None:
    generation.release(attempt)


def _cancelled(generation: Abandonable, attempt: int) -> None:
    generation.cancel()


@pytest.mark.parametrize("what", [_ended, _superseded, _given_back, _cancelled])
def test_only_the_attempt_that_runs_is_cancelled_and_once(
    generation: Abandonable, what: Callable[[Abandonable, int], None]
) -> None:
    attempt = generation.granted()
    generation.watch()
    generation.ask(attempt)
    what(generation, attempt)
    before = generation.fields
    generation.pass_time(GRACE_MS + 1000)
    assert not generation.ask(attempt)
    generation.pass_time(-GRACE_MS - 1000)
    assert generation.fields == before


def test_an_abandonment_whose_worker_dies_is_still_the_reason(generation: Abandonable) -> None:
    attempt = generation.granted()
    generation.ask(attempt, unwatched=True)
    generation.pass_time(GRACE_MS + 1000)
    assert generation.ask(attempt, unwatched=True)
    generation.expire_lease()
    generation.claim()
    assert generation.end["reason"] == "abandoned"


def test_a_cancel_that_redis_has_lost_has_the_reason_that_its_worker_knows(generation: Abandonable) -> None:
    attempt = generation.granted()
    generation.finish(attempt, 1, Ending("cancelled", reason="abandoned"))
    assert generation.end["reason"] == "abandoned"


def test_a_cancel_by_somebody_says_so_whoever_ends_it(server: Server) -> None:
    def by_the_worker(generation: Generation) -> None:
        attempt = generation.granted()
        generation.cancel()
        generation.finish(attempt, 1, CANCELLED)

    def by_a_claim(generation: Generation) -> None:
        generation.granted()
        generation.cancel()
        generation.expire_lease()
        generation.claim()

    def at_once(generation: Generation) -> None:
        generation.cancel()

    for how in (by_the_worker, by_a_claim, at_once):
        generation = Abandonable(server, None)
        how(generation)
        assert (generation.end["status"], generation.end["reason"]) == ("cancelled", "requested")


def test_the_first_reason_stays(generation: Abandonable) -> None:
    attempt = generation.granted()
    generation.ask(attempt, unwatched=True)
    generation.pass_time(GRACE_MS + 1000)
    assert generation.ask(attempt, unwatched=True)
    assert generation.cancel() == "cancelling"
    generation.finish(attempt, 1, CANCELLED)
    assert generation.end["reason"] == "abandoned"


def test_no_viewer_is_noted_of_what_does_not_end_without_one(server: Server, generation: Abandonable) -> None:
    finished = Abandonable(server, None)
    assert not finished.watch()
    assert finished.field("watched_ms") is None
    missing = Generation(server)
    assert not server.do(log_steps.watch(missing.id).run(server.redis))
    assert not server.command("EXISTS", keys.record(missing.id))
    attempt = generation.granted()
    generation.finish(attempt, 1)
    with pytest.raises(AlreadyEnded):
        generation.cancel()
    assert not generation.watch()


def test_many_are_noted_in_one_trip_and_a_visit_says_which_need_it(server: Server) -> None:
    several = [Abandonable(server), Abandonable(server, None), Abandonable(server)]
    server.do(server.logs.watched([each.id for each in several]))
    assert [each.field("watched_ms") is not None for each in several] == [True, False, True]
    assert [server.do(server.logs.visit(each.id, None)).abandonable for each in several] == [True, False, True]
