"""What a worker may be told, and what it takes by itself."""

from typing import Any

import pytest
from pydantic import ValidationError

from broker.settings import BrokerSettings
from worker.settings import WorkerSettings

NUMBERS: dict[str, tuple[float, tuple[float, ...], tuple[float, ...]]] = {
    "max_jobs": (200, (1, 5000), (0, 5001)),
    "lease": (10, (0.5, 60), (0.4, 60.1)),
    "most_attempts": (3, (1, 20), (0, 21)),
    "attempts_in_all": (20, (1, 100), (0, 101)),
    "sweep_every": (0.5, (0.01, 10), (0, 10.1)),
    "drain": (10, (0, 600), (-0.1, 600.1)),
    "first_token_timeout": (30, (0.01, 600), (0, 600.1)),
    "idle_timeout": (30, (0.01, 600), (0, 600.1)),
    "upstream_tries": (4, (1, 10), (0, 11)),
    "upstream_breaker_failures": (10, (0, 10_000), (-1, 10_001)),
    "upstream_breaker_pause": (5, (0.1, 60), (0, 60.1)),
    "retry_after_cap": (20, (0, 300), (-0.1, 300.1)),
    "max_unwritten": (256, (1, 10_000), (0, 10_001)),
    "append_pace_ms": (0, (0, 1000), (-1, 1001)),
    "max_output_bytes": (8 * 1024 * 1024, (1024,), (1023,)),
    "webhook_timeout": (15, (0.5, 60), (0.4, 60.1)),
    "outage": (120, (0.01, 100_000), (0,)),
    "tool_timeout": (60, (0.01, 3600), (0, 3600.1)),
    "tools_at_once": (32, (1, 1000), (0, 1001)),
    "tool_result_bytes": (64 * 1024, (256, 1024 * 1024), (255, 1024 * 1024 + 1)),
    "guardrail_timeout": (10, (0.01, 120), (0, 120.1)),
}
"""Each with its default, what is just allowed and what is not."""


WORDS: dict[str, str | None] = {
    "cell": None,
    "guardrails": None,
    "guardrail_failure": "closed",
    "deny_list": None,
} | dict.fromkeys(
    ("upstream_concurrent", "upstream_requests_per_minute", "upstream_tokens_per_minute", "rewrite_every")
)


def test_each_number_has_its_default() -> None:
    own = WorkerSettings.model_fields.keys() - BrokerSettings.model_fields.keys()
    assert {name: WorkerSettings.model_fields[name].default for name in own - {"prices"}} == {
        name: default for name, (default, _, _) in NUMBERS.items()
    } | WORDS


def test_what_a_check_that_fails_comes_to_is_one_of_two() -> None:
    with pytest.raises(ValidationError):
        WorkerSettings(guardrail_failure="ajar")


@pytest.mark.parametrize("name", NUMBERS)
def test_each_number_has_its_bounds(name: str) -> None:
    _, allowed, refused = NUMBERS[name]
    for value in allowed:
        told: dict[str, Any] = {name: value}
        assert getattr(WorkerSettings(**told), name) == value
    for value in refused:
        told = {name: value}
        with pytest.raises(ValidationError):
            WorkerSettings(**told)
