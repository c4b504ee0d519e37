"""Which way the appends of a generation take: one server has one lane, a cluster one for each primary, so that a server that is
struck holds up its own generations alone.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from broker.store.appends import Lane
from broker.store.topology import Topology, is_cluster

_LOOK_SECONDS: Final = 1.0


class Lanes(ABC):
    """The lanes of a process. `moved` is called when a slot may have another lane than before."""

    @abstractmethod
    def of(self, slot: int) -> Lane:
        """The lane of the slot, as far as it is known."""

    @abstractmethod
    async def look_again(self, moved: Callable[[], object]) -> None:
        """To be called when a lane did not do what it should: are the slots where they were?"""

    @abstractmethod
    async def watch(self, moved: Callable[[], object]) -> None:
        """Looks now and then whether slots have moved, until cancelled."""

    @abstractmethod
    def close(self) -> None: ...


class OneLane(Lanes):
    """To the one server that has all logs."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    def of(self, slot: int) -> Lane:
        return self._lane

    async def look_again(self, moved: Callable[[], object]) -> None: ...

    async def watch(self, moved: Callable[[], object]) -> None: ...

    def close(self) -> None:
        self._lane.close()


class ClusterLanes(Lanes):
    """To the primaries of a cluster. What is sent before it is known who they are waits, as whatever Redis cannot do now."""

    def __init__(self, url: str) -> None:
        self._topology = Topology(url)
        self._lanes: dict[str, Lane] = {}
        self._nowhere = Lane("redis://nowhere")
        self._nowhere.close()

    def of(self, slot: int) -> Lane:
        place = self._topology.of(slot)
        if place is None:
            return self._nowhere
        if place not in self._lanes:
            self._lanes[place] = Lane(self._topology.url(place), self._topology.url)
        return self._lanes[place]

    async def look_again(self, moved: Callable[[], object]) -> None:
        if await self._topology.refresh():
            for place in self._lanes.keys() - self._topology.primaries:
                self._lanes.pop(place).close()
            moved()

    async def watch(self, moved: Callable[[], object]) -> None:
        while True:
            await self.look_again(moved)
            await asyncio.sleep(_LOOK_SECONDS)

    def close(self) -> None:
        self._topology.close()
        for lane in self._lanes.values():
            lane.close()


def lanes_to(url: str) -> Lanes:
    """Those to the Redis, or the cluster, of this URL."""
    return ClusterLanes(url) if is_cluster(url) else OneLane(Lane(url))
