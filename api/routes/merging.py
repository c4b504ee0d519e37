"""Lists of several cells as one, page by page, newest first. Pure.

A part is what one cell has shown: rows, and the place behind which it has not been looked at. No row may be shown that is
behind such a place: some cell may have another before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
Place: TypeAlias = tuple[int, str]
"""Of a generation in a list: µs of its submit, id. Newest first is falling order."""


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """`behind`: everything before that place, itself included, has been looked at; None: everything."""

    rows: Sequence[tuple[Place, T]]
    behind: Place | None


def merged(parts: Sequence[Part[T]], limit: int) -> Part[T]:
    """A page of up to `limit` rows of all parts, which begin at one place; fewer, if a part does not reach further."""
    horizon = max((part.behind for part in parts if part.behind is not None), default=None)
    rows = sorted((row for part in parts for row in part.rows), key=lambda row: row[0], reverse=True)
    shown = [row for row in rows if horizon is None or row[0] >= horizon][:limit]
    if len(shown) == limit and (len(rows) > limit or horizon is not None):
        return Part(shown, shown[-1][0])
    return Part(shown, horizon)
