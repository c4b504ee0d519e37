"""The state machine of a generation, pure, against the scripts on a real server: whatever order things happen in, both say
the same, and after every step all that viewers rely on holds.

Workers may be paused and resumed at will: an attempt that was granted long ago appends, finishes and releases at any
time. Replies may be lost: a worker repeats what it did, from wherever it believes the log to end. The store may come back
as it was a while ago.
"""

import copy
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from api.dialects.native import wire_json
from broker.errors import AlreadyEnded, IdempotencyMismatch
from broker.events import TEXT, Content, Entry
from broker.ids import BEGINNING, EntryId, new_generation_id
from broker.local.embedded import EmbeddedServer
from broker.record import Ending
from broker.replies import Accepted, Appended, AppendReply, Behind, Fenced, Finished, Refused
from tests.broker.store.scripted import LEASE_MS, Generation, Saved, Server
from tests.harness.client import Frame
from tests.proof import invariants

MOST_ATTEMPTS = 3
_ENDED = ("completed", "failed", "cancelled")


@dataclass
class Model:
    """What a generation is, without Redis. `leased` is None after a release. A log entry is its id and, where the model
    knows them, its bytes. `before` is how many there were when the attempt was claimed, `reached` how many the longest attempt
    has appended."""

    state: str = "queued"
    attempt: int = 0
    ordinal: int = 0
    spent: int = 0
    before: int = 0
    reached: int = 0
    leased: bool | None = None
    cancel: bool = False
    log: list[tuple[EntryId, bytes | None]] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return self.state in _ENDED

    @property
    def last(self) -> EntryId:
        return self.log[-1][0] if self.log else BEGINNING

    def runs(self, attempt: int) -> bool:
        return self.state == "running" and self.attempt == attempt

    def end(self, state: str, id_: EntryId) -> None:
        self.state, self.leased, self.cancel = state, None, False
        self.log.append((id_, None))

    def settle(self, *, handed_over: bool = False) -> None:
        """The attempt is over: it counts unless it was handed over or got further than any before it."""
        own = len(self.log) - self.before - 1
        self.spent -= handed_over or own > self.reached
        self.reached = max(self.reached, own)
        self.leased = None

    def claim(self, planned_from: EntryId, run: bool) -> str:
        """What a claim is answered; `granted` and `sealed` still need the id that the server chose."""
        if self.leased:
            return "held"
        if self.leased is False:
            self.settle()
        if self.cancel or (self.ordinal and not run) or self.spent >= MOST_ATTEMPTS:
            return "sealed"
        return "granted" if planned_from == self.last else "moved"

    def append(self, attempt: int, first: int, values: list[bytes]) -> AppendReply:
        """What an append is answered, and does."""
        if not self.runs(attempt) or self.leased is None:
            return Fenced()
        last = self.last.seq
        if first > last + 1:
            return Behind(last)
        for value in values[last + 1 - first :]:
            self.log.append((EntryId(attempt, self.last.seq + 1), value))
        return Appended(self.last.seq, self.cancel)


@dataclass
class Worker:
    """One attempt in a worker's hands: everything it has ever put, under the ids that these have."""

    attempt: int
    put: list[bytes] = field(default_factory=list)


class Machine(RuleBasedStateMachine):
    """`seen` is everything that anybody was ever shown, across all that the store forgets."""

    server: Server

    @initialize()
    def submitted(self) -> None:
        self.generation = Generation(self.server)
        self.generation.create()
        self.model = Model()
        self.workers: list[Worker] = []
        self.saved: list[tuple[Model, Saved]] = []
        self.seen: list[invariants.Observation] = []
        self.keys: dict[str, tuple[str, str]] = {}
        self.words = (b"%d" % number for number in itertools.count())
        self.latest = 0

    # -- what clients do

    @rule(key=st.sampled_from("ab"), fingerprint=st.sampled_from("fg"))
    def submit(self, key: str, fingerprint: str) -> None:
        """I10: one idempotency key, one generation."""
        id_ = new_generation_id()
        known, body = self.keys.setdefault(key, (id_, fingerprint))
        call = self.server.coordination.submit(id_, f"{key} {self.generation.id}", fingerprint, 3000)
        if body != fingerprint:
            with pytest.raises(IdempotencyMismatch):
                self.server.do(call)
        else:
            assert self.server.do(call) == Accepted(known, known != id_)

    @precondition(lambda self: not self.model.ended)
    @rule()
    def cancel(self) -> None:
        model = self.model
        if model.leased:
            assert self.generation.cancel() == "cancelling"
            model.cancel = True
        else:
            assert self.generation.cancel() == "cancelled"
            model.end("cancelled", self._own_attempt())

    # -- what workers do

    @precondition(lambda self: not self.model.ended)
    @rule()
    def take_over(self) -> None:
        self.lease_runs_out()
        self.claim(stale=False, run=True)

    @precondition(lambda self: not self.model.ended)
    @rule(stale=st.booleans(), run=st.booleans())
    def claim(self, stale: bool, run: bool) -> None:
        model = self.model
        planned_from = EntryId(1, 0) if stale else model.last
        expected = model.claim(planned_from, run)
        verdict = self.generation.claim(planned_from, run=run, most=MOST_ATTEMPTS)
        if isinstance(verdict, Refused):
            assert verdict.why == expected
            if expected == "sealed":
                model.end("cancelled" if model.cancel else "failed", self._own_attempt())
            return
        assert expected == "granted"
        assert verdict.ordinal == model.ordinal + 1
        assert verdict.attempt > self.latest
        model.before = len(model.log)
        model.log.append((EntryId(verdict.attempt, 0), None))
        model.state, model.attempt, model.leased = "running", verdict.attempt, True
        model.ordinal, model.spent = model.ordinal + 1, model.spent + 1
        self.workers.append(Worker(verdict.attempt))
        self.seen.append(invariants.Claimed(verdict.attempt))

    @precondition(lambda self: self.workers and not self.model.ended)
    @rule(fresh=st.integers(0, 3), renews=st.booleans())
    def append(self, fresh: int, renews: bool) -> None:
        """By the latest attempt, everything that the log lacks."""
        worker = self.workers[-1]
        first = self.model.last.seq + 1 if self.model.last.attempt == worker.attempt else len(worker.put) + 1
        self._append(worker, fresh, min(first, len(worker.put) + 1), renews)

    @precondition(lambda self: self.workers and not self.model.ended)
    @rule(data=st.data(), fresh=st.integers(0, 3), renews=st.booleans())
    def append_out_of_turn(self, data: st.DataObject, fresh: int, renews: bool) -> None:
        """By any worker, from anywhere in what it has put: repeated, overlapping, behind what the log has lost."""
        worker = data.draw(st.sampled_from(self.workers))
        self._append(worker, fresh, data.draw(st.integers(1, len(worker.put) + 1)), renews)

    def _append(self, worker: Worker, fresh: int, first: int, renews: bool) -> None:
        worker.put += itertools.islice(self.words, fresh)
        values = worker.put[first - 1 :]
        expected = self.model.append(worker.attempt, first, values)
        contents = [Content(TEXT, value) for value in values]
        reply = self.generation.append(worker.attempt, first, *contents, lease_ms=LEASE_MS if renews else 0)
        assert reply == expected
        if isinstance(reply, Appended):
            self.seen.append(invariants.Appended(worker.attempt))
            self.model.leased = self.model.leased or renews

    @precondition(lambda self: self.workers and not self.model.ended)
    @rule(data=st.data(), state=st.sampled_from(_ENDED))
    def finish(self, data: st.DataObject, state: str) -> None:
        model, worker = self.model, data.draw(st.sampled_from(self.workers[::-1]))
        finished = self.generation.finish(worker.attempt, len(worker.put) + 1, Ending(state))  # type: ignore[arg-type]
        if not model.runs(worker.attempt) or model.last.attempt != worker.attempt:  # that is behind `recovering`
            assert finished == Finished("fenced")
        elif model.last.seq < len(worker.put):
            assert finished == Finished("behind", model.last.seq)
        else:
            assert finished == Finished("ended")
            model.end(state, self._own_attempt())

    @precondition(lambda self: self.workers and not self.model.ended)
    @rule(data=st.data(), counts=st.booleans(), twice=st.booleans())
    def release(self, data: st.DataObject, counts: bool, twice: bool) -> None:
        model, worker = self.model, data.draw(st.sampled_from(self.workers[::-1]))
        for _ in range(1 + twice):
            assert self.generation.release(worker.attempt, counts=counts) == model.runs(worker.attempt)
        if model.runs(worker.attempt) and model.leased is not None:
            model.settle(handed_over=not counts)

    @precondition(lambda self: self.workers and not self.model.ended)
    @rule(dead=st.booleans())
    def revoke(self, dead: bool) -> None:
        """By a parent that knows the worker to be dead, or by a sweeper."""
        model, worker = self.model, self.workers[-1]
        lapsed = model.runs(worker.attempt) and model.leased is not None if dead else model.leased is False
        revoked = self.generation.revoke(worker.attempt if dead else None)
        assert revoked == lapsed
        if revoked:
            model.settle()
            if not model.cancel:
                model.log.append((self._own_attempt(), None))

    @precondition(lambda self: self.model.ended)
    @rule()
    def nothing_follows_the_end(self) -> None:
        generation, state = self.generation, self.model.state
        assert not generation.create()
        assert generation.claim() == Refused("ended")
        if state == "cancelled":
            assert generation.cancel() == "cancelled"
        else:
            with pytest.raises(AlreadyEnded):
                generation.cancel()
        for worker in self.workers:
            assert generation.append(worker.attempt, len(worker.put) + 1, Content(TEXT, b"!")) == Fenced()
            assert generation.finish(worker.attempt, len(worker.put) + 1) == Finished("ended")
            assert not generation.release(worker.attempt)

    # -- what happens to them

    @precondition(lambda self: self.model.leased)
    @rule()
    def lease_runs_out(self) -> None:
        """A crash, or a pause: nobody renews it."""
        self.generation.expire_lease()
        self.model.leased = False if self.model.leased else self.model.leased

    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        """A failover to a replica that lagged behind: it takes longer than the few ms that attempts, granted within one,
        are ahead of the clock."""
        while self.server.now_ms() <= self.latest:
            time.sleep(0.001)
        model, store = data.draw(st.sampled_from(self.saved))
        self.generation.roll_back(store)
        self.model = copy.deepcopy(model)
        self.seen.append(invariants.Rewound())

    # -- what always holds

    def _own_attempt(self) -> EntryId:
        """The id of an end that was just written: of an attempt that nobody else ever had."""
        last = self.generation.last
        assert last.seq == 0
        assert last.attempt > self.latest
        return last

    @invariant()
    def both_say_the_same(self) -> None:
        model, generation, log = self.model, self.generation, self.generation.log
        self.latest = max([self.latest, *(entry.id.attempt for entry in log)])
        assert [entry.id for entry in log] == [id_ for id_, _ in model.log]
        assert all(value is None or entry.value == value for entry, (_, value) in zip(log, model.log, strict=True))
        fields = generation.fields
        assert fields[b"state"].decode() == model.state
        assert (int(fields.get(b"spent", 0)), int(fields.get(b"ordinal", 0))) == (model.spent, model.ordinal)
        store = generation.save()
        assert (generation.field("cancel") is not None) == model.cancel
        assert all(ttl != -1 for _, _, ttl in store.keys), "a key that lives for ever"
        self.saved.append((copy.deepcopy(model), store))
        self.seen.append(invariants.Read([_frame(entry) for entry in log]))

    def teardown(self) -> None:
        """I3 to I7, over everything that was read after every step."""
        invariants.check(self.seen)


def _frame(entry: Entry) -> Frame:
    return Frame(str(entry.id), orjson.loads(wire_json(entry.kind, entry.value)))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data: Path = tmp_path_factory.mktemp("model")
    with EmbeddedServer(data, config={"appendonly": "no"}) as running, Server(running.url) as server:
        yield server


def test_whatever_happens_in_whatever_order_the_scripts_do_as_the_model(server: Server) -> None:
    machine = type("OfThisServer", (Machine,), {"server": server})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=110, stateful_step_count=40, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )  # fmt: skip
