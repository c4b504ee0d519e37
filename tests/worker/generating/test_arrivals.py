"""When content came: quantiles within 5 % of the true ones, in a fixed number of steps."""

import json

from hypothesis import given
from hypothesis import strategies as st

from worker.generating.arrivals import Arrivals


def arrivals(gaps_ms: list[float], start: float = 1000.0) -> Arrivals:
    made = Arrivals()
    made.came(start, 1)
    for gap in gaps_ms:
        start += gap / 1000
        made.came(start, 1)
    return made


def exact(gaps_ms: list[float], share: float) -> float:
    """The smallest gap that this share of all do not exceed."""
    ordered = sorted(gaps_ms)
    return next(gap for number, gap in enumerate(ordered, 1) if number >= share * len(ordered))


@given(st.lists(st.floats(0.2, 100_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.95]))
def test_a_quantile_is_within_five_percent(gaps_ms: list[float], share: float) -> None:
    found, true = arrivals(gaps_ms).quantile(share), exact(gaps_ms, share)
    assert found is not None
    assert abs(found - true) <= 0.05 * true + 0.01


def test_what_comes_together_has_nothing_between_it() -> None:
    made = Arrivals()
    made.came(5.0, 3)
    assert (made.quantile(0.5), made.quantile(0.95)) == (0.0, 0.0)
    made.came(5.1, 1)
    assert made.quantile(0.5) == 0.0
    assert 95 < (made.quantile(0.95) or 0) < 105


def test_before_there_are_two_there_is_no_pace() -> None:
    made = Arrivals()
    nothing = {"tokens_per_second": None, "inter_token_ms_p50": None, "inter_token_ms_p95": None}
    assert json.loads(b"{%b}" % made.metrics(None)) == nothing
    made.came(5.0, 1)
    assert json.loads(b"{%b}" % made.metrics(1)) == nothing


def test_tokens_a_second_are_counted_from_the_first_to_the_last() -> None:
    made = arrivals([100.0] * 10)
    assert json.loads(b"{%b}" % made.metrics(None))["tokens_per_second"] == 10.0
    assert json.loads(b"{%b}" % made.metrics(21))["tokens_per_second"] == 20.0


def test_what_lies_between_two_calls_is_nobody_s_pace() -> None:
    made = arrivals([10.0, 10.0])
    made.paused()
    made.came(2000.0, 1)
    made.came(2000.01, 1)
    assert made.calls == 2
    assert 9.5 < (made.quantile(0.95) or 0) < 10.5
    assert json.loads(b"{%b}" % made.metrics(None))["tokens_per_second"] == 100.0


def test_a_silence_of_hours_is_counted_as_the_longest() -> None:
    assert (arrivals([1e7]).quantile(0.5) or 0) > 120_000
