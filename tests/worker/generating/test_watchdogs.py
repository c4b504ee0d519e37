"""An attempt whose upstream is slow, silent or busy, on a clock that the test moves: who gives up, when, and what is said."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import orjson
import pytest

from broker.events import Content
from broker.record import Ending
from broker.request import Options
from tests.harness.clockwork import at_once
from tests.worker.upstreams.teller import CLOSE, OPEN, PING, START, STOP, USAGE, WHOLE, Teller, Telling, text
from worker.generating.attempt import Attempt, Interrupted, Left, Outcome, without_tail
from worker.generating.rounds import Ask
from worker.log.writer import Writer
from worker.settings import WorkerSettings
from worker.upstreams import Answer, Call, Json, UpstreamFailure


class Timed(Teller):
    """Notes when it was called."""

    def __init__(self, *answers: Iterable[Any]) -> None:
        super().__init__(*answers)
        self.called_at: list[float] = []

    def answer_to(self, call: Call) -> AbstractAsyncContextManager[Answer]:
        self.called_at.append(asyncio.get_running_loop().time())
        return super().answer_to(call)


class Scene:
    """One attempt; a ticker lets its watchdog bite, as the appender does, and `takes` tells whether the log takes entries."""

    def __init__(self, *answers: list[Any], takes: bool = True, most: int = 1000, **how: Any) -> None:
        loop = asyncio.get_running_loop()
        self.upstream = Timed(*answers)
        self.writer = Writer("gen_x", 7, max_unwritten=most, now=loop.time())
        self.takes = takes
        self.put: list[Content] = []
        self.writer.on_put = self._write
        self.usage: Json = how.pop("usage", {})
        stream: bool = how.pop("stream", True)
        options = {"first_token_timeout": None, "idle_timeout": None, "total_timeout": 1000.0, **how.pop("options", {})}
        self.attempt = Attempt(
            self.writer, self.upstream, WorkerSettings(**{"outage": 5.0, **how}), Ask(Call({})),
            Options(on_interrupt="continue", retention=None, durability="normal", stream=stream, **options),
            usage=self.usage, output_bytes=0,
        )  # fmt: skip
        self.begun = loop.time()

    def _write(self, writer: Writer) -> None:
        if self.takes:
            first, contents = writer.batch()
            self.put += contents
            writer.acknowledge(first + len(contents) - 1, 0.0)

    async def run(self) -> Outcome:
        ticker = asyncio.create_task(self._tick())
        try:
            outcome = await self.attempt.run()
        finally:
            ticker.cancel()
        assert self.upstream.open == 0, "its socket is closed"
        assert self.writer.deadline is None
        return outcome

    async def _tick(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(0.1)
            if (cause := self.writer.expired(clock())) is not None:
                self.writer.stop(cause)

    @property
    def seconds(self) -> float:
        return asyncio.get_running_loop().time() - self.begun

    @property
    def events(self) -> list[Json]:
        return [orjson.loads(each.value) for each in self.put if each.value.startswith(b"{")]


def test_an_upstream_that_says_nothing_is_given_up_when_the_first_token_is_overdue() -> None:
    async def scene() -> None:
        here = Scene([START, 1000], first_token_timeout=30)
        outcome = await here.run()
        assert isinstance(outcome, Ending)
        assert (outcome.state, outcome.code, outcome.retryable) == ("failed", "first_token_timeout", True)
        assert 30 <= here.seconds < 30.5

    at_once(scene())


def test_the_first_token_is_the_first_text_and_no_event_before_it() -> None:
    async def scene() -> None:
        here = Scene([START, 20, OPEN, 20, text("late")], first_token_timeout=30, idle_timeout=5)
        outcome = await here.run()
        assert isinstance(outcome, Ending)
        assert outcome.code == "first_token_timeout"

    at_once(scene())


def test_an_answer_that_comes_as_one_is_awaited_for_as_long_as_the_whole_may_take() -> None:
    async def scene() -> None:
        late = Scene([90, START, OPEN, text("all"), CLOSE, USAGE, STOP], stream=False, first_token_timeout=30)
        assert await late.run() == Ending("completed", stop_reason="end_turn")
        never = Scene([1000], stream=False, first_token_timeout=30, options={"total_timeout": 60.0})
        assert getattr(await never.run(), "code", "") == "total_timeout"
        assert 60 <= never.seconds < 60.5

    at_once(scene())


def test_behind_the_first_token_silence_counts_and_pings_are_silence() -> None:
    async def scene() -> None:
        here = Scene([START, OPEN, text("a"), 9, text("b"), 6, PING, 6, text("never")], idle_timeout=10)
        outcome = await here.run()
        assert isinstance(outcome, Interrupted)
        assert outcome.code == "idle_timeout"
        assert 19 <= here.seconds < 19.5
        assert [each.value for each in here.put if each.kind == b"t"] == [b"a", b"b"]

    at_once(scene())


def test_what_the_submitter_allows_overrules_the_settings() -> None:
    async def scene() -> None:
        options = {"first_token_timeout": 3.0, "idle_timeout": 2.0}
        early = Scene([1000], options=options, first_token_timeout=30)
        assert getattr(await early.run(), "code", "") == "first_token_timeout"
        assert 3 <= early.seconds < 3.5
        silent = Scene([START, OPEN, text("a"), 1000], options=options, idle_timeout=30)
        assert getattr(await silent.run(), "code", "") == "idle_timeout"
        assert 2 <= silent.seconds < 2.5

    at_once(scene())


def test_the_whole_must_not_take_longer_than_the_total_however_lively_it_is() -> None:
    async def scene() -> None:
        lively = [each for _ in range(100) for each in (1, text("x"))]
        here = Scene([START, OPEN, *lively], options={"total_timeout": 20.0}, idle_timeout=10)
        outcome = await here.run()
        assert isinstance(outcome, Ending)
        assert (outcome.state, outcome.code, outcome.retryable) == ("failed", "total_timeout", True)
        assert 20 <= here.seconds < 20.5

    at_once(scene())


def test_refused_calls_are_repeated_with_growing_pauses_that_viewers_see_and_so_often() -> None:
    async def scene() -> None:
        busy = UpstreamFailure("upstream_overloaded", "busy")
        here = Scene(*[[busy]] * 4, upstream_tries=4)
        outcome = await here.run()
        assert isinstance(outcome, Ending)
        assert (outcome.state, outcome.code, outcome.retryable) == ("failed", "upstream_overloaded", True)
        assert len(here.upstream.calls) == 4
        assert [each["tries"] for each in here.events] == [1, 2, 3]
        pauses = [
            after - before for before, after in zip(here.upstream.called_at, here.upstream.called_at[1:], strict=False)
        ]
        assert pauses[0] <= 0.5 < 0.6 <= pauses[1] + 0.1
        for shown, pause in zip(here.events, pauses, strict=True):
            assert (shown["type"], shown["code"]) == ("retrying", "upstream_overloaded")
            assert abs(int(str(shown["delay_ms"])) / 1000 - pause) < 0.01

    at_once(scene())


def test_a_pause_that_upstream_asks_for_is_no_silence_but_the_total_goes_on() -> None:
    async def scene() -> None:
        here = Scene([UpstreamFailure("upstream_rate_limited", "wait", retry_after=15)], WHOLE, first_token_timeout=5)
        assert isinstance(await here.run(), Ending)
        assert 15 <= here.seconds < 16
        assert abs(int(str(here.events[0]["delay_ms"])) - 1000 * here.seconds) < 5
        cut = Scene(
            [UpstreamFailure("upstream_rate_limited", "wait", retry_after=15)],
            WHOLE,
            options={"total_timeout": 10.0},
            idle_timeout=5,
        )
        assert getattr(await cut.run(), "code", "") == "total_timeout"
        assert 10 <= cut.seconds < 10.5

    at_once(scene())


@pytest.mark.parametrize("retryable", [True, False])
def test_a_refusal_says_itself_whether_the_same_may_succeed_later(retryable: bool) -> None:
    async def scene() -> None:
        outcome = await Scene([UpstreamFailure("upstream_error", "no", retryable=retryable)], upstream_tries=1).run()
        assert outcome == Ending("failed", code="upstream_error", message="no", retryable=retryable)

    at_once(scene())


@pytest.mark.parametrize("retryable", [True, False])
def test_what_must_not_be_repeated_is_not(retryable: bool) -> None:
    async def scene() -> None:
        failure = UpstreamFailure("upstream_error", "no", retryable=retryable)
        here = Scene([START, OPEN, failure] if retryable else [failure], WHOLE)
        outcome = await here.run()
        assert len(here.upstream.calls) == 1
        if retryable:
            assert isinstance(outcome, Interrupted)
        else:
            assert isinstance(outcome, Ending)
            assert (outcome.state, outcome.message, outcome.retryable) == ("failed", "no", False)

    at_once(scene())


def test_while_redis_takes_nothing_upstream_is_not_read_and_nobody_is_taken_for_silent() -> None:
    async def scene() -> None:
        here = Scene([START, OPEN, *[text("x")] * 20, CLOSE, USAGE, STOP], takes=False, most=5, idle_timeout=10)
        running = asyncio.create_task(here.run())
        await asyncio.sleep(60)
        assert here.writer.unwritten == 5
        assert not running.done()
        here.takes = True
        here.writer.put([])
        assert await running == Ending("completed", stop_reason="end_turn")
        assert len([each for each in here.put if each.kind == b"t"]) == 20

    at_once(scene())


def test_what_an_attempt_costs_is_known_as_soon_as_upstream_says_it_and_on_top_of_earlier_ones() -> None:
    async def scene() -> None:
        here = Scene([START, OPEN, text("a"), 5, CLOSE, USAGE, STOP], usage={"input_tokens": 10, "output_tokens": 4})
        running = asyncio.create_task(here.run())
        await asyncio.sleep(1)
        assert orjson.loads(here.writer.usage) == {"input_tokens": 13, "output_tokens": 4}
        await running
        assert orjson.loads(here.writer.usage) == {"input_tokens": 13, "output_tokens": 6}

    at_once(scene())


@pytest.mark.parametrize(
    ("cause", "outcome"),
    [
        ("cancelled", Ending("cancelled")),
        ("fenced", Left("fenced")),
        ("rewound", Left("rewound")),
        ("drain", Left("drain")),
        ("storage_full", Ending("failed", code="storage_full", message="The storage is full.", retryable=True)),
        (
            "storage_error",
            Ending("failed", code="storage_error", message="The storage refused an entry.", retryable=True),
        ),
    ],
)
def test_who_stops_an_attempt_decides_how_it_went_whether_it_has_begun_or_not(cause: Any, outcome: Outcome) -> None:
    async def scene() -> None:
        here = Scene([START, OPEN, text("a"), 1000])
        asyncio.get_running_loop().call_later(3, here.writer.stop, cause)
        assert await here.run() == outcome
        assert 3 <= here.seconds < 3.5
        stopped = Scene(WHOLE)
        stopped.writer.stop(cause)
        assert await stopped.run() == outcome
        assert (stopped.upstream.calls, stopped.put) == ([], [])

    at_once(scene())


def test_what_was_put_is_written_before_the_outcome_is_told_or_the_outage_is_over() -> None:
    async def scene() -> None:
        here = Scene(WHOLE, takes=False, outage=5)
        assert await here.run() == Ending("completed", stop_reason="end_turn")
        assert 5 <= here.seconds < 5.5
        late = Scene(WHOLE, takes=False, outage=50)
        asyncio.get_running_loop().call_later(2, setattr, late, "takes", True)
        asyncio.get_running_loop().call_later(3, late.writer.put, [])
        assert await late.run() == Ending("completed", stop_reason="end_turn")
        assert 3 <= late.seconds < 4
        assert late.writer.unwritten == 0

    at_once(scene())


def test_a_mistake_of_ours_is_an_interruption_and_no_answer() -> None:
    async def scene() -> None:
        outcome = await Scene([START, OPEN, ZeroDivisionError()]).run()
        assert outcome == Interrupted("internal_error", "The worker failed.")

    at_once(scene())


def test_who_cancels_the_attempt_itself_closes_the_socket_and_gets_no_outcome() -> None:
    async def scene() -> None:
        here = Scene([START, OPEN, text("a"), 1000])
        running = asyncio.create_task(here.run())
        await asyncio.sleep(1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert here.upstream.open == 0

    at_once(scene())


@pytest.mark.parametrize("before", [[], [START, OPEN]])
def test_an_answer_that_had_begun_is_an_interruption_and_no_call_is_repeated(before: list[Any]) -> None:
    async def scene() -> None:
        here = Scene([*before, UpstreamFailure("upstream_malformed", "odd", begun=True)], WHOLE)
        assert await here.run() == Interrupted("upstream_malformed", "odd")
        assert len(here.upstream.calls) == 1

    at_once(scene())


def test_a_refusal_that_stands_is_an_end_however_much_has_come() -> None:
    async def scene() -> None:
        refusal = UpstreamFailure("upstream_invalid_request", "no", retryable=False)
        outcome = await Scene([START, OPEN, text("a"), refusal]).run()
        assert outcome == Ending("failed", code="upstream_invalid_request", message="no")

    at_once(scene())


def test_behind_the_first_token_whatever_comes_is_a_sign_of_life() -> None:
    async def scene() -> None:
        here = Scene([START, OPEN, text("a"), 6, CLOSE, 6, USAGE, 6, STOP], idle_timeout=10)
        assert await here.run() == Ending("completed", stop_reason="end_turn")

    at_once(scene())


@pytest.mark.parametrize("cause", ["storage_full", "storage_error"])
def test_an_end_without_its_tail_says_why(cause: Any) -> None:
    ending = without_tail(Ending("completed", stop_reason="end_turn"), cause)
    assert (ending.state, ending.code, ending.retryable) == ("failed", cause, True)


def test_a_socket_that_will_not_close_holds_up_a_cancelled_attempt_for_five_seconds() -> None:
    class Stuck(Teller):
        @asynccontextmanager
        async def _tells(self, call: Call) -> AsyncIterator[Answer]:
            try:
                yield Telling(call, [START, 1000])
            finally:
                await asyncio.sleep(100)

    async def scene() -> None:
        here = Scene()
        here.attempt._upstream = Stuck()
        running = asyncio.create_task(here.attempt.run())
        await asyncio.sleep(1)
        running.cancel()
        await asyncio.wait({running})
        assert 6 <= here.seconds < 6.5
        assert running.cancelled()

    at_once(scene())


def test_a_reading_that_was_cancelled_for_no_reason_of_ours_has_no_outcome() -> None:
    class Cancels(Teller):
        @asynccontextmanager
        async def _tells(self, call: Call) -> AsyncIterator[Answer]:
            raise asyncio.CancelledError
            yield  # a context manager all the same

    async def scene() -> None:
        here = Scene()
        here.attempt._upstream = Cancels()
        with pytest.raises(asyncio.CancelledError):
            await here.attempt.run()

    at_once(scene())
