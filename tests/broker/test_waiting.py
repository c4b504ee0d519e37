"""Who is taken next, by simulation: tenants have their shares, nobody starves, and what is told of a place is so."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.waiting import Ends, Line, Share, Shares, Standing, Wait
from tests.broker.lines import Lines

TENANTS = ("", "acme", "beta", "corp")
WEIGHTS = st.sampled_from([0.5, 1.0, 2.0, 4.0])
SHARES = st.fixed_dictionaries(dict.fromkeys(TENANTS, WEIGHTS))
BOUNDED = st.fixed_dictionaries(
    {tenant: st.builds(Share, WEIGHTS, st.none() | st.integers(1, 4)) for tenant in TENANTS}
)
DELAY = 60


def by(shares: dict[str, Share]) -> Shares:
    return lambda tenant: shares.get(tenant, Share())


def weighted(weights: dict[str, float]) -> Shares:
    return by({tenant: Share(weight) for tenant, weight in weights.items()})


@st.composite
def busy(draw: st.DrawFn) -> Lines:
    """Lines some of whose jobs have been taken, and of these some have ended."""
    lines = Lines(by(draw(BOUNDED)))
    for at, (tenant, do) in enumerate(
        draw(st.lists(st.tuples(st.sampled_from(TENANTS), st.sampled_from("aaabte")), max_size=40))
    ):
        lines.now = at
        if do in "ab":
            lines.add(tenant, f"{tenant}:{at}", at + (DELAY if do == "b" else 0))
        elif do == "t":
            lines.take(2)
        elif lines.running.get(tenant):
            lines.end(tenant)
    lines.now += draw(st.sampled_from([0, DELAY // 2, DELAY]))
    return lines


@given(SHARES, st.lists(st.integers(0, 60), min_size=len(TENANTS), max_size=len(TENANTS)), st.integers(1, 7))
def test_those_who_always_have_jobs_get_turns_by_their_weights(
    weights: dict[str, float], before: list[int], at_a_time: int
) -> None:
    """What was taken while others had none earns nobody anything, and costs nobody."""
    lines = Lines(weighted(weights))
    for tenant, some in zip(TENANTS, before, strict=True):
        for n in range(some):
            lines.add(tenant, f"{tenant}-{n}")
        lines.take(some)
    for tenant in TENANTS:
        for n in range(400):
            lines.add(tenant, f"{tenant}:{n}")
    had = dict.fromkeys(TENANTS, 0)
    for _ in range(60 // at_a_time):
        for tenant, _ in lines.take(at_a_time):
            had[tenant] += 1
        for one in TENANTS:
            for other in TENANTS:
                lag = had[one] / weights[one] - had[other] / weights[other]
                assert lag <= 1 / weights[one] + 1 / weights[other]


@given(SHARES, st.integers(1, 300), st.integers(0, 30))
def test_a_tenants_one_job_does_not_wait_for_anothers_thousand(
    weights: dict[str, float], others: int, taken: int
) -> None:
    """Whatever others have, each of them has one turn at most before who comes anew, or so many as it has begun to have."""
    lines = Lines(weighted(weights))
    for tenant in TENANTS[1:]:
        for n in range(others):
            lines.add(tenant, f"{tenant}:{n}")
    lines.take(taken)
    lines.add("", "mine")
    order = [name for _, name in lines.take(3 * others + 1)]
    assert order.index("mine") < len(TENANTS)


@given(busy())
def test_nobody_gets_more_slots_than_it_may_and_none_stays_idle_that_somebody_may_have(lines: Lines) -> None:
    waiting = sum(map(len, lines.waiting.values()))
    taken = lines.take(1000)
    assert len(taken) + sum(map(len, lines.waiting.values())) == waiting
    for tenant, jobs in lines.waiting.items():
        most = lines.shares(tenant).most
        assert most is None or lines.running.get(tenant, 0) <= most
        if jobs:
            assert lines.running[tenant] == most
            assert tenant in lines.bound


@given(busy())
def test_who_was_held_back_goes_on_when_one_of_its_own_ends(lines: Lines) -> None:
    lines.take(1000)
    for tenant in [tenant for tenant, jobs in lines.waiting.items() if jobs]:
        lines.end(tenant)
        assert [who for who, _ in lines.take(1000)] == [tenant]


@given(busy())
def test_the_background_goes_when_nothing_else_can(lines: Lines) -> None:
    places = {name: place for jobs in lines.waiting.values() for place, name in jobs}
    order = [name for _, name in lines.take(1000)]
    late = [places[name] > lines.now for name in order]
    assert late == sorted(late)


@given(SHARES, st.integers(1, 3), st.lists(st.lists(st.sampled_from(TENANTS), max_size=5), min_size=90, max_size=90))
def test_the_background_waits_no_longer_than_if_it_had_come_when_its_delay_was_over(
    weights: dict[str, float], slots: int, arrivals: list[list[str]]
) -> None:
    """However many interactive ones come meanwhile, and then."""

    def taken_at(comes: int) -> float:
        lines = Lines(weighted(weights))
        for now, tenants in enumerate(arrivals):
            lines.now = now
            if now == comes:
                lines.add("acme", "late", DELAY)
            for n, tenant in enumerate(tenants):
                lines.add(tenant, f"{tenant}:{now}:{n}")
            if "late" in [name for _, name in lines.take(slots)]:
                return now
        return math.inf

    assert taken_at(0) <= taken_at(DELAY)


@given(busy())
def test_a_place_that_is_told_is_how_many_go_before(lines: Lines) -> None:
    standing, shares = lines.standing(), lines.shares
    told = {
        name: standing.wait_of(tenant, rank, shares).position
        for tenant, jobs in lines.waiting.items()
        for rank, (_, name) in enumerate(jobs)
    }
    assert standing.depth == len(told)
    for position, (_, name) in enumerate(lines.take(1000)):
        assert told[name] == position


def test_who_comes_now_is_told_a_place_behind_those_whose_turn_it_is() -> None:
    lines = Lines()
    for n in range(9):
        lines.add("acme", f"a{n}")
        lines.add("beta", f"b{n}")
    lines.take(5)
    assert lines.standing().wait_of("corp", 0).position == 1
    lines.add("corp", "c0")
    assert lines.standing().wait_of("corp", 0).position == [name for _, name in lines.take(99)].index("c0") == 1


# -- for how long

STANDING = Standing(
    now_ms=100_000,
    lines={"": Line(7.0, 5, 5, 4, 88_000)},
    level=6.0,
    slots=4,
    in_use=4,
    ends=(Ends(40_000, 10, 20_000), Ends(100_000, 5, 20_000)),
)


def test_a_wait_is_told_by_how_often_a_slot_gets_free() -> None:
    assert STANDING.held_ms == pytest.approx(3000)
    assert STANDING.drain_rate == pytest.approx(4 / 3)
    assert STANDING.wait_of("", 0) == Wait(0, 750)
    assert STANDING.wait_of("", 4) == Wait(4, 3750)
    assert (STANDING.depth, STANDING.oldest_ms) == (5, 12_000)


def test_what_a_free_slot_will_take_waits_for_nothing_and_what_nobody_knows_is_not_told() -> None:
    begun = Standing(0, STANDING.lines, slots=6, in_use=4)
    assert [begun.wait_of("", rank) for rank in range(3)] == [Wait(0, 0), Wait(1, 0), Wait(2, None)]
    assert Standing(0, STANDING.lines, ends=STANDING.ends).wait_of("", 0) == Wait(0, None)
    assert (begun.drain_rate, Standing(0).oldest_ms) == (None, 0)


def test_who_is_at_its_bound_waits_for_ends_of_its_own() -> None:
    one = by({"": Share(most=1)})
    free = Standing(0, {"": Line(0.0, 3, 3, 1, 0)}, slots=100, in_use=1, ends=(Ends(0, 1, 3000),))
    assert [free.wait_of("", rank, one).estimated_ms for rank in range(3)] == [3000, 6000, 9000]
    assert free.wait_of("", 0) == Wait(0, 0)
    assert free.wait_of("other", 0, one) == Wait(0, 0)


@pytest.mark.parametrize(
    ("standing", "seconds"),
    [
        (Standing(0), 30),
        (STANDING, 8),
        (Standing(0, {"": Line(0, 10_000, 10_000, 1, 0)}, slots=1, ends=(Ends(0, 1, 60_000),)), 600),
        (Standing(0, {}, slots=1000, ends=(Ends(0, 1, 10),)), 1),
    ],
)
def test_who_is_refused_comes_again_when_some_have_been_taken(standing: Standing, seconds: int) -> None:
    assert standing.retry_after(100) == seconds
