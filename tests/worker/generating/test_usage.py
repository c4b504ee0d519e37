"""What a generation costs, over its attempts."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker.generating.usage import added_usage

# Speed is not what is tested: a busy machine must not fail it.
examples = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@examples
@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
)
def test_counts_of_all_attempts_are_added(before: dict[str, Any], now: dict[str, Any]) -> None:
    assert added_usage(before, now) == {key: before.get(key, 0) + now.get(key, 0) for key in before.keys() | now.keys()}


def test_what_is_no_count_is_the_latest() -> None:
    before = {"tier": "standard", "flag": True, "odd": 1, "nested": {"a": 1}}
    now = {"tier": "priority", "flag": True, "odd": None, "nested": {"a": 2}}
    assert added_usage(before, now) == now
