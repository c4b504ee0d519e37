"""How an attempt goes, with an upstream that says what the test wants and a log that takes everything."""

import asyncio
from typing import Any

import pytest

from broker.events import TEXT
from broker.record import Ending
from broker.request import Options
from tests.worker.upstreams.teller import CLOSE, OPEN, START, STOP, USAGE, WHOLE, Teller, Telling, text
from worker.generating.attempt import Attempt, Interrupted, Outcome
from worker.generating.rounds import Ask
from worker.log.writer import Writer
from worker.settings import WorkerSettings
from worker.upstreams import Call, UpstreamFailure


def run(*answers: list[Any], output_bytes: int = 0, **settings: Any) -> tuple[Outcome, list[str]]:
    """The outcome, and the text that was put."""

    async def run() -> tuple[Outcome, list[str]]:
        writer = Writer("gen_x", 7, max_unwritten=1000, now=0.0)
        put: list[str] = []

        def takes(writer: Writer) -> None:
            first, contents = writer.batch()
            put.extend(content.value.decode() for content in contents if content.kind == TEXT)
            writer.acknowledge(first + len(contents) - 1, 0.0)

        writer.on_put = takes
        attempt = Attempt(
            writer, Teller(*answers), WorkerSettings(**settings), Ask(Call({})),
            Options("continue", None, None, 60.0, None, "normal"), usage={}, output_bytes=output_bytes,
        )  # fmt: skip
        async with asyncio.timeout(10):
            return await attempt.run(), put

    return asyncio.run(run())


def test_an_answer_with_its_end_is_complete() -> None:
    assert run(WHOLE) == (Ending("completed", stop_reason="end_turn"), ["one ", "two"])


@pytest.mark.parametrize("length", range(len(WHOLE)))
def test_an_answer_that_ends_without_its_end_is_never_complete_however_much_has_come(length: int) -> None:
    outcome, put = run(WHOLE[:length])
    assert isinstance(outcome, Interrupted)
    assert outcome.code == "upstream_truncated"
    assert "".join(put) == "one two"[: 4 * (length > 2) + 3 * (length > 3)]


def test_an_end_without_its_reason_is_none() -> None:
    outcome, _ = run([START, OPEN, text("one"), CLOSE, STOP])
    assert isinstance(outcome, Interrupted)


def test_a_call_is_repeated_only_as_long_as_nothing_has_come() -> None:
    away = UpstreamFailure("upstream_error", "no", retry_after=0)
    outcome, put = run([away], WHOLE)
    assert (outcome, put) == (Ending("completed", stop_reason="end_turn"), ["one ", "two"])
    outcome, put = run([START, OPEN, text("one "), away], WHOLE)
    assert isinstance(outcome, Interrupted)
    assert (outcome.code, put) == ("upstream_error", ["one "])


@pytest.mark.parametrize(("before", "ends"), [(0, False), (900, True)])
def test_what_earlier_attempts_have_put_out_counts_against_the_limit_of_a_log(before: int, ends: bool) -> None:
    answer = [START, OPEN, *(text("x" * 50) for _ in range(5)), CLOSE, USAGE, STOP]
    outcome, put = run(answer, output_bytes=before, max_output_bytes=1024)
    assert isinstance(outcome, Ending)
    assert (outcome.state, outcome.code) == (("failed", "output_limit") if ends else ("completed", ""))
    assert len(put) < 5 if ends else len(put) == 5


def test_an_upstream_without_end_is_cut_off_at_the_limit() -> None:
    outcome, put = run([START, OPEN, *(text("x" * 100) for _ in range(1000))], max_output_bytes=2048)
    assert outcome == Ending("failed", code="output_limit", message="The output is larger than a log may hold.")
    assert 1000 < len("".join(put)) <= 2048


@pytest.mark.parametrize(("left", "whole"), [(0, True), (-1, False)])
def test_an_output_may_fill_the_limit_to_its_last_byte(left: int, whole: bool) -> None:
    answer = Telling(Call({}), WHOLE)
    size = sum(len(content.value) for told in WHOLE for content in answer.entries(told))
    outcome, _ = run(WHOLE, output_bytes=2048 - size - left, max_output_bytes=2048)
    assert isinstance(outcome, Ending)
    assert outcome.code == ("" if whole else "output_limit")
