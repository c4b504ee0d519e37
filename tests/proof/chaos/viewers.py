"""Viewers as users write them: they reconnect with the last id they have, to whichever API answers, and never give up."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.proof.chaos.history import Recorder, now
from tests.proof.chaos.passes import Pass
from tests.proof.chaos.wire import Address, Call, Lost, call

Habit = Literal["steady", "wanderer", "snapshot", "late", "slow"]
HABITS: tuple[Habit, ...] = ("steady", "wanderer", "snapshot", "late", "slow")
Word = Literal["frame", "redacted"]

_HEAD_SECONDS = 15.0
_SLOWLY = (0.1, 0.4)
"""Seconds between two reads of a slow viewer."""
_TYPE = b'{"type":"'
_ENDS = (b'{"type":"stream_end"', b'{"type":"error"')
_TOLD = (b'{"type":"stream_start"', *_ENDS)


@dataclass(slots=True)
class Viewer:
    """Watches one generation. `starts` is when it heard of each attempt, `heard` when it last heard anything, `done` why it
    stopped: the generation's end was shown, the API said so (204), there is no such generation, what let it in has ended
    (`refused`). What it is shown it writes down under `word`."""

    gen: str
    name: str
    id: str
    addresses: Sequence[Address]
    recorder: Recorder
    rng: random.Random
    pass_: Pass
    habit: Habit = "steady"
    word: Word = "frame"
    cursor: str | None = None
    latest: str = ""
    """The type of what it was shown last that has an id."""
    starts: list[tuple[float, int]] = field(default_factory=list)
    heard: float = 0.0
    frames: int = 0
    gaps: int = 0
    ended_at: float | None = None
    done: str | None = None
    first_since_mark: float | None = None
    _marked: bool = False
    _buffer: bytes = b""
    _call: Call | None = None
    _budget: int | None = None

    @property
    def open(self) -> bool:
        return self._call is not None

    def mark(self) -> None:
        """From now on: `first_since_mark` will tell when the next frame came."""
        self.first_since_mark, self._marked = None, True

    async def watch(self) -> None:
        """Until it is done. Cancel it to give up."""
        self.recorder.write("watches", gen=self.gen, viewer=self.name)
        if self.habit in ("late", "snapshot"):
            await asyncio.sleep(self.rng.uniform(0.2, 3.0))
        at = self.rng.randrange(len(self.addresses))
        while self.done is None:
            at = (at + 1) % len(self.addresses)
            try:
                await self._visit(self.addresses[at])
            except Lost:
                await asyncio.sleep(self.rng.uniform(0.05, 0.2))

    async def again(self) -> None:
        """Comes back after the end it was shown, which the store may have taken back since."""
        self.ended_at = self.done = None
        self.habit = "steady"
        await self.watch()

    async def _visit(self, address: Address) -> None:
        headers = {"Accept": "text/event-stream", **self.pass_.headers()}
        if self.cursor:
            headers["Last-Event-ID"] = self.cursor
        queries = ["from=snapshot"] if self.habit == "snapshot" and self.cursor is None else []
        queries += [query] if (query := self.pass_.query()) else []
        target = f"/v1/generations/{self.id}/events" + ("?" + "&".join(queries) if queries else "")
        self._buffer = b""
        self._budget = self.rng.randrange(3, 40) if self.habit == "wanderer" else None
        pause = self.rng.uniform(*_SLOWLY) if self.habit == "slow" else 0.0
        made = await call(
            address, "GET", target, headers=headers, on_body=self._feed, seconds=_HEAD_SECONDS, pause=pause
        )
        status = made.status.result()
        self.recorder.write("opened", gen=self.gen, viewer=self.name, status=status, cursor=self.cursor)
        self.heard = now()
        if status != 200:
            made.leave()
            await self._refused(status)
            return
        self._call = made
        if self._budget is not None and self._budget <= 0:
            made.leave()
        try:
            whole = await asyncio.shield(made.ended)
        except asyncio.CancelledError:
            self.recorder.write("closed", gen=self.gen, viewer=self.name, how="left")
            raise
        finally:
            self._call = None
            made.leave()
        left = self._budget is not None and self._budget <= 0
        how = "left" if left else "clean" if whole else "cut"
        self.recorder.write("closed", gen=self.gen, viewer=self.name, how=how)
        if left:
            await asyncio.sleep(self.rng.uniform(0, 1.0))
        elif whole and self.ended_at is not None:
            self.done = "end"
        else:
            await asyncio.sleep(self.rng.uniform(0.02, 0.1))

    async def _refused(self, status: int) -> None:
        if status == 204:
            self.done = "204"
        elif status in (404, 410):
            self.done = "gone"
        elif status == 401 and await self.pass_.refused():
            self.done = "refused"
        else:
            await asyncio.sleep(self.rng.uniform(0.1, 0.3))

    def _feed(self, data: bytes) -> None:
        self.heard = now()
        *blocks, self._buffer = (self._buffer + data).split(b"\n\n")
        for block in blocks:
            if self._budget is not None:
                if self._budget <= 0:
                    return  # it hangs up: what comes now it has never seen
                self._budget -= 1
                if self._budget <= 0 and self._call is not None:
                    self._call.leave()
            self._take(block)

    def _take(self, block: bytes) -> None:
        head, _, id_ = block.partition(b"\nid: ")
        _, found, data = head.partition(b"data: ")
        if not found:
            return
        self.recorder.write(self.word, gen=self.gen, viewer=self.name, block=block.decode())
        self.frames += 1
        if self._marked and self.first_since_mark is None:
            self.first_since_mark = self.heard
        if id_:
            self.cursor, self.latest = id_.decode(), data[len(_TYPE) :].partition(b'"')[0].decode()
            if data.startswith(_TOLD):
                self.starts.append((self.heard, int(id_.partition(b"-")[0])))
            if data.startswith(_ENDS):
                self.ended_at = self.heard
        elif data.startswith(b'{"type":"gap"'):
            self.gaps += 1
            self.ended_at = self.cursor = None
