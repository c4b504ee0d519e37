"""One round: storm, heal, calm, settle, and everything that can be read in the end."""

import asyncio
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.proof.chaos import evidence, policies, traces
from tests.proof.chaos.account import ATTEMPTS_IN_ALL
from tests.proof.chaos.calm import Calm
from tests.proof.chaos.clients import Generation
from tests.proof.chaos.cluster import Cluster
from tests.proof.chaos.faults import IN_TOOLS, ON_SECOND, STRIKES
from tests.proof.chaos.history import Recorder, now
from tests.proof.chaos.limits import LEASE
from tests.proof.chaos.setting import AUDIT, Setting
from tests.proof.chaos.storm import Storm
from tests.proof.chaos.wishing import ERASED, TOTAL_SECONDS, UPSTREAM_FAULTS, Wish, wishes

GROUPS = {
    "worker": ("worker_kill", "worker_pause", "worker_term", "webhook_kill"),
    "tools": tuple(IN_TOOLS),
    "api": ("api_kill", "api_pause", "api_term"),
    "server": ("server_kill", "server_pause", "client_kill", "client_pause"),
    "rewind": ("server_rewind", "coordination_rewind"),
    "refusing": ("memory_full", "misconf", "noreplicas"),
    "clock": ("clock_back",),
    "net": tuple(
        name
        for name in STRIKES
        if name.startswith(("api_redis", "worker_redis", "worker_upstream")) and name not in ON_SECOND
    ),
    "second": ON_SECOND,
    "keys": policies.OF_KEYS,
    "links": policies.OF_LINKS,
    "limits": policies.OF_LIMITS,
    "budgets": policies.OF_BUDGETS,
    "erase": tuple(f"erase_{how}" for how in ERASED),
    "upstream": tuple(f"upstream_{name}" for name in UPSTREAM_FAULTS),
}
_APART = frozenset(("coordination_rewind",))
"""Faults that need two servers."""
_KEYED = frozenset((*policies.OF_KEYS, *policies.OF_LINKS, *policies.OF_LIMITS))
"""Those that need keys, and so tenants; the owner of a link's key ends it."""
ENDS_WITHIN = ATTEMPTS_IN_ALL * (TOTAL_SECONDS + LEASE)
"""I9, in seconds."""
_AT_ONCE = 20


def kinds(asked: str) -> list[str]:
    """The fault kinds that are asked for: names, groups, or all. Raises ValueError."""
    every = [kind for group in GROUPS.values() for kind in group]
    found: list[str] = []
    for word in asked.replace(",", " ").split():
        chosen = every if word == "all" else GROUPS.get(word, (word,))
        if unknown := set(chosen) - set(every):
            raise ValueError(f"unknown fault {unknown.pop()!r}; there are: {' '.join([*GROUPS, *every])}")
        found += [kind for kind in chosen if kind not in found]
    return found


@dataclass(frozen=True, slots=True)
class Round:
    """What is to be run: `storm` seconds of faults, `slots` generations at a time."""

    seed: str
    faults: Sequence[str]
    storm: float
    slots: int
    folder: Path
    setting: Setting

    @property
    def offered(self) -> list[str]:
        """The faults that can strike here, of those that are asked for."""
        never = (frozenset() if self.setting.apart else _APART) | (frozenset() if self.setting.keys else _KEYED)
        return [kind for kind in self.faults if kind not in never]

    @property
    def two(self) -> bool:
        """Whether there are two upstreams."""
        return not set(ON_SECOND).isdisjoint(self.faults)

    async def run(self) -> None:
        """Leaves a history in the folder, and the processes' logs. Raises only what is wrong with the run itself."""
        recorder = Recorder(self.folder)
        try:
            async with Cluster(self.folder, recorder, self.setting.with_two(self.two)) as cluster:
                await self._run(cluster, recorder)
        finally:
            recorder.close()
            for left in ("valkey", "archive", AUDIT):
                shutil.rmtree(self.folder / left, ignore_errors=True)

    async def _run(self, cluster: Cluster, recorder: Recorder) -> None:
        about = {"keys": self.setting.keys, "sealed": self.setting.sealed}
        recorder.write("clock", wall_ms=time.time() * 1000, **about)
        evidence.processes(cluster, recorder, "beginning")
        upstream = [kind.removeprefix("upstream_") for kind in self.faults if kind.startswith("upstream_")]
        storm = Storm(cluster, recorder, self._wishes(upstream), self.offered, self.seed)
        going = await storm.rage(self.storm, self.slots)
        await storm.roll_call()
        calm = Calm(cluster, recorder, self.faults, self.seed)
        await calm.run()
        everything = storm.generations + calm.generations
        await self._settle(cluster, recorder, everything, going)
        await self._return(recorder, everything)
        await evidence.told(cluster, [id_ for each in everything if each.hook for id_ in each.ids])
        for some in batched(everything, _AT_ONCE):
            await asyncio.gather(*(evidence.outcome(cluster, recorder, generation) for generation in some))
        await evidence.redis_keys(cluster, recorder)
        await traces.erased(cluster, recorder, everything)
        await traces.ledger(cluster, recorder)
        traces.audit(cluster, recorder)
        await traces.secrets(cluster, recorder)
        evidence.processes(cluster, recorder, "end")

    def _wishes(self, upstream: Sequence[str]) -> Iterator[Wish]:
        tools = not IN_TOOLS.keys().isdisjoint(self.faults)
        erased = [how for how in ERASED if f"erase_{how}" in self.faults]
        return wishes(self.seed, upstream, tools=tools, two=self.two, erased=erased)

    async def _settle(
        self, cluster: Cluster, recorder: Recorder, generations: list[Generation], going: list["asyncio.Task[None]"]
    ) -> None:
        """Until every generation has ended and every viewer knows; at most as long as I9 allows."""
        end = now() + ENDS_WITHIN
        left = [id_ for generation in generations for id_ in generation.ids]
        while (left := await evidence.not_ended(cluster, left)) and now() < end:
            await asyncio.sleep(0.2)
        if left:
            recorder.write("note", text=f"not ended: {left}")
        # Those too that nobody knows of: a submit without a key was sent again, for its answer was lost.
        await evidence.nothing_left(cluster, max(0.0, end - now()))
        await asyncio.wait(going, timeout=20)
        for task in going:
            task.cancel()
        for outcome in await asyncio.gather(*going, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def _return(self, recorder: Recorder, generations: list[Generation]) -> None:
        """Every viewer that has seen an end looks once more: the end must be there, or taken back with a `gap`."""
        viewers = [viewer for each in generations for viewer in each.viewers if viewer.done in ("end", "204")]
        for some in batched(viewers, _AT_ONCE):
            await asyncio.wait_for(asyncio.gather(*(viewer.again() for viewer in some)), 30)


T = TypeVar("T")


def batched(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
