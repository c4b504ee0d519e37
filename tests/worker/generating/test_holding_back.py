"""What would only wait for its upstream keeps no slot from others, comes back, and not all at once."""

import asyncio
from typing import Any, cast

import pytest

from broker.budgets import Budget
from broker.record import Record
from broker.request import Options
from broker.store.coordination import Coordination
from worker.budgets.fleet import Budgets
from worker.generating.holding_back import HoldingBack
from worker.generating.plan import Plan
from worker.generating.rounds import Ask, Step
from worker.upstreams import Call, Upstream

OPTIONS = Options("continue", None, None, 60.0, None, "normal")
ASK = Ask(Call({"model": "m"}))


class Knows:
    """Budgets, an upstream and coordination, as far as they are asked."""

    def __init__(self, closed_ms: float = 0.0, *, crowded: bool = False) -> None:
        self.closed, self.is_crowded = closed_ms, crowded
        self.listed: list[tuple[str, int, str]] = []
        self.looks: dict[str, int] = {}

    def budget(self, call: Call) -> Budget:
        return Budget.of("up", "key", str(call.body["model"]))

    def closed_ms(self, budget: Budget) -> float:
        return self.closed

    def crowded(self, budget: Budget, most: int) -> bool:
        assert most == 10
        return self.is_crowded

    async def hold_back(self, id_: str, created_ms: int, owner: str, ms: int) -> None:
        self.listed.append((id_, created_ms, owner))
        self.looks[id_] = ms


def holding_back(knows: Knows) -> HoldingBack:
    upstream = cast(Upstream, knows)
    return HoldingBack(cast(Budgets, knows), lambda _: upstream, cast(Coordination, knows), 10)


def plan(id_: str = "gen_1", first: Step = ASK, **options: Any) -> Plan:
    record = Record.new(id_, "m", 1000, "acme")
    given = Options("continue", None, None, 60.0, None, "normal", **options)
    return Plan(record, record.terminal_id or cast(Any, None), given, first, "start", None, 0, 0, 0)


@pytest.mark.parametrize(
    ("knows", "options", "held"),
    [
        (Knows(), {}, False),
        (Knows(4000), {}, True),
        (Knows(900), {}, False),
        (Knows(crowded=True), {}, True),
        (Knows(4000, crowded=True), {"fallback": ["n"]}, False),
        (Knows(crowded=True), {"fallback": ["n"]}, True),
    ],
)
def test_it_is_held_back_while_nobody_may_call_or_too_many_wait(
    knows: Knows, options: dict[str, Any], held: bool
) -> None:
    assert asyncio.run(holding_back(knows).held(plan(**options))) == held
    assert knows.listed == ([("gen_1", 1000, "acme")] if held else [])
    assert all(1000 <= ms <= 5250 for ms in knows.looks.values())
    assert len(knows.looks) == held


def test_however_many_are_held_back_they_come_back_a_hundred_a_second() -> None:
    async def run() -> list[int]:
        knows = Knows(crowded=True)
        holding = holding_back(knows)
        for number in range(1000):
            await holding.held(plan(f"gen_{number}"))
        return list(knows.looks.values())

    looks = asyncio.run(run())
    assert looks[-1] - looks[0] > 9000
    assert max(looks) <= 30_000
