"""How often something may be done, whoever asks when: what a simple count over the times that were allowed says of it."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.rate import MINUTE_MS, Rate

RATES = st.builds(Rate, st.integers(1, 1000), st.integers(1, 20))
PAUSES = st.lists(st.integers(0, 3000), max_size=60)
GAPS = st.lists(st.floats(0, 20_000), min_size=1, max_size=300)


@given(RATES, PAUSES)
def test_in_no_time_are_more_allowed_than_a_burst_and_what_has_come_due_since(rate: Rate, pauses: list[int]) -> None:
    now, tat, allowed = 10**15, 0, []
    for pause in pauses:
        now += pause
        verdict = rate.ask(tat, now)
        tat = verdict.tat_us
        if verdict.allowed:
            allowed.append(now)
    for first, begun in enumerate(allowed):
        for last in range(first, len(allowed)):
            assert last - first + 1 <= rate.burst + (allowed[last] - begun) // rate.interval


@given(RATES, PAUSES, st.integers(0, 3000))
def test_what_is_said_to_be_left_is_allowed_at_once_and_no_more(rate: Rate, pauses: list[int], pause: int) -> None:
    now, tat = 10**15, 0
    for each in pauses:
        now += each
        tat = rate.ask(tat, now).tat_us
    left = rate.at(tat, now + pause).left
    for _ in range(left):
        verdict = rate.ask(tat, now + pause)
        assert verdict.allowed
        tat = verdict.tat_us
    refused = rate.ask(tat, now + pause)
    assert not refused.allowed
    assert refused.tat_us == tat, "what is refused moves nothing"
    assert not rate.ask(tat, now + pause + refused.wait_us - 1).allowed
    assert rate.ask(tat, now + pause + refused.wait_us).allowed


@given(RATES, st.integers(0, 10**15), st.integers(0, 10**16))
def test_wherever_a_clock_jumps_a_request_waits_no_longer_than_one_interval(rate: Rate, now: int, tat: int) -> None:
    verdict = rate.at(tat, now)
    assert 0 <= verdict.wait_us <= rate.interval
    assert 0 <= verdict.left <= rate.burst
    assert verdict.full_us <= rate.window


@given(st.floats(0.01, 10_000_000), st.integers(1, 1000))
def test_a_pace_is_never_quicker_than_was_said(a_minute: float, burst: int) -> None:
    interval = Rate.of_requests(a_minute, burst).interval
    assert 60_000_000 / interval <= a_minute or interval == 1


@given(RATES, st.integers(1, 7))
def test_parts_of_a_pace_are_no_quicker_than_the_whole(rate: Rate, many: int) -> None:
    part = rate.part(Fraction(1, many))
    assert many / Fraction(part.interval) <= 1 / Fraction(rate.interval)
    assert part.burst >= 1


@given(st.integers(1, 5000), GAPS)
def test_no_minute_wherever_it_begins_has_more_calls_than_may(per_minute: int, gaps: list[float]) -> None:
    rate, full, now = Rate.of_calls(per_minute), 0.0, 1e9
    taken: list[float] = []
    for gap in gaps:
        now += gap
        now += rate.wait(full, now, 1)  # as one that waits as long as it is told to
        assert rate.wait(full, now, 1) < 1e-3
        full = rate.taken(full, now, 1)
        taken.append(now)
    for first, began in enumerate(taken):
        in_minute = sum(began <= at < began + MINUTE_MS - 1 for at in taken[first:])
        assert in_minute <= per_minute


@pytest.mark.parametrize("per_minute", [1, 2, 59, 60, 61, 120, 601])
def test_nor_has_one_in_which_everybody_calls_as_soon_as_may_be(per_minute: int) -> None:
    rate, full, now = Rate.of_calls(per_minute), 0.0, 1e9
    taken: list[float] = []
    while now < 1e9 + 2 * MINUTE_MS:
        now += rate.wait(full, now, 1)
        full = rate.taken(full, now, 1)
        taken.append(now - 1e9)
    assert per_minute * 0.95 <= sum(at < MINUTE_MS - 1 for at in taken) <= per_minute


@given(st.integers(1, 10_000), st.lists(st.integers(1, 20_000), min_size=1, max_size=50))
def test_who_waits_as_long_as_it_is_told_is_granted_then_and_not_before(per_minute: int, costs: list[int]) -> None:
    rate, full, now = Rate.of_tokens(per_minute), 0.0, 1e9
    for cost in costs:
        wait = rate.wait(full, now, cost)
        if wait > 1:
            assert rate.wait(full, now + wait - 1, cost) > 0
        now += wait
        assert rate.wait(full, now, cost) < 1e-2
        full = rate.taken(full, now, cost)


@given(st.integers(1, 10_000), st.integers(0, 10_000))
def test_what_is_given_back_was_never_taken(per_minute: int, cost: int) -> None:
    rate = Rate.of_tokens(per_minute)
    full = rate.taken(0.0, 1e9, min(cost, per_minute))
    assert abs(rate.taken(full, 1e9, -min(cost, per_minute)) - 1e9) < 1


def test_a_second_s_worth_comes_at_once_and_the_rest_evenly() -> None:
    assert Rate.of_calls(1) == Rate(60_000, 1)
    assert Rate.of_calls(59) == Rate(MINUTE_MS / 59, 1)
    assert Rate.of_calls(600) == Rate(MINUTE_MS / 590, 11)
