"""The order of frames, and where a fault strikes."""

import orjson
import pytest

from worker.simulator.answer import compose
from worker.simulator.asked import parse_request
from worker.simulator.plan import parse_model
from worker.simulator.script import Act, Scene, steps


def acts(model: str) -> list[Act]:
    """What a script does, in order; one text block of four tokens unless the model says otherwise."""
    body = {"model": model, "max_tokens": 1000, "messages": [{"role": "user", "content": "Hi"}]}
    asked, plan = parse_request(orjson.dumps(body)), parse_model(model)
    return [step.act for step in steps(Scene(plan, asked, compose(plan, asked), plan.fault, "msg_1"))]


def test_a_script_frames_its_tokens_and_ends_once() -> None:
    assert acts("sim-1?tokens=4") == [Act.FRAME, *[Act.TEXT] * 4, Act.FRAME, Act.FRAME, Act.END]


@pytest.mark.parametrize("at", [0, 1, 3, 4])
def test_a_fault_strikes_after_that_many_tokens(at: int) -> None:
    done = acts(f"sim-1?tokens=4&fail=cut&at={at}")
    assert done[: done.index(Act.FAULT)].count(Act.TEXT) == at
    assert done.count(Act.FAULT) == 1


def test_a_fault_behind_the_last_token_strikes_before_the_block_stops() -> None:
    assert acts("sim-1?tokens=2&fail=cut&at=99") == [Act.FRAME, *[Act.TEXT] * 2, Act.FAULT, *[Act.FRAME] * 2, Act.END]


def test_a_fault_in_another_block_counts_that_blocks_tokens() -> None:
    thinking = acts("sim-1?tokens=4&thinking=1&fail=cut&in=thinking&at=2")
    assert thinking[: thinking.index(Act.FAULT)] == [Act.FRAME, Act.TOKEN, Act.TOKEN]
    tool = acts("sim-1?tokens=4&tool=x&fail=cut&in=tool&at=3")
    assert tool[: tool.index(Act.FAULT)].count(Act.TEXT) == 4
    assert tool[: tool.index(Act.FAULT)].count(Act.TOKEN) == 3


def test_a_fault_in_a_block_that_is_not_there_strikes_before_the_end() -> None:
    assert acts("sim-1?tokens=1&fail=cut&in=tool")[-3:] == [Act.FAULT, Act.FRAME, Act.END]
