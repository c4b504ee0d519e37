"""What upstreams say of their limits, in the words of either vendor."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.budgets import NOTHING_TOLD, Allowance, Told
from broker.rate import Rate
from worker.upstreams.told import duration, of_anthropic, of_openai

DATE = {"date": "Sun, 29 Nov 2026 20:00:00 GMT"}


def anthropic(of: str, limit: object, left: object, reset: str) -> dict[str, str]:
    start = f"anthropic-ratelimit-{of}"
    return {f"{start}-limit": str(limit), f"{start}-remaining": str(left), f"{start}-reset": reset}


def test_anthropic_s_times_are_by_its_own_clock_and_the_scarcest_tokens_count() -> None:
    headers = DATE | anthropic("requests", 50, 3, "2026-11-29T20:00:56Z")
    headers |= anthropic("tokens", 80_000, 60_000, "2026-11-29T20:00:15Z")
    headers |= anthropic("output-tokens", 10_000, 1000, "2026-11-29T20:00:54+00:00")
    assert of_anthropic(headers) == Told(Allowance(50, 3, 56.0), Allowance(10_000, 1000, 54.0))


def test_openai_s_are_times_from_now() -> None:
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
    }
    headers |= {
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert of_openai(headers) == Told(Allowance(60, 59, 1.0), Allowance(150_000, 0, 360.0))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("17ms", 0.017), ("1h2m3.5s", 3723.5), ("1d", 86_400), ("2.5", 2.5), ("", None), ("soon", None), ("1s!", None),
     ("-1", None), ("inf", None), ("nan", None), (None, None)],
)  # fmt: skip
def test_a_duration_is_read_or_it_is_none(text: str | None, seconds: float | None) -> None:
    assert duration(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("reset", ["", "soon", "2026-11-29T20:00:56", "1e9"])
def test_what_cannot_be_read_is_as_if_it_were_not_said(reset: str) -> None:
    assert of_anthropic(DATE | anthropic("requests", 50, 3, reset)) == NOTHING_TOLD
    assert of_anthropic(DATE | anthropic("requests", 50, "²", "2026-11-29T20:00:56Z")) == NOTHING_TOLD


_NAMES = [
    "requests-limit",
    "requests-remaining",
    "requests-reset",
    "limit-requests",
    "remaining-requests",
    "reset-requests",
]
_HEADERS = ["date", *(vendor + name for vendor in ("anthropic-ratelimit-", "x-ratelimit-") for name in _NAMES)]


@given(st.dictionaries(st.sampled_from(_HEADERS), st.text(max_size=12)))
def test_no_header_however_odd_ends_a_call(headers: dict[str, str]) -> None:
    of_anthropic(headers)
    of_openai(headers)


def test_a_limit_is_heeded_below_a_fifth_and_grows_evenly_until_it_is_full() -> None:
    assert Allowance(100, 20, 48.0).rate is None
    assert Allowance(100, 10, 45.0).rate == Rate(500.0, 100)
    assert Allowance(100, 0, 60.0).rate == Rate(600.0, 100)
    assert Allowance(None, 0, 30.0).rate == Rate(30_000.0, 1)
    assert Allowance(None, 1, 30.0).rate is None
    assert Allowance(100, 0, 0.0).rate is None
