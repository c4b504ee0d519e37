"""What a guard asks of its checks, and when; no server."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from broker.events import TEXT, THINKING, Content
from tests.harness.clockwork import at_once
from worker.guardrails.guard import Guard
from worker.guardrails.verdicts import Block, Check, Flag, OnFailure, Subject, Verdict

SUBJECT = Subject("gen_x", "m", {"team": "a"}, whole=False)


class Scene:
    """A guard with one check, which says what `answer` says."""

    def __init__(
        self, answer: Callable[[str], Any], *, paragraphs: bool = True, kept: str = "", on_failure: OnFailure = "closed",
        seconds: float = 0.0,
    ) -> None:  # fmt: skip
        self.asked: list[tuple[str, bool]] = []
        self.running = self.most_running = 0
        self.put: list[dict[str, Any]] = []
        self.blocks = 0
        self._answer = answer
        self._seconds = seconds
        check = Check("rules", self._check, paragraphs, 5.0, on_failure)
        self.guard = Guard([check], SUBJECT, kept, self._put, self._block)

    async def _check(self, text: str, subject: Subject) -> Verdict:
        assert (subject.generation, subject.model, subject.labels) == ("gen_x", "m", {"team": "a"})
        self.asked.append((text, subject.whole))
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            await asyncio.sleep(self._seconds)
        finally:
            self.running -= 1
        verdict: Verdict = self._answer(text)
        return verdict

    def _put(self, contents: list[Content]) -> None:
        self.put += [orjson.loads(content.value) for content in contents]

    def _block(self) -> None:
        self.blocks += 1

    def says(self, *texts: str) -> None:
        self.guard.take([Content(TEXT, text.encode()) for text in texts])


def passes(_: str) -> None:
    return None


def raises(text: str) -> None:
    raise ValueError(text)


def test_the_end_is_checked_with_the_whole_text_and_what_is_no_text_is_none() -> None:
    async def run() -> None:
        scene = Scene(passes, paragraphs=False, kept="Once ")
        scene.guard.take([Content(THINKING, b"hm"), Content(TEXT, "upon a t\u00efme.\n\n".encode())])
        scene.says("The end")
        await asyncio.sleep(1)
        assert scene.asked == []
        await scene.guard.judge()
        assert scene.asked == [("Once upon a t\u00efme.\n\nThe end", True)]
        assert (scene.guard.blocked, scene.put, scene.blocks) == (None, [], 0)

    at_once(run())


def test_without_text_there_is_nothing_to_check() -> None:
    async def run() -> None:
        scene = Scene(raises)
        scene.guard.take([Content(THINKING, b"hm\n\n")])
        assert await scene.guard.look_back()
        await scene.guard.judge()
        assert scene.asked == []

    at_once(run())


@pytest.mark.parametrize(
    ("pieces", "looks"),
    [
        (["a\n\nb"], 1), (["a\n", "\nb"], 1), (["a", "\n", " \t", "\r", "\n"], 1), (["a\r\n\r\nb"], 1),
        (["a\n", "b\n"], 0), (["a b"], 0),
        (["a\n", "b", "\n"], 0), (["a\n\n", "b", "\n\n"], 2),
    ],
)  # fmt: skip
def test_a_paragraph_ends_with_a_blank_line_however_it_comes(pieces: list[str], looks: int) -> None:
    async def run() -> None:
        scene = Scene(passes)
        for piece in pieces:
            scene.says(piece)
            await asyncio.sleep(1)
        assert [whole for _, whole in scene.asked] == [False] * looks

    at_once(run())


def test_one_text_is_looked_at_at_a_time_and_the_newest_next() -> None:
    async def run() -> None:
        scene = Scene(passes, seconds=1)
        for word in "abcd":
            scene.says(f"{word}\n\n")
            await asyncio.sleep(0.1)
        await asyncio.sleep(5)
        assert [text for text, _ in scene.asked] == ["a\n\n", "a\n\nb\n\nc\n\nd\n\n"]
        scene.says("e\n\n")
        await asyncio.sleep(0.5)
        await scene.guard.judge()
        assert scene.asked[-1] == ("a\n\nb\n\nc\n\nd\n\ne\n\n", True)
        assert scene.most_running <= 2, "the one that was given up may not have ended"

    at_once(run())


def test_a_block_is_told_at_once_and_says_what_is_shown() -> None:
    async def run() -> None:
        scene = Scene(lambda text: Block("r" * 600, "c") if "bad" in text else None)
        scene.says("good\n\n")
        await asyncio.sleep(1)
        assert scene.blocks == 0
        scene.says("bad\n\n")
        await asyncio.sleep(1)
        assert scene.blocks == 1
        assert scene.guard.blocked is not None
        told = {"type": "withdraw", "guardrail": "rules", "reason": "r" * 500, "category": "c"}
        assert orjson.loads(scene.guard.blocked.withdraw_json) == told
        await scene.guard.judge()
        assert len(scene.asked) == 2, "nothing is asked again"

    at_once(run())


def test_a_flag_is_shown_once_however_often_it_is_found() -> None:
    async def run() -> None:
        scene = Scene(lambda text: Flag("odd", "c"))
        for _ in range(3):
            scene.says("a\n\n")
            await asyncio.sleep(1)
        await scene.guard.judge()
        flag = {"type": "guardrail", "name": "rules", "verdict": "flag", "reason": "odd", "category": "c"}
        assert (len(scene.asked), scene.put, scene.guard.blocked) == (4, [flag], None)

    at_once(run())


def test_flags_of_an_attempt_are_bounded() -> None:
    async def run() -> None:
        scene = Scene(lambda text: Flag(str(len(text))))
        for _ in range(40):
            scene.says("a\n\n")
            await asyncio.sleep(0.1)
        assert (len(scene.asked), len(scene.put)) == (40, 32)

    at_once(run())


@pytest.mark.parametrize("on_failure", ["closed", "open"])
@pytest.mark.parametrize("how", ["raises", "hangs", "answers nonsense"])
def test_a_check_that_fails_comes_to_what_its_setting_says(
    on_failure: OnFailure, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        answer: Callable[[str], Any] = {"raises": raises, "hangs": passes, "answers nonsense": len}[how]
        scene = Scene(answer, on_failure=on_failure, seconds=60 if how == "hangs" else 0)
        scene.says("a secret")
        began = asyncio.get_running_loop().time()
        await scene.guard.judge()
        assert asyncio.get_running_loop().time() - began == pytest.approx(5 if how == "hangs" else 0)
        assert (scene.guard.blocked is not None) == (on_failure == "closed")
        assert [each["category"] for each in scene.put] == ([] if on_failure == "closed" else ["check_failed"])

    at_once(run())
    (message,) = caplog.messages
    assert message.startswith("gen_x: the guardrail rules ")
    assert "secret" not in caplog.text


def test_what_an_earlier_attempt_left_is_looked_at_before_anything_follows() -> None:
    async def run() -> None:
        scene = Scene(lambda text: Block() if "bad" in text else None, paragraphs=False, kept="bad")
        assert not await scene.guard.look_back()
        assert scene.asked == [("bad", False)]
        assert scene.blocks == 1

    at_once(run())


def test_a_guard_that_is_closed_leaves_nothing_running() -> None:
    async def run() -> None:
        scene = Scene(passes, seconds=2)
        scene.says("a\n\n")
        await asyncio.sleep(0.5)
        scene.guard.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert scene.running == 0
        assert len(asyncio.all_tasks()) == 1

    at_once(run())
