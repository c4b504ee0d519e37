"""Folding what was read from a log, in slices: a dialect tells how many entries are one."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

from api.dialects import UNKNOWN, Dialect, State
from broker.events import DELTAS, Entry, Run
from broker.ids import EntryId
from broker.turns import Turns

_kind: Final = itemgetter(0)
_value: Final = itemgetter(1)
_SKIPPED_TIMES: Final = 5
"""So many entries are skipped in the time in which one is folded."""


async def folded(
    turns: Turns, dialect: Dialect, state: State, entries: Sequence[Entry]
) -> tuple[State, list[bytes]]:  # fmt: skip
    """The state behind the entries, with which who resumes there may begin, and a frame for each: nothing is held back."""
    frames, size = list[bytes](), dialect.slice
    for at in range(0, len(entries), size):
        part = entries[at : at + size]
        await turns.take(len(part) * dialect.SLICE // size)
        state, more = dialect.fold(state, part)
        frames += more
    state, held = dialect.flush(state)
    return state, frames + held


async def skipped(turns: Turns, dialect: Dialect, state: State, runs: Sequence[Run]) -> State:
    """As `folded`, without frames: what is of no use but for its state."""
    for run in runs:
        attempt, seq = run.first
        for kind, contents in _of_a_kind(run.contents):
            after: State = UNKNOWN
            if kind in DELTAS:
                await turns.take(len(contents) // _SKIPPED_TIMES)
                after = dialect.skip(state, kind, [*map(_value, contents)])
            if after is UNKNOWN:
                entries = [Entry(EntryId(attempt, seq + at), kind, value) for at, (_, value) in enumerate(contents)]
                after, _ = await folded(turns, dialect, state, entries)
            state, seq = after, seq + len(contents)
    return dialect.flush(state)[0]


def _of_a_kind(contents: Sequence[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, Sequence[tuple[bytes, bytes]]]]:
    """In stretches of one kind; nearly always there is one."""
    kinds = [*map(_kind, contents)]
    if kinds and kinds.count(kinds[0]) == len(kinds):
        yield kinds[0], contents
        return
    at = 0
    for kind, stretch in groupby(kinds):
        size = sum(1 for _ in stretch)
        yield kind, contents[at : at + size]
        at += size
