"""One attempt: call the upstream, put what it sends into the log, say how it went. Where the request has server tools, that
again and again, with the tools in between.

The upstream is read in a task of its own, so that whoever stops the attempt (a cancel, a watchdog, a lost claim, a drain)
cancels the reading, which closes the socket, and nothing else. That task sleeps while entries come: they are put into the
log where they are read (`_take`).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import orjson

from broker.events import DELTAS, Content, event
from broker.failures import FailureCode
from broker.record import Ending
from broker.request import Options
from worker.budgets.fleet import Budgets
from worker.generating.arrivals import Arrivals
from worker.generating.permits import BreakerOpen, Permits
from worker.generating.retry import another_may_answer, pause
from worker.generating.rounds import Ask, Over, Step, Use
from worker.generating.spending import Spending
from worker.generating.tooled import Tooled
from worker.generating.usage import Usage, added_usage
from worker.guardrails.guard import Guard
from worker.log.writer import Cause, Writer
from worker.prices import Bill
from worker.settings import WorkerSettings
from worker.upstreams import Answer, Call, Json, Upstream, UpstreamFailure

log = logging.getLogger("respool.attempt")


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The upstream broke off after it had begun: another attempt may follow."""

    code: FailureCode
    message: str


@dataclass(frozen=True, slots=True)
class Left:
    """The attempt is not this worker's any more: it was fenced, or handed over at shutdown."""

    cause: Cause


Outcome = Ending | Interrupted | Left

STOPPED: dict[Cause, Outcome] = {
    "cancelled": Ending("cancelled"),
    "abandoned": Ending("cancelled", reason="abandoned"),
    "first_token_timeout": Ending.failed("first_token_timeout", "The upstream sent no token in time."),
    "idle_timeout": Interrupted("idle_timeout", "The upstream fell silent."),
    "total_timeout": Ending.failed("total_timeout", "The generation took too long."),
    "storage_full": Ending.failed("storage_full", "The storage is full."),
    "blocked": Ending.failed("blocked", "A guardrail blocked what it had put out."),
    "storage_error": Ending.failed("storage_error", "The storage refused an entry."),
}


def without_tail(ending: Ending, cause: Cause | None) -> Ending:
    """How a generation ends whose last entries could not be written, for this cause: never as `completed`. A cancel was
    asked for, and may leave entries out."""
    if ending.state == "cancelled":
        return ending
    stopped = STOPPED["storage_full" if cause == "storage_full" else "storage_error"]
    assert isinstance(stopped, Ending)
    return stopped


class OutputLimit(Exception):
    """The generation has put out more bytes than a log may hold."""


class SpendExceeded(Exception):
    """The generation has cost more output tokens than its submitter allowed."""


class Attempt:
    """`first` is what it begins with, `usage`, `output_bytes` and `paid` (output tokens, at least) are what earlier
    attempts left, `opening` is what it puts first. `tooled`: where the request has server tools."""

    def __init__(
        self, writer: Writer, upstream: Upstream, settings: WorkerSettings, first: Step, options: Options,
        *, usage: Usage, output_bytes: int, paid: int = 0, bill: Bill | None = None,
        opening: Sequence[Content] = (), tooled: Tooled | None = None, guard: Guard | None = None,
        budgets: Budgets | None = None,
    ) -> None:  # fmt: skip
        self._writer = writer
        self._upstream = upstream
        self._permits = None if budgets is None else Permits(budgets, upstream, self._put)
        self._settings = settings
        self._first = first
        self._tooled = tooled
        self._opening = opening
        self._guard = guard
        self._taken = self._take if tooled is None else self._take_and_apply
        if guard is not None:
            self._taken = self._take_guarded
        self._earlier_usage = usage
        self._output_bytes = output_bytes
        self._cache = options.cache
        self._bill = bill or Bill(None, None)
        most = options.max_spend_tokens
        self._spending = None if most is None else Spending(most, paid)
        self._streams = options.stream
        self._others = list(options.fallback or ())
        self._falls_back = bool(options.fallback)
        self._answered_by: str | None = None
        self._model: str | None = None
        """The one that is asked instead of the request's."""
        self._first_timeout = options.first_token_timeout or settings.first_token_timeout
        self._idle_timeout = options.idle_timeout or settings.idle_timeout
        self._clock = asyncio.get_running_loop().time
        self._end: tuple[float, Cause] = (self._clock() + options.total_timeout, "total_timeout")
        self._begun = False
        self._token = False
        self._arrivals = Arrivals()
        self._answer: Answer
        self._usage: Json = {}
        self._said: Usage = {}

    async def run(self) -> Outcome:
        """Runs to an outcome; what was put is written when it returns, as far as it can be."""
        if self._opening:
            if self._tooled is not None:
                self._tooled.applied(self._writer.next_seq, self._opening)
            self._writer.put(list(self._opening))
        reading = asyncio.create_task(self._read())
        self._writer.on_stop = reading.cancel
        if self._writer.cause is not None:
            reading.cancel()
        try:
            await asyncio.wait({reading})
        finally:
            self._writer.deadline = None
            if not reading.done():
                reading.cancel()
                await asyncio.wait({reading}, timeout=5)
        if not reading.cancelled():
            error = reading.exception()
            outcome = reading.result() if error is None else self._broken(error)
        elif (cause := self._writer.cause) is not None:
            outcome = STOPPED.get(cause) or Left(cause)
        else:
            raise asyncio.CancelledError
        self._writer.measured = self._measured(outcome)
        await self._writer.flushed(self._settings.outage)
        return outcome

    def _measured(self, outcome: Outcome) -> bytes:
        """What is known of the pace. Of an answer that broke off the upstream has not counted the tokens."""
        tokens = self._said.get("output_tokens")
        whole = isinstance(outcome, Ending) and outcome.state == "completed"
        metrics = self._arrivals.metrics(tokens if whole and isinstance(tokens, int) else None)
        if not self._falls_back or self._answered_by is None:
            return metrics
        return metrics + b',"answered_by":' + orjson.dumps(self._answered_by)

    @property
    def latest(self) -> tuple[float, Cause]:
        """When it must be over, whatever it does."""
        return self._end

    def _broken(self, error: BaseException) -> Outcome:
        match error:
            case UpstreamFailure() if self._begun and error.retryable:
                return Interrupted(error.code, error.message)
            case UpstreamFailure():
                return Ending.failed(
                    error.code, error.message, retryable=error.retryable, retry_after=error.retry_after
                )
            case OutputLimit():
                return Ending.failed("output_limit", "The output is larger than a log may hold.")
            case SpendExceeded():
                return Ending.failed("spend_exceeded", "It has cost more output tokens than it may.")
        log.error("%s: the attempt failed in a way that has no code", self._writer.id, exc_info=error)
        return Interrupted("internal_error", "The worker failed.")

    # -- reading

    async def _read(self) -> Outcome:
        """From step to step. Raises what `_broken` knows."""
        if self._guard is not None:
            self._watch(None)
            await self._guard.look_back()
            if self._guard.blocked is not None:
                return STOPPED["blocked"]
        step, tooled = self._first, self._tooled
        if tooled is not None:
            tooled.told(self._put)
        while True:
            match step:
                case Over():
                    return step.ending
                case Ask():
                    stop_reason = await self._ask(step.call)
                    if stop_reason is None:
                        return Interrupted("upstream_truncated", "The upstream's answer ended without its end.")
                    if tooled is None:
                        return Ending("completed", stop_reason=stop_reason)
                    step = tooled.after_answer(stop_reason)
                case Use():
                    assert tooled is not None
                    self._watch(None)
                    step = await tooled.use(step.wanted, self._put)

    async def _ask(self, call: Call) -> str | None:
        """Calls the upstream until it answers, then reads the answer to its end: its stop reason if it is whole."""
        self._begun = self._token = False
        if self._spending is not None:
            self._bound(self._spending, [], self._said, over=False)
        if self._tooled is not None:
            self._tooled.asks()
        tries = 0
        while True:
            tries += 1
            try:
                return await self._read_once(self._of_model(call))
            except BreakerOpen as closed:
                self._fall_back(call, closed, tries)
                tries = 0
            except UpstreamFailure as failure:
                self._begun = self._begun or failure.begun
                if self._begun:
                    raise
                if not failure.retryable or tries >= self._settings.upstream_tries:
                    self._fall_back(call, failure, tries)
                    tries = 0
                    continue
                wait = pause(tries, failure.retry_after, self._settings.retry_after_cap)
                self._watch(None)
                self._put([event("retrying", code=failure.code, tries=tries, delay_ms=round(wait * 1000))])
                await asyncio.sleep(wait)

    def _of_model(self, call: Call) -> Call:
        return call if self._model is None else replace(call, body={**call.body, "model": self._model})

    def _fall_back(self, call: Call, failure: UpstreamFailure, tries: int) -> None:
        """Goes over to the next model. Raises the failure if there is none left, if it would refuse the same, or if there is
        something to go on from: what one model has begun no other goes on with."""
        if not self._has_others(call) or not another_may_answer(failure):
            raise failure
        self._model = self._others.pop(0)
        self._put([event("retrying", code=failure.code, tries=tries, delay_ms=0, model=self._model)])

    def _has_others(self, call: Call) -> bool:
        return bool(self._others) and not call.keep_blocks

    async def _read_once(self, call: Call) -> str | None:
        """Calls the upstream when it may be called."""
        if self._permits is None:
            return await self._read_answer(call, lambda _: None)
        self._watch(None)
        async with self._permits.call(call, others=self._has_others(call)) as answered:
            return await self._read_answer(call, answered)

    async def _read_answer(self, call: Call, answered: Callable[[Answer], None]) -> str | None:
        writer = self._writer
        self._watch("first_token_timeout" if self._streams else None)
        self._arrivals.paused()
        self._bill.calls(str(call.body.get("model")))
        call = replace(call, cache=self._cache, stream=self._streams)
        async with self._upstream.answer_to(call) as answer:
            answered(answer)
            self._answer, self._usage = answer, answer.usage
            self._answered_by = str(call.body.get("model", ""))
            while not await answer.read(self._taken):
                self._watch(None)  # it is Redis that is slow now
                await writer.room()
                if self._token:
                    self._watch("idle_timeout")
        self._earlier_usage = added_usage(self._earlier_usage, answer.usage)
        self._said = added_usage(self._said, answer.usage)
        return answer.stop_reason if answer.whole else None

    def _take(self, contents: list[Content]) -> bool:
        """Puts what has come; False if Redis is too far behind for more."""
        self._begun = True
        writer = self._writer
        self._output_bytes += sum([len(value) for _, value in contents])
        if self._output_bytes > self._settings.max_output_bytes:
            writer.put(self._within_limit(contents))
            raise OutputLimit
        writer.put(contents)
        usage = self._answer.usage
        if usage is not self._usage:
            self._usage = usage
            cost = self._bill.shows(usage)
            writer.usage = orjson.dumps(added_usage(self._earlier_usage, usage)) + (b"\n" + cost if cost else b"")
        if self._spending is not None:
            over = self._answer.stop_reason is not None
            self._bound(self._spending, contents, added_usage(self._said, usage), over=over)
        now = self._clock()
        if self._token:
            if contents[0][0] in DELTAS:
                self._arrivals.came(now, len(contents))
            self._watch("idle_timeout", now)
        elif any(kind in DELTAS for kind, _ in contents):
            self._token = writer.paced = True
            self._arrivals.came(now, len(contents))
            self._watch("idle_timeout", now)
        return not writer.crowded

    @staticmethod
    def _bound(spending: Spending, contents: list[Content], usage: Usage, *, over: bool) -> None:
        if spending.exceeded(contents, usage, over=over):
            raise SpendExceeded

    def _take_guarded(self, contents: list[Content]) -> bool:
        """The same, under guardrails."""
        assert self._guard is not None
        self._guard.take(contents)
        return self._take(contents) if self._tooled is None else self._take_and_apply(contents)

    def _take_and_apply(self, contents: list[Content]) -> bool:
        """The same, where the next call is made of what this one has said."""
        assert self._tooled is not None
        seq = self._writer.next_seq
        goes_on = self._take(contents)
        self._tooled.applied(seq, contents)
        return goes_on

    def _put(self, contents: list[Content]) -> None:
        """Puts what is the worker's own. Raises OutputLimit, and then puts nothing."""
        writer, tooled = self._writer, self._tooled
        if tooled is not None:
            self._output_bytes += sum(len(content.value) for content in contents)
            if self._output_bytes > self._settings.max_output_bytes:
                raise OutputLimit
            tooled.applied(writer.next_seq, contents)
        writer.put(contents)

    def _within_limit(self, contents: list[Content]) -> list[Content]:
        """Those of the entries, by which the output has become too large, that still fit."""
        room = self._settings.max_output_bytes - self._output_bytes + sum([len(value) for _, value in contents])
        sizes = accumulate(len(value) for _, value in contents)
        return [content for content, size in zip(contents, sizes, strict=True) if size <= room]

    def _watch(self, cause: Cause | None, now: float | None = None) -> None:
        """Sets the watchdog: for the first token, for progress, or for nothing but the total."""
        end = self._end
        if cause is not None:
            seconds = self._first_timeout if cause == "first_token_timeout" else self._idle_timeout
            at = (self._clock() if now is None else now) + seconds
            if at < end[0]:
                end = (at, cause)
        self._writer.deadline = end
