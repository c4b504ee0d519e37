"""What strikes beside the faults: keys are changed and revoked, links are opened and end, somebody is pressed (pressing.py).
Each is noted as a fault is, with what it hit."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Literal

from tests.proof.chaos import pressing
from tests.proof.chaos.clients import Generation
from tests.proof.chaos.faults import Injector, Strike
from tests.proof.chaos.history import now
from tests.proof.chaos.passes import Key, Link, OwnKey
from tests.proof.chaos.viewers import Viewer
from tests.proof.chaos.wire import Lost, Reply, ask

_FIND_SECONDS: Final = 3.0
_SEEN_SECONDS: Final = 3.0
"""In which a guest should see something before what let it in ends."""
_LEFT_SECONDS: Final = 25.0
"""In which guests should have been sent away."""
_LINK_SECONDS: Final = 3
_TRIES: Final = 40

How = Literal["expired", "revoked"]
Ends = Callable[[], Awaitable[float | None]]
"""Ends what lets guests in; when that was acknowledged (or came), None if the store knows nothing of it."""


async def running(run: Injector) -> Generation | None:
    """One that somebody watches and nobody erases; waits a little for one."""
    end = now() + _FIND_SECONDS
    while now() < end:
        found = [
            each for each in run.generations
            if each.ids and each.wish.erased is None and each.viewers
            and any(viewer.frames > 2 for viewer in each.viewers) and not any(viewer.done for viewer in each.viewers)
        ]  # fmt: skip
        if found:
            return run.rng.choice(found)
        await asyncio.sleep(0.05)
    return None


def guests(
    run: Injector, generation: Generation, pass_: OwnKey, how: str, *, redacted: bool = False
) -> list[Viewer]:  # fmt: skip
    """One at each API. What a redacted link shows is written down as that."""
    made = []
    for number, address in enumerate(run.cluster.addresses):
        viewer = generation.viewer(f"{generation.wish.gen}/{how}-{pass_.key.id[-6:]}-{number}", pass_)
        viewer.addresses = [address]
        viewer.word = "redacted" if redacted else "frame"
        run.recorder.write("guest", gen=generation.wish.gen, viewer=viewer.name, by=how)
        made.append(viewer)
    return made


async def sent_away(
    run: Injector, viewers: list[Viewer], pass_: OwnKey, how: Literal["expired", "revoked"], ends: Ends
) -> bool:
    """They watch, what lets them in ends, and they are gone, or nobody waits for them any longer; whether any had seen
    something."""
    watching = [asyncio.create_task(viewer.watch()) for viewer in viewers]
    end = now() + _SEEN_SECONDS
    while not all(viewer.frames or viewer.done for viewer in viewers) and now() < end:
        await asyncio.sleep(0.02)
    seen, asked = any(viewer.frames and not viewer.done for viewer in viewers), now()
    if how == "revoked":
        pass_.key.until = asked
    at = await ends()
    for viewer in viewers if at is not None else ():
        run.recorder.write("barred", gen=viewer.gen, viewer=viewer.name, how=how, asked=asked, at=at)
    run.left.append(asyncio.create_task(_left(watching)))
    return seen and at is not None


async def _left(watching: list["asyncio.Task[None]"]) -> None:
    await asyncio.wait(watching, timeout=_LEFT_SECONDS)
    for task in watching:
        task.cancel()
    for outcome in await asyncio.gather(*watching, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome


# -- keys


async def _key_revoke(run: Injector) -> None:
    """One of two keys of a tenant, in the middle of a stream."""
    if (generation := await running(run)) is None:
        return
    desk, holder = run.cluster.desk, generation.holder
    pass_ = OwnKey(holder.tenant, await desk.make(holder.tenant), run.recorder)

    async def revoke() -> float | None:
        return now() if await desk.revoke(run.rng, pass_.key) else None

    async with run.noted("key_revoke", holder.tenant) as note:
        note.hits = int(await sent_away(run, guests(run, generation, pass_, "key"), pass_, "revoked", revoke))


async def _key_rotate(run: Injector) -> None:
    """A tenant goes on with another key, while the first is valid yet."""
    holder = run.cluster.desk.of(run.rng.randrange(2))
    async with run.noted("key_rotate", holder.tenant) as note:
        note.hits = int(await run.cluster.desk.rotate(run.rng, holder))


# -- links


async def _link(run: Injector, generation: Generation, **wanted: object) -> tuple[Link, float] | None:
    """A new view link, and when it ends."""
    asked = now()
    reply = await _asked(run, generation, "POST", f"/v1/generations/{generation.id}/view-links", 201, wanted)
    if reply is None:
        return None
    made, seconds = reply.json, wanted["expires_in"]
    assert isinstance(seconds, int)
    run.cluster.desk.made.append(made["token"])
    key = Key(made["id"], made["token"], asked, now(), until=asked + seconds - 1)  # its end is a whole second
    return Link(generation.holder.tenant, key, run.recorder), now() + seconds


async def _asked(
    run: Injector, generation: Generation, method: str, target: str, wanted: int, content: object = None
) -> Reply | None:
    """Until it is answered so; None if it is answered otherwise, or never."""
    for _ in range(_TRIES):
        with suppress(Lost):
            address = run.rng.choice(run.cluster.addresses)
            reply = await ask(address, method, target, headers=generation.holder.headers(), content=content)
            if reply.status == wanted:
                return reply
            if reply.status == 401:
                await generation.holder.refused()
            elif reply.status < 500:
                return None
        await asyncio.sleep(run.rng.uniform(0.05, 0.3))
    return None


async def _link_view(run: Injector) -> None:
    """It is good until the end: who has it sees all of it, or all that is not withheld."""
    if (generation := await running(run)) is None:
        return
    redacted = run.rng.random() < 0.5
    async with run.noted("link_view", generation.wish.gen) as note:
        note.hits = 0
        if (made := await _link(run, generation, expires_in=600, redact=redacted)) is not None:
            viewers = guests(run, generation, made[0], "link", redacted=redacted)
            run.left.append(asyncio.create_task(_left([asyncio.create_task(viewer.watch()) for viewer in viewers])))
            note.hits = len(viewers)


async def _link_expire(run: Injector) -> None:
    await _link_ends(run, "expired", _LINK_SECONDS)


async def _link_revoke(run: Injector) -> None:
    await _link_ends(run, "revoked", 600)


async def _link_ends(run: Injector, how: How, seconds: int) -> None:
    if (generation := await running(run)) is None:
        return
    kind = "link_expire" if how == "expired" else "link_revoke"
    async with run.noted(kind, generation.wish.gen) as note:
        note.hits = 0
        redacted = run.rng.random() < 0.5
        if (made := await _link(run, generation, expires_in=seconds, redact=redacted)) is None:
            return
        link, until = made

        async def end() -> float | None:
            if how == "revoked":
                target = f"/v1/generations/{generation.id}/view-links/{link.key.id}"
                return now() if await _asked(run, generation, "DELETE", target, 204) is not None else None
            await asyncio.sleep(max(0.0, until - now()))
            return until

        viewers = guests(run, generation, link, "link", redacted=redacted)
        note.hits = int(await sent_away(run, viewers, link, how, end))


OF_KEYS: Final = ("key_revoke", "key_rotate")
OF_LINKS: Final = ("link_view", "link_expire", "link_revoke")
OF_LIMITS: Final = ("limit_race",)
OF_BUDGETS: Final = ("overloaded",)

STRIKES: Final[dict[str, Strike]] = {
    "key_revoke": _key_revoke, "key_rotate": _key_rotate, "link_view": _link_view, "link_expire": _link_expire,
    "link_revoke": _link_revoke, "limit_race": pressing.limit_race, "overloaded": pressing.overloaded,
}  # fmt: skip

LANES: Final[tuple[tuple[str, ...], ...]] = ((*OF_KEYS, *OF_LINKS), (*OF_LIMITS, *OF_BUDGETS))
