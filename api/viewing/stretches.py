"""Stretches of a log of which nobody needs more than the state behind them: how much of it is read at once. Pure.

A state is noted behind each page. Where the way is long several pages are read at once, if what they hold is small: a trip to
Redis takes as long as a page.
"""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Final

from broker.events import Entry, Run
from broker.ids import EntryId

PAGE: Final = 1000
"""Entries."""
MOST: Final = 5 * PAGE
"""About as many Redis hands out in a millisecond and a half, while nobody else is served."""
_MOST_BYTES: Final = 512 * 1024
_value = itemgetter(1)


def most_after(page: Sequence[Run]) -> int:
    """How many entries may be read at once behind these, if they are like them: pages, at least one."""
    held = sum(sum(map(len, map(_value, run.contents))) for run in page)
    return max(PAGE, min(MOST, _MOST_BYTES * size(page) // (held + 1) // PAGE * PAGE))


def between(border: EntryId, cursor: EntryId, most: int) -> int:
    """How many entries to read behind the one, for who needs those up to the other."""
    return min(most, cursor.seq - border.seq) if border.attempt == cursor.attempt else most


def size(stretch: Sequence[Run]) -> int:
    return sum(len(run.contents) for run in stretch)


def pages(stretch: Sequence[Run]) -> Iterator[list[Run]]:
    """The same, in pages; the last one may not be full."""
    page, room = list[Run](), PAGE
    for (attempt, seq), contents in stretch:
        at = 0
        while some := contents[at : at + room]:
            page.append(Run(EntryId(attempt, seq + at), some))
            at, room = at + len(some), room - len(some)
            if not room:
                yield page
                page, room = [], PAGE
    if page:
        yield page


def entries(stretch: Sequence[Run]) -> list[Entry]:
    return [
        Entry(EntryId(run.first.attempt, seq), kind, value)
        for run in stretch
        for seq, (kind, value) in enumerate(run.contents, run.first.seq)
    ]


def up_to(cursor: EntryId, stretch: Sequence[Run]) -> list[Run]:
    """Those of the entries that are not behind the cursor."""
    found = [run for run in stretch if run.first <= cursor]
    if found and found[-1].last > cursor:
        first, contents = found[-1]
        found[-1] = Run(first, contents[: cursor.seq - first.seq + 1] if first.attempt == cursor.attempt else contents)
    return found


def without_first(stretch: Sequence[Run]) -> list[Run]:
    """All but the first entry, of which there is one."""
    (attempt, seq), contents = stretch[0]
    return [Run(EntryId(attempt, seq + 1), contents[1:]), *stretch[1:]] if len(contents) > 1 else [*stretch[1:]]
