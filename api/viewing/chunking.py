"""A rendition in a dialect that holds entries back (api/dialects/chunks.py): it has frames up to the last that is not held, and
shows what is held when its time has come, when somebody joins behind it, or when the hub goes.

    ring      e4 e5 e6 e7 e8          positions 4 … 8
    frames    "", "It is", "", " done."            up to 7: viewers stand at 4, 6 or 8, never within a chunk
    held                      e8

Who comes with a cursor within a chunk that has been shown (it was cut otherwise for it) reads the rest of it in the log.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from api.dialects import UNKNOWN, State
from api.viewing.rendition import PLACE_BYTES, Rendition, View
from api.viewing.ring import Ring
from broker.events import Entry
from broker.ids import EntryId

MOST_SECONDS: Final = 0.25
"""Nothing is held for longer."""
PAST_SECONDS: Final = 0.05
"""What has all of a word or sentence in it is not held for longer."""
_SOON: Final = 0.001


class Chunking(Rendition):
    """One timer, while anything is held, however many viewers there are. `_arrived`: up to which position entries had come at
    which time, of those that are held; `_passed_at`: since when there is a whole word or sentence in them."""

    __slots__ = ("_arrived", "_begun_at", "_passed_at", "_timer")

    def __init__(
        self, ring: Ring, view: View, most_bytes: int, now: float, note: Callable[[EntryId, State], object]
    ) -> None:
        self._timer: asyncio.TimerHandle | None = None
        super().__init__(ring, view, most_bytes, now, note)

    def restart(self) -> None:
        super().restart()
        self._arrived: list[tuple[int, float]] = []
        self._passed_at: float | None = None
        self._begun_at = self.base
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self, position: int, state: State) -> None:
        self._begun_at = position
        super()._begin(position, state)

    def add(self, entries: list[Entry]) -> None:
        end = self.end
        super().add(entries)
        if self._state is UNKNOWN:
            return
        if self.end == self._ring.end:
            self._arrived.clear()
            return
        loop = asyncio.get_running_loop()
        if self.end != end:
            self._passed_at = None
        self._arrived.append((self._ring.end, loop.time()))
        if self._passed_at is None and self.view.dialect.passed(self._state):
            self._passed_at = loop.time()
        self._set_timer(loop)

    def _due(self) -> float:
        """When what is held must be shown."""
        while self._arrived[0][0] <= self.end:
            del self._arrived[0]
        due = self._arrived[0][1] + MOST_SECONDS
        return due if self._passed_at is None else min(due, self._passed_at + PAST_SECONDS)

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        """One that is set for sooner stays: it looks again then."""
        due = self._due()
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = loop.call_at(due, self._strike)

    def _strike(self) -> None:
        self._timer = None
        if self.end == self._ring.end:
            return
        loop = asyncio.get_running_loop()
        if self._due() <= loop.time() + _SOON:
            self.release(loop.time())
        else:
            self._set_timer(loop)

    def release(self, now: float) -> None:
        """Shows what is held back."""
        self._flush(None)
        self.show(now)

    def _flush(self, most: int | None) -> None:
        if self._state is UNKNOWN:
            return
        self._state, frames = self.view.dialect.flush(self._state, most)
        self.frames += frames
        self._bytes += sum(map(len, frames)) + PLACE_BYTES * len(frames)
        if self._bytes > self._twice:
            self._trim()
        self._passed_at = None
        if self.end == self._ring.end:
            self._arrived.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def position_behind(self, cursor: EntryId, state: State) -> int | None:
        """Behind what is held, the part that is before it is shown to all others: who joins has had it."""
        position = super().position_behind(cursor, state)
        if position is None or not self._is_end(position):
            return None
        if position > self.end:
            self._flush(position - self.end)
            loop = asyncio.get_running_loop()
            loop.call_soon(lambda: self.show(loop.time()))
        return position

    def _is_end(self, position: int) -> bool:
        """Whether a chunk ends there, or what is held may be cut there."""
        if position >= self.end or position == self._begun_at:
            return True
        return position > self.base and self.frames[position - 1 - self.base] != b""
