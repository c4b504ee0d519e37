"""The model's name as a plan."""

import pytest

from worker.simulator.plan import Fault, accepts_prefill, parse_model
from worker.simulator.refused import Refused


def test_a_bare_name_gets_the_defaults() -> None:
    plan = parse_model("sim-1")
    assert (plan.ttft, plan.tps, plan.tokens, plan.jitter, plan.seed) == (0.2, 40.0, 120, 0.0, None)
    assert not plan.simulated
    assert plan.fault is None


def test_every_parameter_is_read() -> None:
    plan = parse_model(
        "sim-1?ttft_ms=300&tps=50&tokens=400&jitter=0.2&seed=7&thinking=1&tool=look_up&citations=1&echo=1&pings=250"
        "&stamp=1&prefill=0&fail=cut&at=9&in=tool&times=2&retry_after=1.5"
    )
    assert (plan.ttft, plan.tps, plan.tokens, plan.jitter, plan.seed) == (0.3, 50.0, 400, 0.2, 7)
    assert (plan.thinking, plan.tool, plan.citations, plan.echo) == (True, "look_up", True, True)
    assert (plan.pings, plan.stamp, plan.prefill) == (0.25, True, False)
    assert plan.fault == Fault("cut", at=9, block="tool", times=2, retry_after=1.5)


def test_a_real_models_name_gets_the_defaults_and_is_marked_as_simulated() -> None:
    assert parse_model("claude-opus-5-5").simulated


@pytest.mark.parametrize(
    "query",
    ["speed=3", "tps=fast", "tps=-1", "tps=nan", "tokens=1.5", "tokens=100001", "jitter=2", "echo=yes", "fail=explode",
     "tool=a b", "at=-1", "in=image"],
)  # fmt: skip
def test_a_parameter_that_makes_no_sense_is_refused_by_name(query: str) -> None:
    with pytest.raises(Refused, match=query.partition("=")[0]) as refused:
        parse_model(f"sim-1?{query}")
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "name",
    ["claude-haiku-4-5", "claude-haiku-4-5-20251001", "claude-opus-4-20250514", "claude-sonnet-4-5", "claude-3-opus-1",
     "claude-3-7-sonnet-latest", "claude-2.1", "claude-instant-1.2", "sim-1", "another-model"],
)  # fmt: skip
def test_claude_up_to_4_5_and_other_names_continue_a_trailing_assistant_message(name: str) -> None:
    assert accepts_prefill(name)


@pytest.mark.parametrize(
    "name",
    ["claude-opus-4-6", "claude-sonnet-4-6", "claude-opus-4-8-20260301", "claude-sonnet-5", "claude-haiku-5-5",
     "claude-opus-5-5", "claude-mythos-preview", "claude-fable-5-2"],
)  # fmt: skip
def test_later_claude_models_refuse_a_trailing_assistant_message(name: str) -> None:
    assert not accepts_prefill(name)
