"""Text in larger pieces: words or sentences instead of tokens, around any dialect. A fold that holds entries back. Pure.

    log     7-2 "It"   7-3 " is"   7-4 " done"   7-5 "."   7-6 " Then"   7-7 " he"
    chunks                                       7-5 "It is done."       …

A chunk is whole entries, shown as one that has the id of its last: so who resumes behind any id gets exactly the rest, in
chunks of whichever kind. Where it ends is said in boundaries.py; whoever folds may end it sooner (`flush`), as time passes or
somebody joins. So chunks may be cut otherwise the next time. Their text joined is always the same.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final, Literal, NamedTuple

import orjson

from api.dialects import Dialect, State
from api.dialects.boundaries import EMPTY, Kind, Scan, cut_off, grown
from broker.events import EVENT, START, TEXT, THINKING, Entry
from broker.transcript import Transcript
from broker.vocabulary import ClosedReason, GapReason
from broker.waiting import Wait

Size = Literal["token", Kind]

_MOST_BYTES: Final = 4096
_MOST_ENTRIES: Final = 256
"""A chunk that has become so large ends, whatever it says: nobody holds a model's output back by leaving out its blanks."""


class Held(NamedTuple):
    """The state of the dialect inside; the block that text belongs to, and what is remembered of it; the entries that wait, all
    of one kind, and how many bytes they have."""

    inner: State
    block: int = -1
    scan: Scan = EMPTY
    entries: tuple[Entry, ...] = ()
    size: int = 0


class Chunks(Dialect):
    """A dialect whose frames are of chunks. The one inside must remember the same of a text whether it comes as one entry or as
    many."""

    holds = True
    slice = 64

    def __init__(self, inner: Dialect, kind: Kind) -> None:
        self._inner = inner
        self._kind: Kind = kind
        self.begin: State = Held(inner.begin)
        self.keep_alive, self.done = inner.keep_alive, inner.done

    def fold(self, state: State, entries: Sequence[Entry]) -> tuple[State, list[bytes]]:
        assert isinstance(state, Held)
        frames = list[bytes]()
        for entry in entries:
            if entry.kind in (TEXT, THINKING):
                state = self._text(state, entry, frames)
            else:
                state = self._other(self._cut(state, None, frames), entry, frames)
        return state, frames

    def flush(self, state: State, most: int | None = None) -> tuple[State, list[bytes]]:
        assert isinstance(state, Held)
        frames = list[bytes]()
        return self._cut(state, most, frames), frames

    def passed(self, state: State) -> bool:
        assert isinstance(state, Held)
        return state.scan.passed

    def _text(self, state: Held, entry: Entry, frames: list[bytes]) -> Held:
        if state.entries and state.entries[-1].kind != entry.kind:
            state = self._cut(state, None, frames)._replace(scan=EMPTY)
        scan, cut = grown(state.scan, self._kind, entry.value.decode(), len(state.entries))
        if cut:
            state = self._shown(state, cut, frames)
        size = state.size + len(entry.value)
        state = Held(state.inner, state.block, scan, (*state.entries, entry), size)
        if size > _MOST_BYTES or len(state.entries) >= _MOST_ENTRIES:
            return self._cut(state, None, frames)
        return state

    def _other(self, state: Held, entry: Entry, frames: list[bytes]) -> Held:
        """A block that is gone on with is the same text still."""
        inner, frame = self._inner.fold(state.inner, [entry])
        frames += frame
        block, scan = state.block, state.scan
        if entry.kind == START or (entry.kind == EVENT and b'"block_start"' in entry.value):
            match orjson.loads(entry.value):
                case {"type": "block_start", "index": int(index)} if index != block:
                    block, scan = index, EMPTY
                case {"type": "stream_start", "keep_blocks": int(keep)} if keep <= block:
                    block, scan = -1, EMPTY
        return Held(inner, block, scan)

    def _cut(self, state: Held, most: int | None, frames: list[bytes]) -> Held:
        """The first `most` entries that wait, or all, are a chunk."""
        count = len(state.entries) if most is None else min(most, len(state.entries))
        if not count:
            return state
        all_ = count == len(state.entries)
        return self._shown(state, count, frames)._replace(scan=cut_off(state.scan, None if all_ else count))

    def _shown(self, state: Held, count: int, frames: list[bytes]) -> Held:
        """The first `count` entries that wait have been shown as one."""
        chunk, rest = state.entries[:count], state.entries[count:]
        id_, kind, _ = chunk[-1]
        whole = Entry(id_, kind, b"".join([value for _, _, value in chunk]))
        inner, frame = self._inner.fold(state.inner, [whole])
        frames += [b""] * (count - 1)
        frames += frame
        return Held(inner, state.block, state.scan, rest, state.size - len(whole.value))

    # -- the rest is as inside

    def queued(self, wait: Wait) -> bytes:
        return self._inner.queued(wait)

    def gap(self, reason: GapReason) -> bytes:
        return self._inner.gap(reason)

    def drain(self, retry_ms: int) -> bytes:
        return self._inner.drain(retry_ms)

    def closed(self, reason: ClosedReason) -> bytes:
        return self._inner.closed(reason)

    def snapshot(self, transcript: Transcript) -> Iterator[bytes]:
        return self._inner.snapshot(transcript)

    def first(self, body: bytes) -> bytes | None:
        return self._inner.first(body)


def in_chunks(dialect: Dialect, size: Size) -> Dialect:
    """The dialect in chunks of this size: one and the same for all who ask, so that they share frames."""
    return dialect if size == "token" else _chunks(dialect, size)


@cache
def _chunks(dialect: Dialect, size: Kind) -> Dialect:
    return Chunks(dialect, size)
