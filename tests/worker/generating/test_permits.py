"""What a budget hears of a call, and what viewers hear of a wait."""

import asyncio
from typing import Any

import orjson
import pytest

from broker.budgets import NOTHING_TOLD, Outcome, Wait
from broker.events import Content
from tests.harness.clockwork import at_once
from tests.worker.upstreams.teller import Telling
from worker.generating.permits import BreakerOpen, _Notices, likely_tokens, outcome_of, used_tokens
from worker.upstreams import Call, UpstreamFailure


def failure(code: Any, **more: Any) -> UpstreamFailure:
    return UpstreamFailure(code, "no", **more)


@pytest.mark.parametrize(
    ("failed", "begun", "outcome"),
    [
        (failure("upstream_overloaded"), False, Outcome("overloaded")),
        (failure("upstream_overloaded", retry_after=3.0), False, Outcome("overloaded", retry_ms=3000, limited=True)),
        (failure("upstream_overloaded"), True, Outcome("overloaded")),
        (failure("upstream_rate_limited"), False, Outcome("answered", retry_ms=1000, limited=True)),
        (failure("upstream_rate_limited", retry_after=9.0), False, Outcome("answered", retry_ms=9000, limited=True)),
        (failure("upstream_invalid_request", answered=True), False, Outcome("answered", NOTHING_TOLD)),
        (failure("upstream_error"), False, Outcome("failed")),
        (failure("upstream_unreachable"), False, Outcome("failed")),
        (failure("unsupported_field"), False, Outcome("gone")),
        (failure("upstream_disconnected"), True, None),
    ],
)
def test_what_a_failure_says_of_the_upstream(failed: UpstreamFailure, begun: bool, outcome: Outcome | None) -> None:
    assert outcome_of(failed, begun=begun) == outcome


def test_a_call_is_likely_to_cost_its_bytes_by_four_and_all_that_it_allows() -> None:
    body = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "x" * 4000}]}
    assert likely_tokens(Call(dict(body))) == len(orjson.dumps(body)) // 4 + 100


def test_what_a_call_has_cost_is_known_of_a_whole_answer() -> None:
    answer = Telling(Call({}), [])
    answer.usage = {
        "input_tokens": 5,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 7,
        "output_tokens": 3,
    }
    assert used_tokens(answer) is None
    answer.whole = True
    assert used_tokens(answer) == 15


def told(*waits: tuple[float, Wait], others: bool = False) -> list[str]:
    async def run() -> list[str]:
        put: list[Content] = []
        notices = _Notices("m", others, put.extend)
        for seconds, wait in waits:
            await asyncio.sleep(seconds)
            notices.waits(wait)
        return [orjson.loads(each.value)["reason"] for each in put]

    return at_once(run())


def test_viewers_are_told_of_a_wait_that_lasts_and_again_when_its_reason_changes_once_a_second() -> None:
    short, long = Wait(1, "concurrent"), Wait(3000, "tokens")
    assert told((0, short), (0.05, short)) == []
    assert told((0, short), (0.3, short), (1, short)) == ["concurrent"]
    assert told((0, long)) == ["tokens"]
    assert told((0, long), (1.1, short), (1.1, long)) == ["tokens", "concurrent", "tokens"]
    flips = [(0.01, each) for each in (short, Wait(50, "requests")) * 200]
    assert told((0, short), *flips) == ["concurrent", "requests", "concurrent", "requests"]


def test_who_has_another_model_does_not_wait_for_one_that_is_overloaded() -> None:
    with pytest.raises(BreakerOpen):
        told((0, Wait(5000, "overloaded")), others=True)
    assert told((0, Wait(5000, "paused")), others=True) == ["paused"]
    assert told((0, Wait(5000, "overloaded"))) == ["overloaded"]
