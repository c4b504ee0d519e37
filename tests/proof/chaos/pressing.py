"""What presses: a tenant that comes to its limits, an upstream that is overloaded. Each is noted as a fault is."""

import asyncio
import random
from typing import Final
from urllib.parse import urlencode

from tests.proof.chaos import second
from tests.proof.chaos.clients import Generation
from tests.proof.chaos.faults import Injector
from tests.proof.chaos.guard import refuses
from tests.proof.chaos.wire import ask
from tests.proof.chaos.wishing import Wish

_TRIES: Final = 40
_RACERS: Final = 9
"""Fewer than may come at once: else their pace alone would refuse them."""
_OVERLOADED: Final = 5
_OVERLOADED_SECONDS: Final = 1.5
_LIMITED_MODEL: Final = "sim-1?seed={seed}&tokens=12&tps=20&ttft_ms=20"


async def limit_race(run: Injector) -> None:
    """More submit at once, for the tenant that may do little, than may run and wait."""
    cluster, made = run.cluster, list[Generation]()
    for _ in range(_RACERS):
        while refuses(seed := run.rng.randrange(10_000)):
            pass
        wish = small(f"{run.rng.randrange(1 << 40):x}-few", _LIMITED_MODEL.format(seed=seed), (seed, 12))
        made.append(Generation(wish, cluster.addresses, run.recorder, cluster.desk.limited))
    async with run.noted("limit_race", cluster.desk.limited.tenant) as note:
        said = await asyncio.gather(*(_race(each, random.Random(each.wish.gen)) for each in made))
        note.hits = said.count(429)
    keep(run, [each for each in made if each.ids])


async def _race(generation: Generation, rng: random.Random) -> int:
    """Until it is accepted or refused for a limit."""
    for _ in range(_TRIES):
        if (status := await generation.post(rng)) in (202, 429):
            return status
        await asyncio.sleep(rng.uniform(0.05, 0.3))
    return 0


def keep(run: Injector, generations: list[Generation]) -> None:
    """They are the storm's, and go on."""
    assert isinstance(run.generations, list)
    run.generations += generations
    for each in generations:
        run.left.append(asyncio.create_task(each.run()))


def small(gen: str, model: str, text: tuple[int, int]) -> Wish:
    return Wish(
        gen=gen, model=model, text=text, on_interrupt="continue", viewers=("steady",), cancel_after=None, asks_twice=False
    )  # fmt: skip


async def overloaded(run: Injector) -> None:
    """The upstream refuses all calls of one model for a moment: its breaker opens, and all who wait go on behind it."""
    while refuses(seed := run.rng.randrange(10_000)):
        pass
    model = f"{second.FIRST}?seed={seed}&tokens=10&tps=50&ttft_ms=20"
    upstream, target = run.cluster.upstream, f"/_sim/overloaded?{urlencode({'model': model})}"
    async with run.noted("overloaded", model) as note:
        await ask(upstream, "PUT", target)
        made = [
            Generation(
                small(f"{run.rng.randrange(1 << 40):x}-over", model, (seed, 10)),
                run.cluster.addresses, run.recorder, run.cluster.desk.of(number),
            )
            for number in range(_OVERLOADED)
        ]  # fmt: skip
        keep(run, made)
        await asyncio.sleep(_OVERLOADED_SECONDS)
        await ask(upstream, "DELETE", target)
        note.hits = sum(bool(each.ids) for each in made)
