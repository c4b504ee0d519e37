"""After the storm: one thing at a time goes wrong, and how long it takes until everybody knows is measured."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from broker import keys
from tests.proof.chaos import tenants
from tests.proof.chaos.clients import Generation
from tests.proof.chaos.cluster import Cluster, Member
from tests.proof.chaos.faults import Injector
from tests.proof.chaos.guard import refuses
from tests.proof.chaos.history import Recorder, now
from tests.proof.chaos.limits import LEASE
from tests.proof.chaos.store import SHORTEST
from tests.proof.chaos.viewers import Habit, Viewer
from tests.proof.chaos.wishing import Wish

CROWD = 12
_BEFORE_START = 2
_CANCELS = 3
_ABANDONED = 4
_GRACE = 1.0
_MODEL = "sim-1?seed={seed}&tokens=4000&tps=25&ttft_ms=20"
_TOKENS = 4000
_LATENESS_EVERY = 0.02
QUIET_SECONDS = 1.2
"""After the last fault, so that what a cancel takes is the cancel's own."""


class Calm:
    """Each step leaves every process running. Only what is asked for goes wrong."""

    def __init__(self, cluster: Cluster, recorder: Recorder, faults: Sequence[str], seed: str) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._seed = seed
        self._rng = random.Random(f"{seed} calm")
        self._injector = Injector(cluster, recorder, self._rng)
        self._steps = {
            "worker_kill": self._worker_dies,
            "worker_pause": self._worker_freezes,
            "worker_term": self._worker_hands_over,
            "server_rewind": self._tail_is_lost,
            "server_kill": self._server_restarts,
        }
        self._asked = [kind for kind in self._steps if kind in faults]
        self._late = 0.0
        self.generations: list[Generation] = []

    async def run(self) -> None:
        """The steps, then cancels of what runs and of what has not begun."""
        async with asyncio.TaskGroup() as group:
            for number in range(CROWD):
                generation = self._generation(self._wish(number))
                self.generations.append(generation)
                group.create_task(generation.run())
            await self._until(self._flows, 20)
            for kind in self._asked:
                async with self._clocked():
                    await self._steps[kind]()
            await asyncio.sleep(QUIET_SECONDS)
            self.generations += await tenants.take_turns(self._cluster, self._recorder, self._rng)
            await self._nobody_watches()
            await self._cancels(self.generations[:_CANCELS])
            await asyncio.sleep(QUIET_SECONDS)
            await self._cancels_before_the_start()
            await self._cancels(self.generations[_CANCELS:])

    def _generation(self, wish: Wish) -> Generation:
        return Generation(wish, self._cluster.addresses, self._recorder, self._cluster.desk.of(0))

    def _wish(self, number: int) -> Wish:
        while refuses(seed := self._rng.randrange(10_000)):
            pass  # what the guardrail blocks ends before anything is measured
        viewers: tuple[Habit, ...] = ("steady", "steady", "steady")
        return Wish(
            gen=f"{self._seed}-calm-{number}", model=_MODEL.format(seed=seed), text=(seed, _TOKENS),
            on_interrupt="continue", viewers=viewers, cancel_after=None, asks_twice=False, total_timeout=120,
        )  # fmt: skip

    def _viewers(self, ids: Iterable[str] | None = None) -> list[Viewer]:
        chosen = None if ids is None else set(ids)
        return [
            viewer
            for generation in self.generations
            for viewer in generation.viewers
            if chosen is None or viewer.id in chosen
        ]

    def _flows(self) -> bool:
        return all(each.viewers and all(viewer.frames > 8 for viewer in each.viewers) for each in self.generations)

    # -- the steps

    async def _worker_dies(self) -> None:
        member, viewers = await self._busiest()
        async with member.lock:
            async with self._injector.noted("worker_kill", member.name):
                at = now()
                await member.kill()
            await self._told("death_told", viewers, at, LEASE + 8)
            await member.start()

    async def _worker_freezes(self) -> None:
        """It wakes up when another has its generations, and must write nothing more."""
        member, viewers = await self._busiest()
        async with member.lock, self._injector.noted("worker_pause", member.name):
            at = now()
            member.signal(signal.SIGSTOP)
            await self._told("freeze_told", viewers, at, LEASE + 8)
            member.signal(signal.SIGCONT)

    async def _worker_hands_over(self) -> None:
        member, viewers = await self._busiest()
        async with member.lock:
            async with self._injector.noted("worker_term", member.name) as note:
                at = now()
                ending = asyncio.create_task(member.terminate())
                await self._told("hand_over", viewers, at, 8)
                note.more["seconds"] = await ending
            await member.start()

    async def _tail_is_lost(self) -> None:
        """The workers still have what the server has not, and write it again, under the ids that viewers know."""
        store = self._cluster.logs
        async with store.lock, self._injector.noted("server_rewind", "server") as note:
            note.hits = int(await store.lose(SHORTEST, self._recorder))
        await asyncio.sleep(QUIET_SECONDS)

    async def _server_restarts(self) -> None:
        store = self._cluster.logs
        async with store.lock, self._injector.noted("server_kill", "server"):
            await store.kill()
            await asyncio.sleep(0.5)
            await store.start()
        at = now()
        self._mark()
        await self._until(self._heard, 8)
        for viewer in self._viewers():
            if viewer.first_since_mark or viewer.done is None:
                self._measured("restart_streaming", (viewer.first_since_mark or now()) - at)

    async def _cancels(self, generations: list[Generation]) -> None:
        await asyncio.gather(*(generation.cancel(self._rng) for generation in generations))

    async def _nobody_watches(self) -> None:
        """Some lose their viewers, some keep one, each on an API of its own."""
        wishes = [replace(self._wish(200 + number), abandon_after=_GRACE) for number in range(_ABANDONED)]
        made = [self._generation(wish) for wish in wishes]
        self.generations += made
        async with asyncio.TaskGroup() as group:
            for generation in made:
                await generation.submit(self._rng, now() + 5)
                del generation.viewers[1:]
            watching = [group.create_task(generation.viewers[0].watch()) for generation in made]
            await self._until(lambda: all(generation.viewers[0].frames > 8 for generation in made), 20)
            left = now()
            for task in watching[::2]:
                task.cancel()
            await asyncio.gather(*(self._is_abandoned(generation, left) for generation in made[::2]))
            await asyncio.gather(*(generation.cancel(self._rng) for generation in made[1::2]))
        for generation in made[::2]:
            await generation.viewers[0].watch()

    async def _is_abandoned(self, generation: Generation, left: float) -> None:
        key = keys.record(generation.id or "")

        async def ends() -> None:
            while await self._cluster.logs.command("HGET", key, "state") not in (b"cancelled", "cancelled"):
                await asyncio.sleep(0.05)

        with suppress(TimeoutError):
            await asyncio.wait_for(ends(), 20)
        self._measured("abandoned", now() - left)

    async def _cancels_before_the_start(self) -> None:
        """No worker takes it, as all of them are stopped, for less than their lease."""
        wishes = [self._wish(CROWD + number) for number in range(_BEFORE_START)]
        made = [self._generation(replace(wish, viewers=("steady",))) for wish in wishes]
        self.generations += made
        for member in self._cluster.workers:
            member.signal(signal.SIGSTOP)
        try:
            for generation in made:
                await generation.submit(self._rng, now() + 5)
                await generation.cancel(self._rng)
        finally:
            for member in self._cluster.workers:
                member.signal(signal.SIGCONT)
        await asyncio.gather(*(viewer.watch() for generation in made for viewer in generation.viewers))

    # -- measuring

    def _mark(self) -> None:
        for viewer in self._viewers():
            viewer.mark()

    def _heard(self) -> bool:
        return all(viewer.first_since_mark or viewer.done for viewer in self._viewers())

    async def _busiest(self) -> tuple[Member, list[Viewer]]:
        """The worker that runs most of these generations, and who watches them."""
        claims: dict[str, list[str]] = {}
        for generation in self.generations:
            claimant = await self._cluster.logs.command("HGET", keys.record(generation.id or ""), "claimant")
            if isinstance(claimant, bytes) and generation.id is not None:
                claims.setdefault(claimant.decode().partition("/")[0], []).append(generation.id)
        name = max(claims, key=lambda name: len(claims[name]))
        (member,) = (each for each in self._cluster.workers if each.name == name)
        return member, self._viewers(claims[name])

    async def _told(self, figure: str, viewers: list[Viewer], at: float, seconds: float) -> None:
        """Waits until each of them has heard of another attempt, or of the end."""
        await self._until(lambda: all(viewer.starts[-1][0] > at for viewer in viewers), seconds)
        for viewer in viewers:
            told = [t for t, _ in viewer.starts if t > at]
            self._measured(figure, told[0] - at if told else seconds)

    async def _until(self, condition: Callable[[], object], seconds: float) -> None:
        end = now() + seconds
        while not condition() and now() < end:
            await asyncio.sleep(0.01)

    @asynccontextmanager
    async def _clocked(self) -> AsyncIterator[None]:
        """Measures how late this process is itself, which no figure may be blamed for."""
        self._late = 0.0

        async def watch() -> None:
            while True:
                due = now() + _LATENESS_EVERY
                await asyncio.sleep(_LATENESS_EVERY)
                self._late = max(self._late, now() - due)

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()

    def _measured(self, name: str, seconds: float) -> None:
        self._recorder.write("figure", name=name, seconds=seconds, late=self._late)
