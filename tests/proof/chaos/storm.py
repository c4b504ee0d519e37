"""The storm: a crowd of generations, and lanes of faults that strike side by side."""

import asyncio
import random
from collections.abc import Iterator, Sequence

from tests.proof.chaos import evidence, policies
from tests.proof.chaos.clients import Generation
from tests.proof.chaos.cluster import Cluster
from tests.proof.chaos.deck import Deck
from tests.proof.chaos.faults import LANES, RARE, STRIKES, Injector
from tests.proof.chaos.history import Recorder, now
from tests.proof.chaos.wishing import Wish

EVERY = {**STRIKES, **policies.STRIKES}
_MORE_SECONDS = 60.0
LIVE_SECONDS = 10.0
"""I12: how long after the faults every viewer may take."""


class Storm:
    """`slots` generations run at a time until `seconds` are over and every fault was there, but not for twice as long (or a
    minute more, if that is longer: on a machine that does much else); those that run then are left to their viewers."""

    def __init__(
        self, cluster: Cluster, recorder: Recorder, wishes: Iterator[Wish], faults: Sequence[str], seed: str
    ) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._wishes = wishes
        self._faults = faults
        self._seed = seed
        self._over = asyncio.Event()
        self.generations: list[Generation] = []
        self._left: list[asyncio.Task[None]] = []
        """What faults have begun and left to itself."""

    async def rage(self, seconds: float, slots: int) -> list["asyncio.Task[None]"]:
        """Returns when every fault is undone and every process runs; the tasks are generations that still go on."""
        end = now() + seconds
        latest = end + max(seconds, _MORE_SECONDS)
        lanes = [[fault for fault in lane if fault in self._faults] for lane in (*LANES, *policies.LANES)]
        slots_of = [asyncio.create_task(self._slot(latest)) for _ in range(slots)]
        striking = [
            asyncio.create_task(self._lane(str(number), lane, end, latest)) for number, lane in enumerate(lanes) if lane
        ]
        for task in striking:
            await task
        while now() < end or (now() < latest and await self._missing()):
            await asyncio.sleep(0.5)
        self._over.set()
        for member in self._cluster.members:
            async with member.lock:
                if not member.child.running:
                    await member.start()
        self._recorder.write("healed")
        return slots_of + self._left

    async def _missing(self) -> bool:
        """Whether upstream has not yet failed, or a generation not been erased, in all ways that were asked for."""
        wanted = {fault.removeprefix("upstream_") for fault in self._faults if fault.startswith("upstream_")}
        erasing = {fault.removeprefix("erase_") for fault in self._faults if fault.startswith("erase_")}
        erased = {each.wish.erased for each in self.generations if each.erased}
        return bool(erasing - erased or wanted - await evidence.upstream_faults(self._cluster))

    async def _slot(self, latest: float) -> None:
        """One generation after the other."""
        while not self._over.is_set():
            wish = next(self._wishes)
            hook = self._cluster.receiver.url(wish.gen) if wish.hooked else ""
            holder = self._cluster.desk.of(len(self.generations))
            generation = Generation(wish, self._cluster.addresses, self._recorder, holder, hook=hook)
            self.generations.append(generation)
            await generation.run(until=latest + LIVE_SECONDS)

    async def _lane(self, name: str, faults: Sequence[str], end: float, latest: float) -> None:
        """Until the time is over and each kind has struck."""
        rng = random.Random(f"{self._seed} lane {name}")
        deck = Deck(rng, faults)
        injector = Injector(self._cluster, self._recorder, rng, self.generations, self._left)
        await asyncio.sleep(rng.uniform(0.3, 1.0))
        while now() < end or (set(faults) - injector.struck and now() < latest):
            kind = deck.draw()
            again = kind in injector.struck
            if again and rng.random() > RARE.get(kind, 1.0):
                continue
            if now() < end or not again:
                await EVERY[kind](injector)
                await asyncio.sleep(rng.uniform(0.05, 0.6))

    async def roll_call(self) -> None:
        """After the bound of I12: who is open, who is done, and who has heard what."""
        healed = now()
        viewers = [viewer for generation in self.generations for viewer in generation.viewers if viewer.done is None]
        while viewers and now() < healed + LIVE_SECONDS:
            await asyncio.sleep(0.2)
            viewers = [each for each in viewers if each.done is None and not (each.open and each.heard > healed)]
        for viewer in viewers:
            self._recorder.write(
                "roll", gen=viewer.gen, viewer=viewer.name, state="open" if viewer.open else "waits",
                silent=now() - viewer.heard if viewer.heard else None,
            )  # fmt: skip
