"""The faults: each strikes once, lasts a moment, is undone, and is written down with what it hit."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.cluster import LEASE, Cluster, Member
from tests.chaos.history import Recorder, now
from tests.chaos.proxy import FaultProxy, Mode
from tests.chaos.store import depth

_BUSY_SECONDS = 3.0

Strike = Callable[["Injector"], Awaitable[None]]


@dataclass(slots=True)
class Injector:
    """What a fault works on."""

    cluster: Cluster
    recorder: Recorder
    rng: random.Random
    struck: set[str] = field(default_factory=set)
    rewinds: int = 0

    @asynccontextmanager
    async def noted(self, kind: str, target: str) -> "AsyncIterator[Note]":
        """Writes the fault down, from beginning to end; nothing hit means that it did not happen."""
        note, at = Note(), now()
        try:
            yield note
        finally:
            if note.hits:
                self.struck.add(kind)
            self.recorder.write("fault", kind=kind, target=target, at=at, until=now(), hits=note.hits, **note.more)

    @asynccontextmanager
    async def one_of(self, members: Sequence[Member]) -> AsyncIterator[Member]:
        """A member that nobody else does anything to; waits for one."""
        while not (free := [each for each in members if not each.lock.locked() and not each.down]):
            await asyncio.sleep(0.02)
        chosen = self.rng.choice(free)
        async with chosen.lock:
            yield chosen


@dataclass(slots=True)
class Note:
    """What will be written of a fault."""

    hits: int = 1
    more: dict[str, Any] = field(default_factory=dict)


# -- processes


def _kill(which: str) -> Strike:
    async def strike(run: Injector) -> None:
        async with run.one_of(_members(run, which)) as member:
            async with run.noted(f"{which}_kill", member.name):
                await member.kill()
            await asyncio.sleep(run.rng.choice((0, 0.3)))
            await member.start()

    return strike


def _term(which: str) -> Strike:
    async def strike(run: Injector) -> None:
        async with run.one_of(_members(run, which)) as member:
            async with run.noted(f"{which}_term", member.name) as note:
                note.more["seconds"] = await member.terminate()
            await member.start()

    return strike


def _pause(which: str, shortest: float, longest: float) -> Strike:
    async def strike(run: Injector) -> None:
        async with run.one_of(_members(run, which)) as member, run.noted(f"{which}_pause", member.name):
            member.signal(signal.SIGSTOP)
            await asyncio.sleep(run.rng.uniform(shortest, longest))
            member.signal(signal.SIGCONT)

    return strike


def _members(run: Injector, which: str) -> list[Member]:
    return run.cluster.apis if which == "api" else run.cluster.workers


# -- the server


async def _server_kill(run: Injector) -> None:
    store = run.cluster.store
    async with store.lock, run.noted("server_kill", "server"):
        await store.kill()
        await asyncio.sleep(run.rng.choice((0, 0.2, 1.0)))
        await store.start()


async def _server_pause(run: Injector) -> None:
    store = run.cluster.store
    async with store.lock, run.noted("server_pause", "server"):
        store.server.signal(signal.SIGSTOP)
        await asyncio.sleep(run.rng.choice((0.3, 1.0, 2.5)))
        store.server.signal(signal.SIGCONT)


async def _server_rewind(run: Injector) -> None:
    """A worker dies with it: what it had in hand is not written again, and viewers are ahead for good."""
    store = run.cluster.store
    async with run.one_of(run.cluster.workers) as worker:
        async with store.lock, run.noted("server_rewind", "server") as note:
            await worker.kill()
            run.rewinds += 1
            note.hits = int(await store.lose(depth(run.rng, run.rewinds), run.recorder))
        await worker.start()


async def _client_kill(run: Injector) -> None:
    store = run.cluster.store
    async with store.lock, run.noted("client_kill", "server") as note:
        kind = run.rng.choice(("normal", "pubsub"))
        killed = await store.command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        note.hits = killed if isinstance(killed, int) else 0


async def _client_pause(run: Injector) -> None:
    store = run.cluster.store
    async with store.lock, run.noted("client_pause", "server"):
        ms = run.rng.choice((200, 800, 1500))
        await store.command("CLIENT", "PAUSE", ms, run.rng.choice(("ALL", "WRITE")))
        await asyncio.sleep(ms / 1000)


# -- the network


def _net(pair: str, mode: Mode | None, name: str) -> Strike:
    """One process's way to one peer; without a mode its connections are cut, once."""

    async def strike(run: Injector) -> None:
        member, proxy = await _busy(run, pair)
        async with run.noted(f"{pair}_{name}", member.name) as note:
            before = proxy.struck
            if mode is None:
                await _cut(run, proxy)
            else:
                proxy.set(mode, run.rng.uniform(0.02, 0.25))
                await _until_struck(proxy, before, run.rng.uniform(0.3, 2 * LEASE))
                if mode is Mode.HOLD and run.rng.random() < 0.3:
                    proxy.cut(run.rng)  # what was held never arrives
                proxy.set(Mode.PASS)
            note.hits = proxy.struck - before

    return strike


async def _busy(run: Injector, pair: str) -> tuple[Member, FaultProxy]:
    """A member that talks to that peer right now; waits a little for one."""
    members = run.cluster.apis if pair == "api_redis" else run.cluster.workers
    ways = [(each, each.upstream if pair == "worker_upstream" and each.upstream else each.redis) for each in members]
    end = now() + _BUSY_SECONDS
    while not (busy := [way for way in ways if way[1].links and not way[0].down]) and now() < end:
        await asyncio.sleep(0.05)
    return run.rng.choice(busy or ways)


async def _cut(run: Injector, proxy: FaultProxy) -> None:
    """Now, where it is idle; in the middle of the next message, where it is not."""
    proxy.cut(run.rng, share=0.7)
    proxy.set(Mode.TEAR)
    await asyncio.sleep(run.rng.uniform(0.1, 0.3))
    proxy.set(Mode.PASS)


async def _until_struck(proxy: FaultProxy, before: int, seconds: float) -> None:
    await asyncio.sleep(seconds)
    end = now() + 1.5
    while proxy.struck == before and now() < end:
        await asyncio.sleep(0.05)


_PAIRS = ("api_redis", "worker_redis", "worker_upstream")
_MODES = {"cut": None, "delay": Mode.DELAY, "hold": Mode.HOLD, "lost_reply": Mode.DROP_REPLIES}

STRIKES: dict[str, Strike] = {
    "worker_kill": _kill("worker"),
    "worker_pause": _pause("worker", LEASE + 0.3, LEASE + 1.2),
    "worker_term": _term("worker"),
    "api_kill": _kill("api"),
    "api_pause": _pause("api", 0.3, 2.5),
    "api_term": _term("api"),
    "server_kill": _server_kill,
    "server_pause": _server_pause,
    "server_rewind": _server_rewind,
    "client_kill": _client_kill,
    "client_pause": _client_pause,
    **{f"{pair}_{name}": _net(pair, mode, name) for pair in _PAIRS for name, mode in _MODES.items()},
}
"""Every kind but those of the upstream, which are in the models' names."""

LANES: tuple[tuple[str, ...], ...] = (
    ("worker_kill",) * 4 + ("worker_pause",) * 2 + ("worker_term",),
    ("worker_pause", "worker_kill"),
    ("worker_kill", "worker_kill", "worker_pause"),
    (
        "server_kill",
        "server_pause",
        "server_rewind",
        "server_rewind",
        "client_kill",
        "client_pause",
        "api_kill",
        "api_pause",
        "api_term",
    ),
    tuple(f"{pair}_{name}" for pair in _PAIRS for name in _MODES),
)
"""Each lane deals its faults one after the other; the lanes run side by side, so that faults meet."""
