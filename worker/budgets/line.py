"""Calls of this process that wait for one budget, first come first served. The first asks Redis again and again, the others
stand behind it, so that many that wait ask no more often than one."""

import asyncio
from collections import deque
from contextlib import suppress

from broker.budgets import Wait


class Place:
    """One that waits, since `since` (seconds)."""

    __slots__ = ("_called", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self._called = asyncio.Event()

    def call(self) -> None:
        """Whatever it waits for, it looks at once."""
        self._called.set()

    async def pause(self, seconds: float) -> None:
        """Until it is called, or so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._called.wait()
        self._called.clear()


class Line:
    """`last` is what the first was told last."""

    def __init__(self) -> None:
        self._places: deque[Place] = deque()
        self.last: Wait | None = None

    def __len__(self) -> int:
        return len(self._places)

    def join(self, since: float) -> Place:
        place = Place(since)
        self._places.append(place)
        return place

    def leave(self, place: Place) -> None:
        self._places.remove(place)
        self.call_first()

    def first(self, place: Place) -> bool:
        return self._places[0] is place

    def call_first(self) -> None:
        if self._places:
            self._places[0].call()

    def told(self, wait: Wait) -> None:
        """The first was told this. All hear at once of a breaker that has opened: some have other models to turn to."""
        opened = wait.reason == "overloaded" and (self.last is None or self.last.reason != "overloaded")
        self.last = wait
        if opened:
            for place in self._places:
                place.call()
