"""When a webhook is tried again."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import keys
from broker.webhooks import Delivery
from worker.webhooks.deliverer import judged
from worker.webhooks.posting import Answer
from worker.webhooks.schedule import JITTER, LONGEST_ASKED, OFFSETS, asked_for, pause

HOUR = 3600.0
LAST = len(OFFSETS)


def test_it_is_tried_ten_times_in_a_day() -> None:
    pauses = [pause(tries, None, 0.0) for tries in range(1, LAST + 1)]
    assert pauses == [*(later - sooner for sooner, later in pairwise(OFFSETS)), None]
    assert (LAST, OFFSETS[:4], OFFSETS[-1]) == (10, (0, 5, 300, 1800), 24 * HOUR)


@given(st.integers(1, LAST - 1), st.none() | st.floats(0, 10**9), st.floats(0, 1))
def test_a_pause_is_a_little_longer_than_the_schedule_s_or_what_was_asked_for_within_a_bound(
    tries: int, asked: float | None, chance: float
) -> None:
    found, ours = pause(tries, asked, chance), OFFSETS[tries] - OFFSETS[tries - 1]
    assert found is not None
    assert ours <= found <= max(ours * (1 + JITTER), min(asked or 0, LONGEST_ASKED))
    assert asked is None or found >= min(asked, LONGEST_ASKED)


def test_what_is_told_is_kept_for_longer_than_all_tries_take() -> None:
    longest = sum(max((later - sooner) * (1 + JITTER), LONGEST_ASKED) for sooner, later in pairwise(OFFSETS))
    assert longest * 1000 < keys.DELIVERY_MS


@pytest.mark.parametrize(
    ("said", "seconds"),
    [(None, None), ("7", 7.0), (" 7 ", 7.0), ("9" * 400, 999_999_999.0), ("-1", None), ("1.5", None), ("soon", None),
     ("", None), ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("\u0661", None)],
)  # fmt: skip
def test_a_retry_after_is_seconds_or_a_date(said: str | None, seconds: float | None) -> None:
    assert asked_for(said, 10.0) == seconds


@pytest.mark.parametrize(
    ("answer", "tries", "delivery", "again_ms"),
    [
        (Answer(200, None), 1, Delivery("delivered", 1, 200), None),
        (Answer(500, "refused"), 1, Delivery("pending", 1, 500, "refused"), 5000),
        (Answer(503, "refused", 60.0), 1, Delivery("pending", 1, 503, "refused"), 60_000),
        (Answer(None, "timeout"), 2, Delivery("pending", 2, None, "timeout"), 295_000),
        (Answer(410, "gone"), 1, Delivery("failed", 1, 410, "gone"), None),
        (Answer(500, "refused"), LAST, Delivery("failed", LAST, 500, "refused"), None),
        (Answer(201, None), LAST, Delivery("delivered", LAST, 201), None),
    ],
)
def test_what_an_answer_makes_of_a_webhook(
    answer: Answer, tries: int, delivery: Delivery, again_ms: int | None
) -> None:
    assert judged(answer, tries, 0.0) == (delivery, again_ms)
