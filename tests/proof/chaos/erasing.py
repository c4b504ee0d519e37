"""Who erases generations: in the middle, behind the end, by a label; and who then asks for what was erased."""

import asyncio
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from tests.proof.chaos.history import now
from tests.proof.chaos.wire import Lost, Reply, ask
from tests.proof.chaos.wishing import Erased

if TYPE_CHECKING:
    from tests.proof.chaos.clients import Generation

_TRIES: Final = 60
_END_SECONDS: Final = 30.0


async def erase_later(
    generation: "Generation", how: Erased, watching: Sequence["asyncio.Task[None]"], rng: random.Random
) -> None:
    """When its time has come; behind the end where that is asked for, if that comes in half a minute."""
    if how == "ended" and watching:
        await asyncio.wait(watching, timeout=_END_SECONDS)
    await asyncio.sleep(generation.wish.erased_after)
    generation.erased = True
    for id_ in list(generation.ids):
        await _erase(generation, id_, how, rng)
    await _submit_again(generation, rng)


async def _erase(generation: "Generation", id_: str, how: Erased, rng: random.Random) -> None:
    """Until it is acknowledged. By label what is found is erased, which is nothing where the lists have lost it: then by id."""
    asked = now()
    for number in range(_TRIES):
        by_label = how == "label" and number < 3
        target = (
            f"/v1/generations?{urlencode({'label.gen': generation.wish.gen})}" if by_label else f"/v1/generations/{id_}"
        )
        reply = await _asked(generation, "DELETE", target, rng)
        if reply is not None and reply.status == 401:
            await generation.holder.refused()
        elif reply is not None and (receipt := _receipt(reply, by_label=by_label)) is not None:
            generation.recorder.write("erased", gen=generation.wish.gen, id=id_, how=how, asked=asked, **receipt)
            return
        await asyncio.sleep(rng.uniform(0.05, 0.3))


def _receipt(reply: Reply, *, by_label: bool) -> dict[str, Any] | None:
    """What is noted of an erasure that is acknowledged; None if it is not, or if there was nothing to erase."""
    if reply.status in (404, 410):
        return {"status": reply.status, "complete": None}
    if reply.status not in (200, 202):
        return None
    told = reply.json
    if not by_label:
        return {"status": reply.status, "complete": told["complete"]}
    whole = told["erased"] and not told["failed"] and not told["more"]
    return {"status": 200, "complete": told["incomplete"] == 0} if whole else None


async def _submit_again(generation: "Generation", rng: random.Random) -> None:
    """Under the same key, which must make nothing."""
    for _ in range(_TRIES if generation.wish.keyed else 0):
        if await generation.post(rng) in (202, 410):
            return
        await asyncio.sleep(rng.uniform(0.05, 0.3))


async def _asked(generation: "Generation", method: str, target: str, rng: random.Random) -> Reply | None:
    try:
        return await ask(
            rng.choice(list(generation.addresses)), method, target, headers=generation.holder.headers()
        )  # fmt: skip
    except Lost:
        return None
