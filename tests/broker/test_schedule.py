"""When a generation may start, and where that puts it in the queue."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.schedule import AT_ONCE, Schedule, unix_ms

OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=OFFSETS)


@given(TIMES, st.sampled_from(["T", "t", " "]))
def test_a_time_with_its_offset_is_read_to_the_millisecond(time: datetime, between: str) -> None:
    text = time.isoformat().replace("T", between)
    assert unix_ms(text) == (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("text", "ms"),
    [("1970-01-01T00:00:01Z", 1000), ("1970-01-01t00:00:00.0019z", 1), ("1970-01-01 01:00:00.5+01:00", 500)],
)
def test_what_the_standard_allows_is_read(text: str, ms: int) -> None:
    assert unix_ms(text) == ms


@pytest.mark.parametrize(
    "text",
    ["", "now", "1795262599262", "2026-11-29", "2026-11-29T10:00:00", "2026-11-29T10:00Z", "20261129T100000Z",
     "2026-W48-7T10:00:00Z", "2026-11-31T10:00:00Z", "2026-11-29T24:00:00Z", "2026-11-29T10:00:00+25:00",
     "2026-11-29T10:00:00Z ", "٢٠٢٦-11-29T10:00:00Z", "2026-11-29T10:00:00.Z"],
)  # fmt: skip
def test_what_it_does_not_allow_is_not(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        unix_ms(text)


def test_a_place_is_the_submit_or_the_start_and_in_the_background_later() -> None:
    assert AT_ONCE.place_ms(5) is None
    assert Schedule(start_ms=9).place_ms(5) == 9
    assert Schedule(start_ms=3).place_ms(5) == 5
    assert Schedule(delay_ms=60).place_ms(5) == 65
    assert Schedule(start_ms=9, delay_ms=60).place_ms(5) == 69
    assert [Schedule(delay_ms=delay).priority for delay in (None, 0, 7)] == ["interactive", "background", "background"]
