"""What of a tenant's limits holds, and which part of it in which cell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from broker.limits import DAY_MS, NO_LIMITS, Limits, LimitSettings, estimate, next_day_ms
from broker.rate import Rate

COUNTS = st.none() | st.integers(1, 10_000)
LIMITS = st.builds(Limits, st.none(), COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
WEIGHTS = st.dictionaries(st.integers(0, 20), st.floats(0, 100), min_size=1, max_size=6).filter(
    lambda weights: sum(weights.values()) > 0
)


def test_a_tenant_s_own_limit_takes_the_place_of_the_usual_one_and_of_no_other() -> None:
    usual = LimitSettings(max_queued=10, tokens_per_day=1000, requests_per_minute=60)
    own = LimitSettings(max_queued=3, stored_bytes=5)
    assert Limits.of(own, usual) == Limits(Rate(1_000_000, 10), None, 3, None, 1000, 5)
    assert Limits.of(None, usual) == Limits(Rate(1_000_000, 10), None, 10, None, 1000, None)


def test_where_nothing_is_set_nothing_holds() -> None:
    assert Limits.of(None, LimitSettings()) == NO_LIMITS
    assert not NO_LIMITS
    assert not NO_LIMITS.charged


def test_what_may_run_alone_is_no_limit_of_a_submit() -> None:
    assert not Limits.of(None, LimitSettings(max_running=1))
    assert Limits.of(None, LimitSettings(max_running=1, max_queued=0)) == Limits(running=1, unfinished=1)


def test_that_nothing_waits_takes_a_number_that_may_run() -> None:
    with pytest.raises(ValidationError, match="max_running"):
        LimitSettings(max_queued=0)


@given(LIMITS, WEIGHTS)
def test_the_shares_of_all_cells_are_the_whole_to_the_last_one(limits: Limits, weights: dict[int, float]) -> None:
    shares = [limits.in_cell(weights, number) for number in weights]
    for name in ("running", "queued", "unfinished", "tokens", "stored"):
        whole, parts = getattr(limits, name), [getattr(share, name) for share in shares]
        if whole is None:
            assert parts == [None] * len(parts)
        else:
            assert sum(parts) == whole


@given(st.integers(0, 10**9), st.integers(1, 10**6))
def test_an_estimate_is_no_less_than_may_be_put_out(request: int, most: int) -> None:
    assert most <= estimate(request, most) <= most + request // 4 + 1


@given(st.integers(0, 10**14))
def test_a_day_ends_at_midnight_by_utc(now: int) -> None:
    end = next_day_ms(now)
    assert end % DAY_MS == 0
    assert 0 < end - now <= DAY_MS
