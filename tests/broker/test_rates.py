"""How often something may be done, whoever asks when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.rates import MINUTE_MS, Rate

gaps = st.lists(st.floats(0, 20_000), min_size=1, max_size=300)


@given(st.integers(1, 5000), gaps)
def test_no_minute_wherever_it_begins_has_more_calls_than_may(per_minute: int, gaps: list[float]) -> None:
    rate, full, now = Rate.of_calls(per_minute), 0.0, 1e9
    taken: list[float] = []
    for gap in gaps:
        now += gap
        now += rate.wait_ms(full, now, 1)  # as one that waits as long as it is told to
        assert rate.wait_ms(full, now, 1) < 1e-3
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
        now += rate.wait_ms(full, now, 1)
        full = rate.taken(full, now, 1)
        taken.append(now - 1e9)
    assert per_minute * 0.95 <= sum(at < MINUTE_MS - 1 for at in taken) <= per_minute


@given(st.integers(1, 10_000), st.lists(st.integers(1, 20_000), min_size=1, max_size=50))
def test_who_waits_as_long_as_it_is_told_is_granted_then_and_not_before(per_minute: int, costs: list[int]) -> None:
    rate, full, now = Rate.of_tokens(per_minute), 0.0, 1e9
    for cost in costs:
        wait = rate.wait_ms(full, now, cost)
        if wait > 1:
            assert rate.wait_ms(full, now + wait - 1, cost) > 0
        now += wait
        assert rate.wait_ms(full, now, cost) < 1e-2
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
