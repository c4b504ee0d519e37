"""What an end tells of its generation, and to whom: the figures are what users are billed and judged by."""

import time

import orjson
import pytest

from broker import keys
from broker.events import END, TEXT, Content, event
from broker.ids import EntryId
from broker.record import Ending
from broker.replies import Granted
from tests.broker.store.scripted import DONE, Generation, Heard, Server

A, B = Content(TEXT, b"a"), Content(TEXT, b"b")
_AGO_MS = 50_000


@pytest.fixture
def generation(server: Server) -> Generation:
    """One that was submitted 50 s ago."""
    made = Generation(server)
    made.create()
    server.command("HINCRBY", made.keys[0], "created_ms", -_AGO_MS)
    return made


def end_of(generation: Generation) -> dict[str, object]:
    assert generation.log[-1].kind == END
    end: dict[str, object] = orjson.loads(generation.log[-1].value)
    return end


def ended(generation: Generation, *contents: Content, ending: Ending = DONE) -> dict[str, object]:
    attempt = generation.granted()
    if contents:
        generation.append(attempt, 1, *contents)
    generation.finish(attempt, 1 + len(contents), ending)
    return end_of(generation)


def test_times_are_counted_from_the_submit(generation: Generation) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, A)
    time.sleep(0.01)  # so that the two differ
    generation.finish(attempt, 2)
    end = end_of(generation)
    assert _AGO_MS <= int(str(end["ttft_ms"])) < int(str(end["total_ms"])) < _AGO_MS + 30_000


def test_without_a_chunk_there_is_no_time_of_the_first_and_no_partial(generation: Generation) -> None:
    end = ended(generation, event("block_start", index=0), ending=Ending("failed", code="upstream_error"))
    assert (end["ttft_ms"], end["chunks"], end["partial"], end["usage"]) == (None, 0, False, None)


def test_what_is_no_chunk_is_not_the_first_one_however_much_came_before_it(generation: Generation) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, event("block_start", index=0), event("block_stop", index=0))
    generation.append(attempt, 3, event("usage", n=1))
    assert generation.field("first_ms") is None
    generation.append(attempt, 4, event("usage", n=2), A)
    assert generation.field("first_ms")


def test_one_chunk_is_a_partial(generation: Generation) -> None:
    end = ended(generation, A, ending=Ending("failed", code="upstream_error"))
    assert (end["chunks"], end["partial"]) == (1, True)


def test_nothing_but_the_claim_is_no_chunk(generation: Generation) -> None:
    assert ended(generation)["chunks"] == 0


def test_a_cancel_before_the_start_tells_of_none(generation: Generation) -> None:
    generation.cancel()
    end = end_of(generation)
    assert (end["chunks"], end["stop_reason"]) == (0, None)


def test_only_a_strict_generation_says_that_its_end_is(server: Server, generation: Generation) -> None:
    assert "durability" not in ended(generation)
    strict = Generation(server)
    server.do(server.logs.create(strict.id, b"{}", "sim-1", 3_600_000, "strict"))
    assert ended(strict)["durability"] == "strict"


@pytest.mark.parametrize("by", ["finish", "cancel"])
def test_an_end_is_published_behind_the_entry_before_it(generation: Generation, by: str) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, A, B)
    with Heard(generation.server, keys.live(generation.id)) as heard:
        if by == "finish":
            generation.finish(attempt, 3)
        else:
            generation.expire_lease()
            generation.cancel()
        (published,) = heard.appends()
    assert published.prev == EntryId(attempt, 2)
    assert published.entries == generation.log[-1:]


@pytest.mark.parametrize("why", ["interrupted", "attempts_exhausted"])
def test_an_end_for_want_of_attempts_may_be_tried_again(generation: Generation, why: str) -> None:
    generation.granted()
    generation.expire_lease()
    with Heard(generation.server, keys.live(generation.id)) as heard:
        generation.claim(run=why != "interrupted", most=1 if why == "attempts_exhausted" else 3)
        assert heard.appends()[0].entries == generation.log[-1:]
    end = end_of(generation)
    assert (end["code"], end["retryable"]) == (why, True)


def test_a_claim_tells_when_the_first_attempt_began_and_how_often_it_was_tried(generation: Generation) -> None:
    first = generation.granted()
    started = int(generation.field("started_ms") or 0)
    assert abs(started - generation.server.now_ms()) < 30_000
    assert generation.server.do(generation.server.logs.release(generation.id, first, counts=False))
    while generation.server.now_ms() <= started:
        pass
    again = generation.claim(claimant="me")
    assert isinstance(again, Granted)
    assert again.ordinal == 2
    assert (generation.field("started_ms"), generation.field("spent")) == (str(started), "1")
    assert generation.claim(claimant="me") == again, "its reply was lost: the same once more"
    assert generation.field("spent") == "1"


def test_who_may_not_claim_is_told_how_long_the_lease_lasts(generation: Generation) -> None:
    generation.granted()
    refused = generation.claim()
    assert 30_000 < getattr(refused, "held_ms", 0) <= 60_000


def test_an_end_told_twice_names_the_state_it_has(generation: Generation) -> None:
    attempt = generation.granted()
    generation.finish(attempt, 1, Ending("failed", code="upstream_error"))
    reply = generation.server.do(generation.server.logs.finish(generation.id, attempt, 1, DONE))
    assert reply.why == "ended"
    assert generation.field("state") == "failed"
