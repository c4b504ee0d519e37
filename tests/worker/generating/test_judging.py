"""What becomes of an attempt's outcome under guardrails."""

import asyncio
from typing import Any

import orjson
import pytest

from broker.events import TEXT, Content
from broker.record import Ending
from tests.harness.clockwork import at_once
from worker.generating.attempt import Interrupted, Left, Outcome
from worker.generating.judging import judged
from worker.guardrails.guard import Guard
from worker.guardrails.verdicts import Block, Check, Subject, Verdict
from worker.log.writer import Cause, Writer

COMPLETED = Ending("completed", stop_reason="end_turn")
FAILED = Ending.failed("upstream_error", "no")
CUT = Interrupted("upstream_disconnected", "cut")
LATEST: tuple[float, Cause] = (1000.0, "total_timeout")


class Scene:
    """An attempt that has put out some text, and a check of it that takes a second."""

    def __init__(self, *, blocks: bool = False) -> None:
        self.asked = self.ended = 0
        self.writer = Writer("gen_x", 7, max_unwritten=10, now=0.0)
        self._blocks = blocks
        check = Check("rules", self._check, False, 5.0, "closed")
        self.guard = Guard([check], Subject("gen_x", "m", {}, whole=False), "", self.writer.put, self._blocked)
        self.guard.take([Content(TEXT, b"text")])

    async def _check(self, text: str, subject: Subject) -> Verdict:
        assert (text, subject.whole) == ("text", True)
        self.asked += 1
        await asyncio.sleep(1)
        self.ended += 1
        return Block("r", "c") if self._blocks else None

    def _blocked(self) -> None:
        self.writer.stop("blocked")

    async def judge(self, outcome: Outcome, stop: Cause | None = None) -> Outcome:
        if stop is not None:
            asyncio.get_running_loop().call_later(0.5, self.writer.stop, stop)
        return await judged(self.guard, self.writer, outcome, LATEST)


def run(scene: Scene, outcome: Outcome, stop: Cause | None = None) -> Any:
    async def judge() -> Outcome:
        found = await scene.judge(outcome, stop)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1
        assert scene.writer.deadline is None
        return found

    found: list[Outcome] = []

    async def keep() -> None:
        found.append(await judge())

    at_once(keep())
    return found[0]


@pytest.mark.parametrize("outcome", [COMPLETED, FAILED, CUT, Ending("cancelled")])
def test_what_passes_stays_as_it_was_and_what_does_not_is_blocked(outcome: Outcome) -> None:
    scene = Scene()
    assert run(scene, outcome) is outcome
    assert scene.ended == 1
    blocked = run(Scene(blocks=True), outcome)
    assert (blocked.state, blocked.code, blocked.retryable) == ("failed", "blocked", False)
    told = {"type": "withdraw", "guardrail": "rules", "reason": "r", "category": "c"}
    assert orjson.loads(blocked.withdraw) == told


@pytest.mark.parametrize("cause", ["drain", "fenced", "rewound"])
def test_what_is_another_s_is_left_to_be_checked_there(cause: Cause) -> None:
    scene = Scene(blocks=True)
    assert run(scene, Left(cause)) == Left(cause)
    assert scene.asked == 0
    scene = Scene(blocks=True)
    assert run(scene, COMPLETED, cause) == Left(cause)
    assert (scene.asked, scene.ended) == (1, 0)


@pytest.mark.parametrize(
    ("cause", "state", "code"), [("cancelled", "cancelled", ""), ("total_timeout", "failed", "total_timeout")]
)
def test_a_cancel_and_the_total_timeout_end_what_is_complete_once_it_has_passed(
    cause: Cause, state: str, code: str
) -> None:
    scene = Scene()
    ended = run(scene, COMPLETED, cause)
    assert (ended.state, ended.code, scene.ended) == (state, code, 1)
    assert run(Scene(blocks=True), COMPLETED, cause).code == "blocked"
    assert run(Scene(), FAILED, cause) is FAILED, "it has ended for another reason already"


def test_the_total_timeout_is_watched_while_what_is_complete_is_checked() -> None:
    scene = Scene()
    seen: list[object] = []

    async def judge() -> None:
        asyncio.get_running_loop().call_later(0.5, lambda: seen.append(scene.writer.deadline))
        await scene.judge(COMPLETED)

    at_once(judge())
    assert seen == [LATEST]
