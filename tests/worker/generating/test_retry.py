"""How long upstream is left alone."""

import pytest

from worker.generating.retry import pause


@pytest.mark.parametrize("tries", range(1, 12))
def test_the_span_doubles_and_is_bounded(tries: int) -> None:
    span = min(8.0, 0.5 * 2 ** (tries - 1))
    pauses = [pause(tries, None, 20) for _ in range(300)]
    assert all(span / 2 <= each <= span for each in pauses)
    assert max(pauses) - min(pauses) > span / 4, "a crowd does not come back at once"


@pytest.mark.parametrize(("retry_after", "least"), [(0.0, 0.0), (3.0, 3.0), (20.0, 20.0), (3600.0, 20.0), (-5.0, 0.0)])
def test_what_upstream_asks_for_is_done_up_to_the_cap(retry_after: float, least: float) -> None:
    pauses = [pause(1, retry_after, 20) for _ in range(300)]
    assert all(least <= each <= least + 0.25 for each in pauses)
    assert max(pauses) > min(pauses)
