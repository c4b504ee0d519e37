"""What a tenant may ask for, held in the steps that accept: to the last one, whatever is repeated or breaks off."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import pytest

from broker import keys
from broker.errors import ExpiredGeneration, LimitReached
from broker.events import TEXT, Content
from broker.limits import DAY_MS, Limits, estimate
from broker.rate import Rate
from broker.record import Ending
from broker.replies import Allowance, Limited
from broker.request import GenerationRequest
from broker.store.accepting import Submissions
from broker.store.derived import Derivation
from broker.store.indexes import InBatches, Together, file_ended
from broker.store.limiting import Limiter, rate
from broker.store.queue import Job
from tests.broker.store.scripted import Generation, Server

ACME: Final = "acme"
ASKED: Final = {"model": "sim-1", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100}
REQUEST: Final = GenerationRequest.model_validate(ASKED)
BYTES: Final = len(REQUEST.to_bytes())
TOKENS: Final = estimate(BYTES, 100)
USAGE: Final = b'{"input_tokens":7,"output_tokens":5,"cache_read_input_tokens":1000,"cache_creation_input_tokens":3}'
SPENT: Final = 15
SLOW: Final = Rate(3_600_000_000, 3)
MANY: Final = 10**12
DONE: Final = Ending("completed", stop_reason="end_turn")
LIMITS: Final = {
    "rate_limited": Limits(rate=SLOW),
    "too_many_running": Limits(unfinished=3),
    "too_many_queued": Limits(queued=3),
    "token_budget_spent": Limits(tokens=3 * TOKENS),
    "storage_budget_spent": Limits(stored=3 * BYTES),
}
CHARGED: Final = Limits(tokens=MANY, stored=MANY)

Submit = Callable[..., str]


@pytest.fixture(params=["in one step", "with a key", "two servers"])
def submit(request: pytest.FixtureRequest, server: Server) -> Submit:
    """Submits, in each of the ways that there are."""
    way, number = request.param, iter(range(10_000))

    def submit(limits: Limits, owner: str = ACME, *, key: str | None = None, by: str = "k1", **fields: Any) -> str:
        derivation = Derivation(server.redis) if way == "two servers" else None
        submissions = Submissions(
            server.logs, server.coordination, 60_000, 3600, derivation, str, limits_of=lambda _: limits
        )
        if key is None and way == "with a key":
            key = f"key-{next(number)}"
        asked = GenerationRequest.model_validate({**ASKED, **fields})
        return server.do(submissions.accept(asked, key, owner, by)).id

    return submit


def take(server: Server) -> dict[str, str]:
    """Every job that waits: its name by the generation."""
    jobs = server.do(server.coordination.take(100, lock_ms=60_000, again_ms=60_000)).jobs
    return {Job.of(name).id: name for name in jobs}


def used(server: Server, owner: str = ACME) -> tuple[int, int]:
    """Tokens and bytes that are charged; as many as the ledger says of each."""
    use = server.do(Limiter(server.redis, lambda _: CHARGED).use(owner, ""))
    return use.tokens, use.stored


def run(server: Server, id_: str, usage: bytes = USAGE) -> tuple[Generation, int]:
    """A worker runs it up to its end; the attempt."""
    generation = Generation(server, id_)
    attempt = generation.granted()
    generation.append(attempt, 1, Content(TEXT, b"Hello"), usage=usage)
    return generation, attempt


def finish(server: Server, generation: Generation, attempt: int, job: str, how: str) -> None:
    """Ends it as a worker does, where one server plays both roles or two do; or as one that dies before it has filed that."""
    if how == "by a sweeper":
        generation.finish(attempt, 2)
        server.do(file_ended(server.logs, server.coordination, [generation.id]))
        return
    ends = (Together if how == "together" else InBatches)(server.logs, server.coordination)
    server.do(ends.finish(generation.id, attempt, 2, DONE, job))
    server.do(ends.close())


ENDS: Final = pytest.mark.parametrize("how", ["together", "in batches", "by a sweeper"])


def everything(server: Server) -> dict[bytes, bytes]:
    found = {key: server.command("DUMP", key) for key in server.command("KEYS", "*")}
    found.pop(b"respool:pepper", None)
    return found


# -- to the last one


@pytest.mark.parametrize("which", LIMITS)
def test_a_limit_is_reached_exactly_and_what_would_pass_it_leaves_nothing_behind(
    server: Server, submit: Submit, which: str
) -> None:
    for _ in range(3):
        submit(LIMITS[which])
    before = everything(server)
    with pytest.raises(LimitReached) as refused:
        submit(LIMITS[which])
    assert refused.value.which == which
    assert everything(server) == before
    submit(LIMITS[which], owner="other")
    submit(LIMITS[which], owner="")


@pytest.mark.parametrize("which", LIMITS)
def test_of_many_who_submit_at_once_as_many_are_accepted_as_may(server: Server, which: str) -> None:
    for _ in range(10):
        submissions = Submissions(
            server.logs, server.coordination, 60_000, 3600, None, str, limits_of=lambda _: LIMITS[which]
        )

        async def race(submissions: Submissions = submissions) -> list[object]:
            racing = (submissions.accept(REQUEST, None if at % 2 else f"key-{at}", ACME, "k1") for at in range(12))
            return await asyncio.gather(*racing, return_exceptions=True)

        outcomes = server.do(race())
        assert sum(not isinstance(each, BaseException) for each in outcomes) == 3
        assert {each.which for each in outcomes if isinstance(each, LimitReached)} == {which}
        server.command("FLUSHALL")


def test_a_key_that_was_refused_is_free_for_a_later_try(server: Server, submit: Submit) -> None:
    with pytest.raises(LimitReached):
        submit(Limits(tokens=1), key="key")
    assert submit(CHARGED, key="key", max_tokens=7)


@pytest.mark.parametrize("which", LIMITS)
def test_a_repeat_with_its_key_is_charged_nothing(server: Server, submit: Submit, which: str) -> None:
    made = [submit(LIMITS[which], key=f"key-{at}") for at in range(3)]
    before = used(server), everything(server).get(keys.rate(ACME, "k1").encode())
    assert [submit(LIMITS[which], key=f"key-{at}") for at in range(3)] == made
    assert (used(server), everything(server).get(keys.rate(ACME, "k1").encode())) == before


def test_a_repeat_of_what_has_expired_is_charged_nothing(server: Server, submit: Submit) -> None:
    id_ = submit(CHARGED, key="key")
    server.command("DEL", *Generation(server, id_).keys[:2])
    server.do(server.coordination.unlist([id_], ACME))
    with pytest.raises(ExpiredGeneration):
        submit(CHARGED, key="key")
    assert used(server) == (0, 0)


@pytest.mark.parametrize("key", [None, "key"])
@pytest.mark.parametrize("which", LIMITS)
def test_a_submit_whose_reply_was_lost_is_charged_once(server: Server, which: str, key: str | None) -> None:
    """The same call, made again: the last one that may be."""
    from broker.limits import Demand
    from broker.store import coordination_steps, log_steps, one_server

    limits, id_ = LIMITS[which], "gen_" + "0" * 26
    for _ in range(2):
        submissions = Submissions(server.logs, server.coordination, 60_000, 3600, None, str, limits_of=lambda _: limits)
        server.do(submissions.accept(REQUEST, None, ACME, "k1"))
    demand = Demand(limits, "k1", TOKENS, BYTES)
    create = log_steps.create(id_, REQUEST.to_bytes(), "sim-1", 3_600_000, "normal", "", ACME, charged=True)
    for _ in range(2):
        if key is None:
            once = server.do(one_server.accept(id_, create, 1, owner=ACME, demand=demand).run(server.redis))
        else:
            call = coordination_steps.submit(id_, key, "body", 1, owner=ACME, demand=demand)
            once = server.do(call.run(server.redis))  # type: ignore[assignment]
        assert not isinstance(once, Limited)
    assert used(server) == ((3 * TOKENS, 3 * BYTES) if limits.charged else (0, 0))


# -- what is given back


def test_what_a_worker_has_taken_waits_no_more(server: Server, submit: Submit) -> None:
    limits = Limits(queued=2)
    submit(limits), submit(limits)
    take(server)
    submit(limits)
    with pytest.raises(LimitReached, match="too_many_running"):
        submit(Limits(unfinished=3))


@ENDS
def test_an_end_is_charged_what_it_has_cost_and_keeps_once_however_often_that_is_filed(
    server: Server, submit: Submit, how: str
) -> None:
    id_ = submit(CHARGED)
    assert used(server) == (TOKENS, BYTES)
    job = take(server)[id_]
    generation, attempt = run(server, id_)
    finish(server, generation, attempt, job, how)
    tokens, stored = used(server)
    assert tokens == SPENT
    assert stored == sum(server.command("MEMORY", "USAGE", key, "SAMPLES", 0) for key in generation.keys[:2])
    for _ in range(2):
        server.do(file_ended(server.logs, server.coordination, [id_]))
    assert used(server) == (tokens, stored)


@ENDS
@pytest.mark.parametrize(("usage", "tokens"), [(b"", 0), (b"{}", 0), (b"null", TOKENS), (b'{"output_tokens":3}', 3)])
def test_where_nobody_knows_what_was_spent_what_was_reserved_stays(
    server: Server, submit: Submit, how: str, usage: bytes, tokens: int
) -> None:
    id_ = submit(CHARGED)
    job = take(server)[id_]
    generation, attempt = run(server, id_, usage)
    finish(server, generation, attempt, job, how)
    assert used(server)[0] == tokens


def test_what_never_ran_costs_no_tokens(server: Server, submit: Submit) -> None:
    id_ = submit(CHARGED)
    assert Generation(server, id_).cancel() == "cancelled"
    server.do(file_ended(server.logs, server.coordination, [id_]))
    tokens, stored = used(server)
    assert tokens == 0
    assert stored > 0, "it is kept for its retention"


def test_what_was_made_by_nobody_in_the_end_is_given_back(server: Server, submit: Submit) -> None:
    """Its API died between the submit and the record, or Redis has lost it."""
    id_ = submit(CHARGED)
    server.command("DEL", *Generation(server, id_).keys)
    for _ in range(2):
        server.do(server.coordination.unlist([id_], ACME))
    assert used(server) == (0, 0)
    assert server.command("HLEN", keys.charges(ACME)) == 0


def test_what_is_erased_while_it_runs_stays_spent(server: Server, submit: Submit) -> None:
    """Else whoever erases in time would pay for nothing."""
    id_ = submit(CHARGED)
    take(server)
    server.command("DEL", *Generation(server, id_).keys)
    server.do(server.coordination.unlist([id_], ACME))
    assert used(server) == (TOKENS, 0)


@ENDS
def test_what_has_expired_takes_no_room_and_stays_spent(server: Server, submit: Submit, how: str) -> None:
    id_ = submit(CHARGED)
    job = take(server)[id_]
    generation, attempt = run(server, id_)
    finish(server, generation, attempt, job, how)
    for _ in range(2):
        server.do(server.coordination.unlist([id_], ACME))
    assert used(server) == (SPENT, 0)
    assert server.command("HLEN", keys.charges(ACME)) == 0


def test_an_end_that_redis_took_back_is_charged_anew_and_not_twice(server: Server, submit: Submit) -> None:
    id_ = submit(CHARGED)
    take(server)
    generation, attempt = run(server, id_)
    before = generation.save()
    generation.finish(attempt, 2)
    server.do(file_ended(server.logs, server.coordination, [id_]))
    generation.roll_back(before)
    generation.append(attempt, 2, Content(TEXT, b" you"), usage=b'{"output_tokens":40}')
    generation.finish(attempt, 3)
    server.do(file_ended(server.logs, server.coordination, [id_]))
    assert used(server)[0] == 40


def test_what_coordination_has_lost_of_a_charge_is_put_back_at_the_end(server: Server, submit: Submit) -> None:
    id_ = submit(CHARGED)
    take(server)
    generation, attempt = run(server, id_)
    server.command("DEL", keys.used(ACME), keys.charges(ACME))
    generation.finish(attempt, 2)
    server.do(file_ended(server.logs, server.coordination, [id_]))
    assert used(server)[0] == SPENT


def test_a_full_redis_gives_back_what_is_gone_and_settles_what_ends(server: Server, submit: Submit) -> None:
    ended, gone = submit(CHARGED), submit(CHARGED)
    generation, attempt = run(server, ended)
    server.command("CONFIG", "SET", "maxmemory", 1)
    try:
        generation.finish(attempt, 2)
        server.do(file_ended(server.logs, server.coordination, [ended]))
        server.do(server.coordination.unlist([gone], ACME))
    finally:
        server.command("CONFIG", "SET", "maxmemory", 0)
    assert used(server)[0] == SPENT


# -- the day


def test_a_new_day_begins_with_all_its_tokens_and_yesterday_s_ends_cost_it_nothing(
    server: Server, submit: Submit
) -> None:
    limits = Limits(tokens=TOKENS)
    yesterday = submit(limits)
    with pytest.raises(LimitReached) as refused:
        submit(limits)
    now = server.now_ms()
    assert 0 <= (now // DAY_MS + 1) * DAY_MS - now - refused.value.wait_ms + 1000 <= 2000
    day = now // DAY_MS - 1
    server.command("HSET", keys.used(ACME), "day", day)
    server.command("HSET", keys.charges(ACME), yesterday, f"{day} {TOKENS} {BYTES} r")
    submit(limits)
    assert used(server) == (TOKENS, 2 * BYTES), "what is stored knows no day"
    Generation(server, yesterday).cancel()
    server.do(file_ended(server.logs, server.coordination, [yesterday]))
    assert used(server)[0] == TOKENS
    with pytest.raises(LimitReached):
        submit(limits)


@pytest.mark.parametrize(("ahead", "begins"), [(1, False), (2, True), (400, True)])
def test_a_clock_that_jumps_back_over_midnight_gives_no_second_day(
    server: Server, submit: Submit, ahead: int, begins: bool
) -> None:
    limits = Limits(tokens=TOKENS)
    submit(limits)
    server.command("HINCRBY", keys.used(ACME), "day", ahead)
    if begins:
        submit(limits)
    else:
        with pytest.raises(LimitReached):
            submit(limits)


# -- requests


def test_requests_are_counted_by_their_key(server: Server, submit: Submit) -> None:
    limits = Limits(rate=SLOW)
    for _ in range(3):
        submit(limits, by="k1")
    submit(limits, by="k2")
    submit(limits, by="")
    with pytest.raises(LimitReached) as refused:
        submit(limits, by="k1")
    assert 3_590_000 < refused.value.wait_ms <= 3_600_000
    assert server.command("PTTL", keys.rate(ACME, "k1")) <= 3 * 3_600_000


def test_requests_that_are_no_submits_share_the_pace_of_those_that_are(server: Server, submit: Submit) -> None:
    limiter = Limiter(server.redis, lambda _: Limits(rate=SLOW))
    submit(Limits(rate=SLOW))
    server.do(limiter.count(ACME, "k1"))
    use = server.do(limiter.use(ACME, "k1"))
    assert use.left == 1
    server.do(limiter.count(ACME, "k1"))
    with pytest.raises(LimitReached, match="rate_limited"):
        server.do(limiter.count(ACME, "k1"))
    with pytest.raises(LimitReached, match="rate_limited"):
        submit(Limits(rate=SLOW))


def test_a_pace_is_kept_as_its_arithmetic_says(server: Server) -> None:
    pace, key = Rate(10_000_000, 5), keys.rate(ACME, "k1")
    for ahead_us in (-1_000_000, 0, 5_000_000, 39_000_000, 40_500_000, 50_000_000, 10**15):
        before = server.now_ms() * 1000
        server.command("SET", key, before + ahead_us, "PX", 60_000)
        reply = server.do(rate(ACME, "k1", pace).run(server.redis))
        after = server.now_ms() * 1000 + 1000
        said = [pace.ask(before + ahead_us, now) for now in (before, after)]
        if isinstance(reply, Limited):
            assert said[1].wait_us <= reply.wait_ms * 1000 <= said[0].wait_us + 1000
        else:
            assert isinstance(reply, Allowance)
            assert said[0].left <= reply.left <= said[1].left
            assert said[1].full_us <= reply.full_ms * 1000 <= said[0].full_us + 1000
