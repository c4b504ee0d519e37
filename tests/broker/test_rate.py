"""Requests at a pace: what a simple count over the times that were allowed says of them."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from broker.rate import Rate

RATES = st.builds(Rate, st.integers(1, 1000), st.integers(1, 20))
PAUSES = st.lists(st.integers(0, 3000), max_size=60)


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
            assert last - first + 1 <= rate.burst + (allowed[last] - begun) // rate.interval_us


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
    assert 0 <= verdict.wait_us <= rate.interval_us
    assert 0 <= verdict.left <= rate.burst
    assert verdict.full_us <= rate.window_us


@given(st.floats(0.01, 10_000_000), st.integers(1, 1000))
def test_a_pace_is_never_quicker_than_was_said(a_minute: float, burst: int) -> None:
    assert 60_000_000 / Rate.of(a_minute, burst).interval_us <= a_minute or Rate.of(a_minute, burst).interval_us == 1


@given(RATES, st.integers(1, 7))
def test_parts_of_a_pace_are_no_quicker_than_the_whole(rate: Rate, many: int) -> None:
    part = rate.part(Fraction(1, many))
    assert Fraction(many, part.interval_us) <= Fraction(1, rate.interval_us)
    assert part.burst >= 1
