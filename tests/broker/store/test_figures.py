"""What an end tells of its generation, and to whom: the figures are what users are billed and judged by."""

import time
from dataclasses import replace

import orjson
import pytest

from broker import keys
from broker.events import END, TEXT, Content, event
from broker.failures import FAILURES, FailureCode
from broker.ids import EntryId
from broker.record import Ending
from broker.replies import Granted
from broker.vocabulary import Metrics
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


def test_an_end_has_all_metrics_those_that_a_worker_measured_and_null_for_the_others(generation: Generation) -> None:
    measured = b'"tokens_per_second":9.5,"inter_token_ms_p50":0.0,"inter_token_ms_p95":null'
    metrics = ended(generation, A, ending=replace(DONE, measured=measured))["metrics"]
    assert isinstance(metrics, dict)
    assert list(metrics) == [name for name in Metrics.__annotations__ if name in Metrics.__required_keys__]
    assert [metrics[name] for name in list(metrics)[3:]] == [9.5, 0.0, None, None]
    queued_ms = int(generation.field("started_ms") or 0) - int(generation.field("created_ms") or 0)
    assert metrics["queue_ms"] == queued_ms <= metrics["ttft_ms"] <= metrics["total_ms"]


def test_an_end_that_no_worker_makes_knows_no_pace_and_before_a_claim_no_queue(generation: Generation) -> None:
    generation.cancel()
    metrics = end_of(generation)["metrics"]
    assert isinstance(metrics, dict)
    total = metrics.pop("total_ms")
    assert (total >= _AGO_MS, metrics) == (
        True,
        dict.fromkeys(Metrics.__required_keys__ - {"total_ms"}),
    )


@pytest.mark.parametrize(
    ("usage", "hit"),
    [
        (b'{"input_tokens":1,"cache_read_input_tokens":0}', False),
        (b'{"cache_read_input_tokens":20,"input_tokens":1}', True),
        (b'{"cache_read_input_tokens":null}', None),
        (b'{"input_tokens":1}', None),
    ],
)
def test_whether_the_cache_was_hit_is_what_the_usage_says(
    generation: Generation, usage: bytes, hit: bool | None
) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, A, usage=usage)
    generation.finish(attempt, 2)
    metrics = end_of(generation)["metrics"]
    assert isinstance(metrics, dict)
    assert metrics["cache_hit"] is hit


SAID, COST = b'{"input_tokens":3,"output_tokens":2}', b'{"amount":"0.5","currency":"USD"}'


def test_the_end_tells_the_cost_beside_the_usage_and_nothing_wasted_where_nothing_was(generation: Generation) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, A, usage=SAID + b"\n" + COST)
    generation.finish(attempt, 2)
    end = end_of(generation)
    assert (end["usage"], end["cost"]) == (orjson.loads(SAID), orjson.loads(COST))


def test_what_an_attempt_discards_was_wasted_and_what_is_gone_on_with_was_not(generation: Generation) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, A, usage=SAID + b"\n" + COST)
    generation.expire_lease()
    generation.granted(discards=True)
    generation.expire_lease()
    attempt = generation.granted()
    more = b'{"input_tokens":6,"output_tokens":5}'
    generation.append(attempt, 1, A, usage=more + b"\n" + COST)
    generation.finish(attempt, 2)
    wasted = {**orjson.loads(SAID), "cost": orjson.loads(COST)}
    assert end_of(generation)["usage"] == {**orjson.loads(more), "wasted": wasted}


@pytest.mark.parametrize("by", ["finish", "claim"])
def test_of_what_has_failed_all_was_wasted(generation: Generation, by: str) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, A, usage=SAID)
    if by == "finish":
        generation.finish(attempt, 2, Ending.failed("upstream_error", "no"))
    else:
        generation.expire_lease()
        generation.claim(run=False)
    end = end_of(generation)
    assert end["usage"] == {**orjson.loads(SAID), "wasted": orjson.loads(SAID)}
    assert end["cost"] is None


def test_a_cost_that_is_known_no_more_is_told_no_more(generation: Generation) -> None:
    attempt = generation.granted()
    generation.append(attempt, 1, A, usage=SAID + b"\n" + COST)
    generation.append(attempt, 2, B, usage=SAID)
    generation.finish(attempt, 3)
    assert end_of(generation)["cost"] is None


@pytest.mark.parametrize("retry_after", [None, 0.0, 1.5, 30.0, 31_536_000.0])
def test_an_error_tells_the_status_that_fits_and_the_pause_that_was_asked_for(
    generation: Generation, retry_after: float | None
) -> None:
    end = ended(generation, ending=Ending.failed("upstream_rate_limited", "wait", retry_after=retry_after))
    assert (end["status"], end["retry_after_seconds"]) == (429, retry_after)


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
def test_an_end_for_want_of_attempts_may_be_tried_again(generation: Generation, why: FailureCode) -> None:
    generation.granted()
    generation.expire_lease()
    with Heard(generation.server, keys.live(generation.id)) as heard:
        generation.claim(run=why != "interrupted", most=1 if why == "attempts_exhausted" else 3)
        assert heard.appends()[0].entries == generation.log[-1:]
    end = end_of(generation)
    assert (end["code"], end["retryable"]) == (why, True)
    assert (end["status"], end["retry_after_seconds"]) == (FAILURES[why].status, None)


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
