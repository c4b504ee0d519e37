"""Folding what was read from a log, in slices: a dialect tells how many entries are one."""

from collections.abc import Sequence

from api.dialects import Dialect, State
from broker.events import Entry
from broker.turns import Turns


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
