"""When what is overloaded is called, and by whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.breaker import HALF_WINDOW_MS, LONGEST_PAUSE_MS, Breaker, Found, Rules

RULES = Rules(failures=3, pause_ms=1000)


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(RULES)
    for _ in range(3):
        breaker.found("c", "overloaded", now)
    assert breaker.state(now) == "open"
    return breaker


def test_it_opens_by_so_many_overloads_of_late_if_they_are_half_of_the_calls() -> None:
    breaker = Breaker(RULES)
    breaker.found("a", "answered", 0.0, before=3)
    for number in range(3):
        breaker.found("c", "overloaded", float(number))
    assert breaker.state(3.0) == "closed", "3 of 7"
    breaker.found("c", "overloaded", 4.0)
    assert (breaker.state(4.0), breaker.wait_ms(4.0)) == ("open", 1000)


def test_what_was_long_ago_does_not_count() -> None:
    breaker = Breaker(RULES)
    for at in (0.0, 0.0, 2.0 * HALF_WINDOW_MS, 2.0 * HALF_WINDOW_MS + 1):
        breaker.found("c", "overloaded", at)
    assert breaker.state(2.0 * HALF_WINDOW_MS + 1) == "closed"


def test_none_opens_it_where_no_number_is_set() -> None:
    breaker = Breaker(Rules(failures=0))
    for _ in range(100):
        breaker.found("c", "overloaded", 0.0)
    assert breaker.state(0.0) == "closed"


@pytest.mark.parametrize(
    ("found", "state", "wait"),
    [("answered", "closed", 0), ("overloaded", "open", 2000), ("failed", "open", 1000), ("gone", "open", 0)],
)
def test_what_the_probe_finds_decides(found: Found, state: str, wait: float) -> None:
    breaker = opened()
    assert breaker.granted("p", 1000.0, 500)
    assert (breaker.state(1000.0), breaker.wait_ms(1000.0)) == ("half_open", 500)
    breaker.found("late", "answered", 1000.0)
    assert breaker.state(1000.0) == "half_open", "it was asked before"
    breaker.found("p", found, 1000.0)
    assert (breaker.state(1000.0), breaker.wait_ms(1000.0)) == (state, wait)


def test_a_probe_of_which_nothing_is_heard_is_none() -> None:
    breaker = opened()
    breaker.granted("p", 1000.0, 500)
    assert breaker.wait_ms(1500.0) == 0
    breaker.granted("q", 1500.0, 500)
    breaker.found("p", "answered", 1501.0)
    assert breaker.state(1501.0) == "half_open"


def test_each_pause_is_twice_as_long_up_to_the_longest_and_never_shorter_than_asked_for() -> None:
    breaker, now = opened(), 0.0
    pauses = []
    for _ in range(8):
        now += breaker.wait_ms(now)
        breaker.granted("p", now, 500)
        breaker.found("p", "overloaded", now)
        pauses.append(breaker.wait_ms(now))
    assert pauses == [2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]
    breaker.granted("p", now + LONGEST_PAUSE_MS, 500)
    breaker.found("p", "overloaded", now + LONGEST_PAUSE_MS, retry_ms=90_000)
    assert breaker.wait_ms(now + LONGEST_PAUSE_MS) == 90_000


calls = st.lists(st.tuples(st.sampled_from(["answered", "overloaded", "failed", "gone"]), st.integers(0, 5000)))


@given(calls)
def test_while_it_is_not_closed_there_is_one_probe_at_a_time(calls: list[tuple[Found, int]]) -> None:
    breaker, now, probes = opened(), 0.0, 0
    for number, (found, pause) in enumerate(calls):
        now += pause
        state = breaker.state(now)
        granted = [
            name for name in ("x", "y", "z") if not breaker.wait_ms(now) and (breaker.granted(name, now, 1e9), 1)
        ]
        assert len(granted) == (3 if state == "closed" else int(bool(granted)))
        if state != "closed" and granted:
            probes += 1
            assert breaker.state(now) == "half_open"
        breaker.found(granted[0] if granted else f"late {number}", found, now)
