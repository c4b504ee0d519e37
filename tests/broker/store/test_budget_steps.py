"""The scripts of upstreams' budgets against the same in one process: whatever happens in whatever order, both say the same."""

import hashlib

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

from broker.breaker import Rules
from broker.budgets import Allowance, Budget, Limits, Outcome, Permit, Told, Wait
from broker.store import budget_steps
from broker.store.lua import Script
from tests.broker.store.scripted import Server
from worker.budgets.alone import Alone

_NOW = "test:now"
_TIME = "return now_us() / 1000"
HOLDS_MS = 10_000
BEGAN_MS = 1_795_262_601_000.0
RULES = Rules(failures=3, pause_ms=1000)


@pytest.fixture
def clocked(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The scripts read the time from a key."""
    for script in vars(budget_steps).values():
        if isinstance(script, Script):
            text = script.text.replace(_TIME, f"return tonumber(redis.call('GET', '{_NOW}'))")
            assert text != script.text
            monkeypatch.setattr(script, "text", text)
            monkeypatch.setattr(script, "sha", hashlib.sha1(text.encode()).hexdigest())
    at(server, BEGAN_MS)
    return server


def at(server: Server, ms: float) -> None:
    server.command("SET", _NOW, f"{ms:.3f}", "PX", 60_000)


class Budgets:
    """The scripts as one process calls them."""

    def __init__(
        self, server: Server, limits: Limits, name: str = "up", process: str = "p", rules: Rules = RULES
    ) -> None:
        self.server, self.process, self.rules = server, process, rules
        self.budget = Budget.of(name, "key", "model", limits)

    def ask(self, call: str, tokens: int = 1, waited_ms: float = 0.0) -> Permit | Wait:
        asked = budget_steps.permit(
            self.budget, call, self.process, waited_ms=waited_ms, tokens=tokens, holds_ms=HOLDS_MS
        )
        return self.server.do(asked.run(self.server.redis))

    def found(self, call: str, outcome: Outcome) -> tuple[str, bool]:
        return self.server.do(budget_steps.found(self.budget, call, outcome, self.rules).run(self.server.redis))

    def leave(self, call: str, back: int = 0) -> int:
        return self.server.do(budget_steps.leave(self.budget, {call: back}).run(self.server.redis))

    def hold(self, *calls: str) -> None:
        self.server.do(budget_steps.hold(self.budget, calls, HOLDS_MS).run(self.server.redis))


allowances = st.none() | st.builds(
    Allowance, st.none() | st.integers(1, 20), st.integers(0, 20), st.floats(0, 30).map(lambda s: round(s, 3))
)
outcomes = st.builds(
    Outcome,
    found=st.sampled_from(["answered", "overloaded", "overloaded", "failed", "gone"]),
    told=st.builds(Told, allowances, allowances),
    retry_ms=st.integers(0, 3000).map(float),
    limited=st.booleans(),
    before=st.integers(0, 2),
)
few = st.none() | st.integers(1, 4)


class Both(RuleBasedStateMachine):
    """No call is older than its permit holds: what lapses has tests of its own."""

    server: Server
    number = 0

    @initialize(
        limits=st.builds(
            Limits, concurrent=few, requests_per_minute=few | st.just(300), tokens_per_minute=few | st.just(1000)
        )
    )
    def begin(self, limits: Limits) -> None:
        Both.number += 1
        self.scripts = Budgets(self.server, limits, f"up-{Both.number}")
        self.alone = Alone.of(self.scripts.budget, RULES)
        self.now, self.made = BEGAN_MS, 0
        self.running: list[str] = []
        self.known: list[str] = []
        at(self.server, self.now)

    @rule(tokens=st.integers(0, 500))
    def ask(self, tokens: int) -> None:
        self.made += 1
        call = f"c{self.made}"
        said = self.scripts.ask(call, tokens)
        alone = self.alone.ask(call, self.now, tokens, HOLDS_MS)
        self.same(said, alone)
        if isinstance(said, Permit):
            self.running.append(call)
            self.known.append(call)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.running))
        self.same(self.scripts.ask(call, 5), self.alone.ask(call, self.now, 5, HOLDS_MS))

    @precondition(lambda self: self.known)
    @rule(data=st.data(), outcome=outcomes)
    def found(self, data: st.DataObject, outcome: Outcome) -> None:
        call = data.draw(st.sampled_from(self.known))
        before = self.alone.breaker.state(self.now)
        self.alone.found(call, outcome, self.now)
        state = self.alone.breaker.state(self.now)
        assert self.scripts.found(call, outcome) == (state, state != before)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), back=st.integers(-50, 500))
    def leave(self, data: st.DataObject, back: int) -> None:
        call = data.draw(st.sampled_from(self.running))
        assert self.scripts.leave(call, back) == 1
        assert self.scripts.leave(call, back) == 0
        self.alone.leave(call, back, self.now)
        self.running.remove(call)

    @rule(ms=st.sampled_from([1, 50, 500, 1000, 5000, 9999, 15_000, 40_000]))
    def time_passes(self, ms: int) -> None:
        """In steps that no permit outlives unheld."""
        while ms > 0:
            step = min(ms, 9_000)
            self.now += step
            ms -= step
            at(self.server, self.now)
            if self.running:
                self.scripts.hold(*self.running)
            self.alone.breaker.held(self.running, self.now + HOLDS_MS)

    @invariant()
    def no_more_than_may(self) -> None:
        if hasattr(self, "alone") and (most := self.alone.concurrent) is not None:
            assert len(self.running) <= most

    @staticmethod
    def same(said: Permit | Wait, alone: Permit | Wait) -> None:
        if isinstance(said, Wait) and isinstance(alone, Wait):
            assert abs(said.ms - alone.ms) <= 1.1, (said, alone)
        else:
            assert said == alone


def test_whatever_happens_the_scripts_do_as_one_process_does(clocked: Server) -> None:
    Both.server = clocked
    run_state_machine_as_test(
        Both,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
