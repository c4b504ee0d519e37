"""What logs amount to, kept: who asks for a long one again, or while it grows, waits for what is new of it alone.

A log is folded in slices, once for all who ask meanwhile, and what they get is the same bytes, in pieces. So neither a crowd
that asks for one long log nor somebody who asks for many of them in turn, or takes what they asked for slowly, holds others up
or fills the memory: what is kept is bounded, and so is how many are folded at a time.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Final, NamedTuple, TypeAlias

from broker.events import Entry
from broker.ids import EntryId
from broker.store.logs import Logs
from broker.store.reading import read_up
from broker.transcript import Transcript
from broker.turns import SLICE_SECONDS, Turns

_AT_ONCE: Final = 4
_PIECE_BYTES: Final = 64 * 1024
_BESIDES: Final = 500

Form: TypeAlias = Callable[[Transcript], Iterable[bytes]]
"""How a transcript is told, piece by piece. The same object (or an equal one) for the same form."""


class Told(NamedTuple):
    """A log in some form: pieces that one write can take. `last` is its last entry, `cursor` the last but for the end, `end`
    the terminal one."""

    pieces: tuple[bytes, ...]
    cursor: EntryId
    last: EntryId
    end: Entry | None


class _Kept:
    __slots__ = ("lock", "size", "told", "transcript")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.size = 0
        self.begin()

    def begin(self) -> None:
        self.transcript = Transcript()
        self.told: dict[Form, Told] = {}


class Transcripts:
    """A cache of `most_bytes` in front of the logs; what was not asked for for longest leaves first. `bytes` is what it holds,
    `reads` how many logs were read, from their beginning or from where they were last."""

    def __init__(self, logs: Logs, most_bytes: int, turns: Turns) -> None:
        self._logs = logs
        self._turns = turns
        self._most_bytes = most_bytes
        self.bytes = self.reads = 0
        self._known: OrderedDict[str, _Kept] = OrderedDict()
        self._under_way: dict[tuple[str, Form], asyncio.Task[Told]] = {}
        self._folding = asyncio.Semaphore(_AT_ONCE)

    async def told(self, id_: str, form: Form) -> Told:
        """The log as it is now, in this form. Raises StorageUnavailable. The work belongs to the cache: one who leaves does not
        take it away from the others."""
        key = (id_, form)
        if (earlier := self._under_way.get(key)) is not None:  # it may have read the log's end before this was asked
            await asyncio.wait((earlier,))
        work = self._under_way.get(key)
        if work is None:
            work = self._under_way[key] = asyncio.get_running_loop().create_task(self._tell(id_, form))
            work.add_done_callback(lambda done: self._done(key, done))
        return await asyncio.shield(work)

    def forget(self, id_: str) -> None:
        """The generation was erased."""
        if (kept := self._known.pop(id_, None)) is not None:
            self.bytes -= kept.size

    def forget_all(self) -> None:
        """Any may have been."""
        self._known.clear()
        self.bytes = 0

    def cancel(self) -> None:
        """Ends the work that is under way."""
        for work in list(self._under_way.values()):
            work.cancel()

    def _done(self, key: tuple[str, Form], work: asyncio.Task[Told]) -> None:
        del self._under_way[key]
        if not work.cancelled():
            work.exception()  # those who asked look at it too, if there are any left

    async def _tell(self, id_: str, form: Form) -> Told:
        kept = self._known.get(id_)
        if kept is None:
            kept = self._known[id_] = _Kept()
        self._known.move_to_end(id_)
        async with kept.lock, self._folding:
            try:
                self.reads += 1
                while not await read_up(self._logs, id_, kept.transcript, self._turns):
                    kept.begin()
                transcript = kept.transcript
                told = kept.told.get(form)
                if told is None or told.last != transcript.last:
                    pieces = await self._pieces(form(transcript))
                    told = kept.told[form] = Told(pieces, transcript.cursor, transcript.last, transcript.end)
                return told
            except BaseException:
                kept.begin()  # whatever broke off, it is not in the middle of an entry
                raise
            finally:
                self._count(id_, kept)

    async def _pieces(self, parts: Iterable[bytes]) -> tuple[bytes, ...]:
        """In slices."""
        pieces, held, size = list[bytes](), list[bytes](), 0
        await self._turns.take()
        until = perf_counter() + SLICE_SECONDS
        for part in parts:
            held.append(part)
            size += len(part)
            if size >= _PIECE_BYTES:
                joined, whole = b"".join(held), size - size % _PIECE_BYTES
                pieces += [joined[at : at + _PIECE_BYTES] for at in range(0, whole, _PIECE_BYTES)]
                held, size = [joined[whole:]], size - whole
            if perf_counter() > until:
                await self._turns.take()
                until = perf_counter() + SLICE_SECONDS
        return (*pieces, b"".join(held)) if size else tuple(pieces)

    def _count(self, id_: str, kept: _Kept) -> None:
        if self._known.get(id_) is not kept:  # it has left meanwhile
            return
        size = (
            kept.transcript.size
            + _BESIDES
            + sum(map(len, (piece for told in kept.told.values() for piece in told.pieces)))
        )
        self.bytes += size - kept.size
        kept.size = size
        while self.bytes > self._most_bytes:
            _, dropped = self._known.popitem(last=False)
            self.bytes -= dropped.size
