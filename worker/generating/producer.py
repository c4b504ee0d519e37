"""A generation in this worker's hands: plan, claim, attempt, and what follows from how it went.

Whatever goes wrong here loses nothing: the lease runs out, `due` brings the generation back, the next attempt is fenced
off from this one.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import orjson

from broker.aside import Aside
from broker.errors import BrokerError, PayloadUnreadable, StorageUnavailable, TooBusy
from broker.events import TEXT
from broker.record import Ending, Record
from broker.replies import Granted
from broker.sealing import Seal
from broker.store.coordination import Coordination
from broker.store.indexes import Ends, file_ended
from broker.store.logs import Logs
from broker.store.queue import Job
from broker.store.reading import read_up
from broker.transcript import Transcript
from broker.turns import Turns
from worker.budgets.fleet import Budgets
from worker.generating.abandonment import Abandonment
from worker.generating.attempt import Attempt, Interrupted, Left, Outcome, without_tail
from worker.generating.holding_back import HoldingBack
from worker.generating.judging import judged
from worker.generating.plan import Plan, plan
from worker.generating.retry import pause
from worker.generating.toolbox import Toolbox
from worker.generating.tooled import Tooled
from worker.guardrails.guard import Guard
from worker.guardrails.verdicts import Check, Subject
from worker.log.appender import Appender
from worker.log.writer import Writer
from worker.prices import Bill, Prices
from worker.settings import WorkerSettings
from worker.upstreams import Upstream

log = logging.getLogger("respool.producer")

_CLAIM_TRIES = 5
_LARGE = 16 * 1024
"""Bytes of a request."""


class Producer:
    """`name` is the process's, by which its claims are known; `draining` is set at shutdown: nothing is claimed any more.
    `abandonment` is to be run as a task. `upstream_of` says what a tenant's generations are made with, where that is not
    `upstream`."""

    def __init__(
        self, name: str, logs: Logs, coordination: Coordination, ends: Ends, appender: Appender, upstream: Upstream,
        settings: WorkerSettings, toolbox: Toolbox | None = None, checks: Sequence[Check] = (),
        prices: Prices | None = None, budgets: Budgets | None = None,
        upstream_of: Callable[[str], Upstream] | None = None,
    ) -> None:  # fmt: skip
        self._checks = checks
        self._budgets = budgets
        self._guarded = any(check.on_failure == "closed" for check in checks)
        self._name = name
        self._logs = logs
        self._coordination = coordination
        self._ends = ends
        self._appender = appender
        self._upstream = upstream
        self._upstream_of = upstream_of or (lambda _: upstream)
        self._holding_back = (
            None
            if budgets is None
            else HoldingBack(budgets, self._upstream_of, coordination, max(1, settings.max_jobs // 2))
        )
        self._keyed = settings.keyed
        self._settings = settings
        self.abandonment = Abandonment(logs)
        self._toolbox = toolbox or Toolbox({}, settings)
        self._prices = prices
        self._turns = Turns()
        self._aside = Aside()
        self.draining = False

    async def produce(self, job: str, started: Callable[[], object] = lambda: None) -> bool:
        """Runs attempts until this job's generation has ended or is no longer ours to run. Whether it has ended, by which its
        job is cleared away. `started` is called when it is decided whether it is ours. Never raises for what can happen."""
        id_ = Job.of(job).id
        try:
            for _ in range(self._settings.attempts_in_all + 1):
                claimed = await self._claim(id_)
                started()
                if claimed is None:
                    return False
                if (ended := await self._once(id_, job, *claimed)) is not None:
                    return ended
        except TooBusy as error:
            log.warning("%s: %s, the sweeper will see to it", id_, error)
        except PayloadUnreadable as error:
            log.error("%s: %s; it waits for a worker that can read it", id_, error)
        except StorageUnavailable:
            log.warning("%s: Redis is away, the sweeper will see to it", id_)
        except BrokerError as error:
            log.warning("%s: given up: %s", id_, error)
        return False

    async def _once(self, id_: str, job: str, the_plan: Plan, granted: Granted) -> bool | None:
        """One attempt; whether the generation has ended, None if this worker should try another."""
        clock = asyncio.get_running_loop().time
        seal = await self._seal_of(the_plan.record)
        writer = Writer(id_, granted.attempt, max_unwritten=self._settings.max_unwritten, now=clock(), seal=seal)
        self._appender.add(writer)
        self.abandonment.add(writer, the_plan.options)
        if self.draining:
            writer.stop("drain")
        guard = self._guard(the_plan, writer)
        try:
            attempt = Attempt(
                writer, self._upstream_of(the_plan.record.owner), self._settings, the_plan.first, the_plan.options,
                usage=orjson.loads(the_plan.record.usage),
                output_bytes=the_plan.keep_bytes,
                paid=granted.paid,
                bill=Bill(self._prices, the_plan.record.spent_before),
                opening=the_plan.opening,
                tooled=self._tooled(the_plan, writer, granted),
                guard=guard,
                budgets=self._budgets,
            )  # fmt: skip
            outcome = await attempt.run()
            if guard is not None:
                outcome = await judged(guard, writer, outcome, attempt.latest)
            return await self._conclude(the_plan, granted, writer, job, outcome)
        finally:
            if guard is not None:
                guard.close()
            self.abandonment.remove(writer)
            self._appender.remove(writer)
            if seal is not None:
                self._logs.vault.forget(id_)

    async def _seal_of(self, record: Record) -> Seal | None:
        """What this generation's payloads are sealed with; it was opened when the record was read."""
        return await self._logs.vault.of(record.id, record.owner, record.sealed) if record.sealed else None

    def _tooled(self, the_plan: Plan, writer: Writer, granted: Granted) -> Tooled | None:
        """What an attempt with server tools works with."""
        if the_plan.rounds is None or the_plan.transcript is None:
            return None
        the_plan.transcript.keep(the_plan.keep_blocks)
        return Tooled(the_plan.rounds, the_plan.transcript, self._toolbox, writer, granted.ordinal)

    def _guard(self, the_plan: Plan, writer: Writer) -> Guard | None:
        """What has this attempt's text checked, where there are checks."""
        if not self._checks:
            return None

        def blocked() -> None:
            writer.drop_unwritten()
            writer.stop("blocked")

        record = the_plan.record
        opening = b"".join([value for kind, value in the_plan.opening if kind == TEXT])
        subject = Subject(record.id, record.model, the_plan.options.labels or {}, whole=False)
        return Guard(self._checks, subject, the_plan.keep_text + opening.decode(), writer.put, blocked)

    # -- before

    async def _claim(self, id_: str) -> tuple[Plan, Granted] | None:
        """The plan and the right to carry it out, or None if there is nothing for this worker to do."""
        claimant = f"{self._name}/{secrets.token_hex(8)}"
        for _ in range(_CLAIM_TRIES):
            if self.draining:
                return None
            record = await self._logs.record(id_, with_request=True)
            if record.ended:
                return None
            transcript = Transcript()
            if record.ordinal and not await read_up(self._logs, id_, transcript, self._turns):
                continue
            the_plan = await self._planned(record, transcript)
            if self._holding_back is not None and await self._holding_back.held(the_plan):
                return None
            reply = await self._logs.claim(
                id_,
                claimant,
                lease_ms=round(self._settings.lease * 1000),
                most_attempts=self._settings.most_attempts,
                planned_from=the_plan.read_to,
                run=the_plan.options.on_interrupt != "fail",
                start_json=the_plan.start_json,
                kept_chunks=the_plan.keep_chunks,
                discards=the_plan.reason == "restart",
                attempts_in_all=self._settings.attempts_in_all,
                most_paid=the_plan.options.max_spend_tokens or 0,
                guarded=self._guarded,
            )
            if isinstance(reply, Granted):
                return the_plan, reply
            if reply.why == "sealed":
                with suppress(BrokerError):  # failing that, the sweeper does it
                    await file_ended(self._logs, self._coordination, [id_])
            if reply.why != "moved":
                return None
        return None

    async def _planned(self, record: Record, transcript: Transcript) -> Plan:
        """A large request is read beside the loop: 10,000 messages take 20 ms."""
        assert record.request is not None
        if len(record.request) > _LARGE:
            return await self._aside.run(lambda: self._plan(record, transcript))
        return self._plan(record, transcript)

    def _plan(self, record: Record, transcript: Transcript) -> Plan:
        return plan(record, transcript, self._upstream.resumed, self._toolbox.tools, self._keyed)

    # -- after

    async def _conclude(
        self, the_plan: Plan, granted: Granted, writer: Writer, job: str, outcome: Outcome
    ) -> bool | None:
        """Does what the outcome asks for; whether the generation has ended, None if this worker should try another attempt."""
        match outcome:
            case Ending():
                return await self._finish(writer, job, outcome)
            case Interrupted() if the_plan.options.on_interrupt == "fail" or not writer.writable:
                return await self._finish(writer, job, _broken_off(outcome))
            case Interrupted():
                return await self._go_on(granted, writer, job, outcome)
            case Left("drain"):
                await self._hand_over(the_plan.record, granted, writer)
            case Left():
                log.info("%s: attempt %d left: %s", writer.id, granted.ordinal, outcome.cause)
        return False

    async def _go_on(self, granted: Granted, writer: Writer, job: str, outcome: Interrupted) -> bool | None:
        """Makes way for another attempt, by this worker after a pause; ends the generation if none may follow."""
        settings = self._settings
        released = await self._logs.release(
            writer.id, writer.attempt, counts=True,
            most_attempts=settings.most_attempts, attempts_in_all=settings.attempts_in_all,
        )  # fmt: skip
        match released.why:
            case "last":
                return await self._finish(writer, job, _broken_off(outcome))
            case "exhausted":
                message = f"There were {granted.ordinal} attempts, as many as may be. The last: {outcome.code}."
                return await self._finish(writer, job, Ending.failed("attempts_exhausted", message))
        log.info("%s: attempt %d interrupted: %s", writer.id, granted.ordinal, outcome.code)
        await asyncio.sleep(pause(max(1, released.spent), None, 0))
        return None

    async def _finish(self, writer: Writer, job: str, ending: Ending) -> bool:
        """Writes the end behind everything that was put, through any outage of bounded length; whether it has ended. The end
        names the seq behind the last entry in hand, and the script refuses it if the log does not end there: no end hides an
        entry that is not written. If Redis takes no entry any more, what is left is dropped, and the end says so."""
        clock = asyncio.get_running_loop().time
        give_up = clock() + self._settings.outage
        while clock() < give_up:
            if ending.withdraw:
                writer.drop_unwritten()
            written = await writer.flushed(give_up - clock())
            if writer.cause in ("fenced", "rewound"):
                return False
            if not written and not writer.writable:
                log.warning("%s: %d entries could not be written", writer.id, writer.drop_unwritten())
                ending = without_tail(ending, writer.unwritable)
            elif not written:
                continue
            try:
                told = replace(ending, measured=writer.measured)
                if writer.seal is not None:
                    told = writer.seal.sealed_ending(told)
                finished = await self._ends.finish(writer.id, writer.attempt, writer.next_seq, told, job)
            except StorageUnavailable:
                await asyncio.sleep(0.1)
                continue
            if finished.why != "behind":
                return finished.why == "ended"
            writer.acknowledge(finished.seq, clock())
            writer.put([])
        log.error("%s: Redis was away too long to write the end", writer.id)
        return False

    async def _hand_over(self, record: Record, granted: Granted, writer: Writer) -> None:
        """Lets another worker go on at once. The attempt does not count: a shutdown is no crash."""
        if (await self._logs.release(writer.id, writer.attempt, counts=False)).why == "released":
            await self._coordination.enqueue(
                record.id, granted.ordinal + 1,
                created_ms=record.created_ms, place_ms=record.place_ms, owner=record.owner,
            )  # fmt: skip
            await self._coordination.look_again({record.id: round(self._settings.pickup_grace * 1000)})


def _broken_off(outcome: Interrupted) -> Ending:
    """The end that an interruption is, where no attempt follows: another submit may succeed, whatever it was."""
    return Ending.failed(outcome.code, outcome.message, retryable=True)
