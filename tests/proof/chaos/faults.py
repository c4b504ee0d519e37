"""The faults: each strikes once, lasts a moment, is undone, and is written down with what it hit."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.proof.chaos import second
from tests.proof.chaos.clients import Generation
from tests.proof.chaos.cluster import Cluster, Member
from tests.proof.chaos.history import Recorder, now
from tests.proof.chaos.hooks import has_socket
from tests.proof.chaos.limits import LEASE
from tests.proof.chaos.proxy import FaultProxy, Mode
from tests.proof.chaos.store import Store, depth

_BUSY_SECONDS = 3.0
_CARRIES_SECONDS = 0.15
_ONE_BYTE = 1
_REFUSING_SECONDS = (0.2, 0.6, 1.5)
_AN_HOUR_MS = 3_600_000

Strike = Callable[["Injector"], Awaitable[None]]


@dataclass(slots=True)
class Injector:
    """What a fault works on."""

    cluster: Cluster
    recorder: Recorder
    rng: random.Random
    generations: Sequence[Generation] = ()
    """Those of the storm."""
    left: list["asyncio.Task[None]"] = field(default_factory=list)
    """Tasks that go on behind the fault, which whoever runs the storm awaits."""
    struck: set[str] = field(default_factory=set)
    rewinds: int = 0

    def store(self) -> Store:
        return self.rng.choice(self.cluster.stores)

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


async def _webhook_kill(run: Injector) -> None:
    """The worker that tells an end, between its question and the answer."""
    port = await run.cluster.receiver.caller(_BUSY_SECONDS)
    pids = {each: each.child.pid for each in run.cluster.workers if not each.down and each.child.running}
    telling = [each for each, pid in pids.items() if port is not None and has_socket(pid, port)]
    if not telling or telling[0].lock.locked():
        return
    async with telling[0].lock:
        async with run.noted("webhook_kill", telling[0].name):
            await telling[0].kill()
        await telling[0].start()


def _kill_where(kind: str, last: tuple[str, ...]) -> Strike:
    """The worker of a generation whose log ends with such an entry; waits a little for one."""

    async def strike(run: Injector) -> None:
        end = now() + _BUSY_SECONDS
        while not (names := await _where_logs_end_with(run, last)) and now() < end:
            await asyncio.sleep(0.02)
        found = [
            each for each in run.cluster.workers if each.name in names and not each.lock.locked() and not each.down
        ]
        async with run.one_of(found or run.cluster.workers) as member:
            async with run.noted(kind, member.name) as note:
                note.hits = len(found)
                if found:
                    await member.kill()
            if found:
                await member.start()

    return strike


async def _where_logs_end_with(run: Injector, last: tuple[str, ...]) -> set[str]:
    """The workers of generations with server tools whose viewers have just been shown such an entry, if it is the latest: the
    store tells that, while nobody does anything to it."""
    shown = {
        viewer.id: viewer.cursor
        for each in run.generations
        for viewer in each.viewers
        if each.wish.rounds and viewer.open and viewer.cursor is not None and viewer.latest in last
    }
    if not shown:
        return set()
    async with run.cluster.logs.lock:
        return await run.cluster.logs.where_logs_end(shown)


# -- the server


async def _server_kill(run: Injector) -> None:
    store = run.store()
    async with store.lock, run.noted("server_kill", store.role):
        await store.kill()
        await asyncio.sleep(run.rng.choice((0, 0.2, 1.0)))
        await store.start()


async def _server_pause(run: Injector) -> None:
    store = run.store()
    async with store.lock, run.noted("server_pause", store.role):
        store.server.signal(signal.SIGSTOP)
        await asyncio.sleep(run.rng.choice((0.3, 1.0, 2.5)))
        store.server.signal(signal.SIGCONT)


async def _server_rewind(run: Injector) -> None:
    """A worker dies with it: what it had in hand is not written again, and viewers are ahead for good."""
    store = run.cluster.logs
    async with run.one_of(run.cluster.workers) as worker:
        async with store.lock, run.noted("server_rewind", store.role) as note:
            await worker.kill()
            run.rewinds += 1
            note.hits = int(await store.lose(depth(run.rng, run.rewinds), run.recorder))
        await worker.start()


async def _coordination_rewind(run: Injector) -> None:
    """Where it has a server of its own: what was accepted last is known to the logs alone."""
    store = run.cluster.coordination
    async with store.lock, run.noted("coordination_rewind", store.role) as note:
        run.rewinds += 1
        note.hits = int(await store.lose(depth(run.rng, run.rewinds), run.recorder))


async def _client_kill(run: Injector) -> None:
    store = run.store()
    async with store.lock, run.noted("client_kill", store.role) as note:
        kind = run.rng.choice(("normal", "pubsub"))
        killed = await store.command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        note.hits = killed if isinstance(killed, int) else 0


async def _client_pause(run: Injector) -> None:
    store = run.store()
    async with store.lock, run.noted("client_pause", store.role):
        ms = run.rng.choice((200, 800, 1500))
        await store.command("CLIENT", "PAUSE", ms, run.rng.choice(("ALL", "WRITE")))
        await asyncio.sleep(ms / 1000)


# -- a server that takes no writes for now


async def _memory_full(run: Injector) -> None:
    """Not one byte more, for a while. What is there stays, and is read."""
    store = run.store()
    async with store.lock, run.noted("memory_full", store.role):
        room = await store.config("maxmemory")
        await store.command("CONFIG", "SET", "maxmemory", _ONE_BYTE)
        await asyncio.sleep(run.rng.choice(_REFUSING_SECONDS))
        await store.command("CONFIG", "SET", "maxmemory", room)


async def _misconf(run: Injector) -> None:
    """As where the disk is full: its last snapshot has failed, and until one succeeds it refuses writes."""
    store = run.store()
    async with store.lock, run.noted("misconf", store.role) as note:
        await store.command("CONFIG", "SET", "save", "3600 1000000000")
        note.hits = int(await store.fail_a_snapshot())
        await asyncio.sleep(run.rng.choice(_REFUSING_SECONDS))
        await store.command("CONFIG", "SET", "save", "")


async def _noreplicas(run: Injector) -> None:
    store = run.store()
    async with store.lock, run.noted("noreplicas", store.role):
        await store.command("CONFIG", "SET", "min-replicas-to-write", 1)
        await asyncio.sleep(run.rng.choice(_REFUSING_SECONDS))
        await store.command("CONFIG", "SET", "min-replicas-to-write", 0)


async def _lease_ahead(run: Injector) -> None:
    """What a clock of Redis that has jumped back leaves behind: leases and looks that are an hour ahead, of a worker that is
    dead."""
    async with run.one_of(run.cluster.workers) as worker:
        async with run.cluster.logs.lock, run.noted("clock_back", worker.name) as note:
            await worker.kill()
            held = await run.cluster.logs.put_leases_ahead(worker.name, _AN_HOUR_MS)
            note.hits = len(held)
        if run.cluster.coordination.lock.locked():
            await run.cluster.coordination.lock.acquire()
            run.cluster.coordination.lock.release()
        await run.cluster.coordination.put_looks_ahead(held, _AN_HOUR_MS)
        await worker.start()


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
    ways = [(each, way) for each in members for way in _ways(each, pair)]
    end = now() + _BUSY_SECONDS
    while not (busy := [way for way in ways if _carries(way[1]) and not way[0].down]) and now() < end:
        await asyncio.sleep(0.05)
    return run.rng.choice(busy or ways)


def _carries(proxy: FaultProxy) -> bool:
    """Whether anything is said there, by who keeps connections too."""
    return bool(proxy.links) and now() - proxy.carried < _CARRIES_SECONDS


def _ways(member: Member, pair: str) -> list[FaultProxy]:
    to_upstream = {"worker_upstream": member.upstream, second.PAIR: member.upstream_two}
    if pair not in to_upstream:
        return member.redis
    way = to_upstream[pair]
    return [] if way is None else [way]


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


_PAIRS = ("api_redis", "worker_redis", "worker_upstream", second.PAIR)
_MODES = {"cut": None, "delay": Mode.DELAY, "hold": Mode.HOLD, "lost_reply": Mode.DROP_REPLIES}

ON_SECOND = tuple(f"{second.PAIR}_{name}" for name in _MODES)
"""What strikes between a worker and the second upstream."""

IN_TOOLS: dict[str, Strike] = {
    "worker_kill_in_tool": _kill_where("worker_kill_in_tool", ("tool_start", "tool_progress")),
    "worker_kill_between_rounds": _kill_where("worker_kill_between_rounds", ("tool_end", "message")),
}
"""What strikes where server tools run."""

STRIKES: dict[str, Strike] = {
    **IN_TOOLS,
    "worker_kill": _kill("worker"),
    "worker_pause": _pause("worker", LEASE + 0.3, LEASE + 1.2),
    "worker_term": _term("worker"),
    "webhook_kill": _webhook_kill,
    "api_kill": _kill("api"),
    "api_pause": _pause("api", 0.3, 2.5),
    "api_term": _term("api"),
    "server_kill": _server_kill,
    "server_pause": _server_pause,
    "server_rewind": _server_rewind,
    "coordination_rewind": _coordination_rewind,
    "memory_full": _memory_full,
    "misconf": _misconf,
    "noreplicas": _noreplicas,
    "clock_back": _lease_ahead,
    "client_kill": _client_kill,
    "client_pause": _client_pause,
    **{f"{pair}_{name}": _net(pair, mode, name) for pair in _PAIRS for name, mode in _MODES.items()},
}
"""Every kind but those of the upstream, which are in the models' names."""

LANES: tuple[tuple[str, ...], ...] = (
    ("worker_kill",) * 4 + ("worker_pause",) * 2 + ("worker_term",),
    ("worker_pause", "worker_kill"),
    tuple(IN_TOOLS),
    ("worker_kill", "worker_kill", "worker_pause"),
    (
        "server_kill", "server_pause", "server_rewind", "coordination_rewind", "client_kill", "client_pause", "memory_full",
        "misconf", "noreplicas", "clock_back",
    ),
    ("api_kill", "api_pause", "api_term", "webhook_kill"),
    tuple(f"api_redis_{name}" for name in _MODES),
    tuple(f"{pair}_{name}" for pair in ("worker_redis", "worker_upstream") for name in _MODES),
    ON_SECOND,
)  # fmt: skip
"""Each lane deals its faults one after the other; the lanes run side by side, so that faults meet."""
RARE = {
    "memory_full": 0.25,
    "client_kill": 0.5,
    "client_pause": 0.5,
    "api_kill": 0.5,
    "api_pause": 0.5,
    "api_term": 0.5,
    "webhook_kill": 0.5,
}
"""How often such a fault strikes again, of the times that it is dealt; all that is written while memory is full has failed."""
