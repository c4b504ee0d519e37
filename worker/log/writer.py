"""One attempt's hand on its log: what is written, what waits, what may have to be written again. Does no I/O.

It holds the attempt's latest entries in order of seq:

    base … acked          `kept` for a while when they are written: Redis may come back without them (a failover, a crash)
    acked + 1 … next - 1  `unwritten`

Where the generation is sealed (broker/sealing.py), an entry is sealed when it is first sent; from then on what came of it is
written, and written again.

What is kept is bytes and nothing else, kind and value in turn: a hundred thousand small tuples would be looked through by every
collection of garbage, and stop all streams meanwhile.

A flush takes the unwritten ones; whatever Redis answers, `acknowledge` moves `acked` to what the log really ends with. So a
repeated write and the re-append of a lost tail are the same thing: writing everything behind `acked`, under the ids that
these entries have always had.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from math import inf
from typing import Final, Literal

from broker.events import Content
from broker.sealing import Seal
from broker.store.appends import AttemptLog

Cause = Literal[
    "cancelled", "fenced", "rewound", "storage_full", "storage_error", "first_token_timeout", "idle_timeout", "total_timeout",
    "drain", "abandoned", "blocked",
]  # fmt: skip
"""Why an attempt is stopped from outside. `fenced`: it is no longer the one that runs. `rewound`: Redis has lost more of
the log than the buffer holds. `abandoned`: nobody watches it any more, and it is cancelled for that."""

_LOST: Final = frozenset[Cause](("fenced", "rewound"))
_UNWRITABLE: Final = _LOST | frozenset[Cause](("storage_full", "storage_error"))

TAIL_SECONDS: Final = 10.0
"""How long written entries are kept: several times what AOF everysec or a lagging replica may lose."""
_FLUSH_ENTRIES: Final = 500
_PRUNE_EVERY: Final = 1.0


class Writer:
    """`max_unwritten` bounds what may wait for Redis; a producer that finds the writer `crowded` waits for `room`. `seal`: of
    a generation that is sealed."""

    def __init__(self, id_: str, attempt: int, *, max_unwritten: int, now: float, seal: Seal | None = None) -> None:
        self.id = id_
        self.attempt = attempt
        self.log = AttemptLog(id_, attempt)
        self.acked = 0  # the claim has written <attempt>-0
        self.cause: Cause | None = None
        self.writable = True
        """Whether appending still makes sense: a cancelled attempt may write its last words, a fenced one may not."""
        self.unwritable: Cause | None = None
        """Why it does not."""
        self.on_stop: Callable[[], object] = lambda: None
        self.on_put: Callable[[Writer], None] = lambda _: None
        self.on_due: Callable[[Writer], None] = lambda _: None
        """As `on_put`, of what may wait for nothing more."""
        self.paced = False
        """Whether what is put may wait for company: from behind the first token on, until the end."""
        self.held = False
        """Whether it waits so now."""
        self.sent_at = -inf
        """When it was last sent, where there is a pace."""
        self.usage: bytes = b""
        self.usage_written: bytes = b""
        self.measured: bytes = b""
        """What the end may say of the attempt's pace."""
        self.flushed_at = now
        self.renewed_at = now
        self.deadline: tuple[float, Cause] | None = None
        self._max_unwritten = max_unwritten
        self._base = 1
        self._kept: list[bytes] = []
        self._unwritten: list[Content] = []
        self._sent = 0
        """How many of these, the first, were sent, and may be in the log: their ids are theirs for ever."""
        self.seal = seal
        self._sealing = None if seal is None else seal.of_attempt(attempt)
        self._marks: deque[tuple[float, int]] = deque()
        self._pruned_at = now
        self._settled = asyncio.Event()

    @property
    def next_seq(self) -> int:
        return self.acked + 1 + len(self._unwritten)

    @property
    def unwritten(self) -> int:
        return len(self._unwritten)

    @property
    def crowded(self) -> bool:
        return len(self._unwritten) >= self._max_unwritten

    @property
    def full(self) -> bool:
        """Whether more would not fit into the next flush, or upstream is not read."""
        return len(self._unwritten) >= min(self._max_unwritten, _FLUSH_ENTRIES)

    def put(self, contents: list[Content]) -> None:
        self._unwritten += contents
        self.on_put(self)

    def stop(self, cause: Cause) -> None:
        """Ends the attempt from outside. The first cause stays, unless the log turns out to be another's: that overrules
        whatever this attempt was ended for."""
        if cause in _UNWRITABLE and self.writable:
            self.writable, self.unwritable = False, cause
        first = self.cause is None
        if first or cause in _LOST:
            self.cause = cause
        self._settled.set()
        if first:
            self.on_stop()

    def drop_unwritten(self) -> int:
        """Forgets the entries that were not sent; all, if nothing can be written any more. How many."""
        if not self.writable:
            self._sent = 0
        dropped = len(self._unwritten) - self._sent
        del self._unwritten[self._sent :]
        return dropped

    async def room(self) -> None:
        """Waits until fewer entries are unwritten than the bound, or the attempt is stopped."""
        while self.crowded and self.cause is None:
            await self._settlement()

    async def flushed(self, seconds: float) -> bool:
        """Waits until everything is written; False if the attempt can write no more, or not in time."""
        self.paced = False
        if self.held:
            self.on_due(self)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.unwritten and self.writable:
                    await self._settlement()
        return not self.unwritten

    async def _settlement(self) -> None:
        self._settled.clear()
        await self._settled.wait()

    # -- the appender's side

    def batch(self) -> tuple[int, list[Content]]:
        """The seq of the first unwritten entry and the entries from there on, a bounded number, as they are to be sent."""
        batch = self._unwritten[:_FLUSH_ENTRIES]
        if len(batch) > self._sent:
            if self._sealing is not None:
                sent = self._sent
                batch[sent:] = self._unwritten[sent : len(batch)] = self._sealing.sealed(
                    self.acked + 1 + sent, batch[sent:] if sent else batch
                )
            self._sent = len(batch)
        return self.acked + 1, batch

    def acknowledge(self, last_seq: int, now: float) -> None:
        """The log ends with `last_seq`: after a write, or because Redis has come back without what followed."""
        self.flushed_at = now
        if last_seq < self.acked:
            self._rewind(last_seq)
        elif last_seq > self.acked:
            written = last_seq - self.acked
            self._kept.extend(chain.from_iterable(self._unwritten[:written]))
            del self._unwritten[:written]
            self._sent = max(0, self._sent - written)
            self.acked = last_seq
            self._marks.append((now, last_seq))
            self._prune(now)
        self._settled.set()

    def _rewind(self, last_seq: int) -> None:
        if last_seq < self._base - 1:
            self.stop("rewound")
            return
        lost = self._kept[2 * (last_seq + 1 - self._base) :]
        del self._kept[len(self._kept) - len(lost) :]
        self._unwritten[:0] = map(Content, lost[::2], lost[1::2])
        self._sent += len(lost) // 2
        self.acked = last_seq
        self.usage_written = b""
        while self._marks and self._marks[-1][1] > last_seq:
            self._marks.pop()

    def _prune(self, now: float) -> None:
        if now - self._pruned_at < _PRUNE_EVERY:
            return
        self._pruned_at = now
        old = self._base - 1
        while self._marks and self._marks[0][0] < now - TAIL_SECONDS:
            old = self._marks.popleft()[1]
        del self._kept[: 2 * (old + 1 - self._base)]
        self._base = old + 1

    def expired(self, now: float) -> Cause | None:
        """The watchdog's verdict, if its time is over."""
        return self.deadline[1] if self.deadline is not None and now >= self.deadline[0] else None
