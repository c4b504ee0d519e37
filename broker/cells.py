"""Cells: independent pairs of coordination and logs, and the setting that lists them. Pure.

    [{"number": 0, "redis_url": "redis://a"},
     {"number": 1, "redis_url": "redis://b", "logs_url": "redis+cluster://c", "weight": 2}]

A cell's number is in the ids of its generations, so it stays the cell's for as long as any of them may be asked for.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from broker.errors import BrokerError
from broker.ids import MOST_CELLS

_MEMBERS: Final = frozenset(("number", "redis_url", "logs_url", "weight"))
_CLUSTER: Final = ("redis+cluster://", "rediss+cluster://")


class BadCells(BrokerError, ValueError):
    """The list cannot be used as it is, or no cell was chosen where there are several; the text says why, and nothing of a
    URL: a password may be in it."""


@dataclass(frozen=True, slots=True)
class Cell:
    """`weight`: its share of what is submitted, against those of the others; 0: it drains."""

    number: int
    redis_url: str = field(repr=False)
    logs_url: str | None = field(default=None, repr=False)
    weight: float = 1.0


def cells_of(text: str) -> tuple[Cell, ...]:
    """The cells of a list in JSON, by number. Raises BadCells."""
    try:
        rows = json.loads(text)
    except ValueError:
        raise BadCells('it is not JSON; write [{"number": 0, "redis_url": "redis://…"}, …]') from None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise BadCells('it must be a list of one cell or more: [{"number": 0, "redis_url": "redis://…"}, …]')
    cells = tuple(sorted(map(_cell, rows), key=lambda cell: cell.number))
    for one, other in pairwise(cells):
        if one.number == other.number:
            raise BadCells(f"the number {one.number} is given to two cells: each needs its own")
    taken: dict[str, int] = {}
    for cell in cells:
        for url in {cell.redis_url, cell.logs_url or cell.redis_url}:
            if taken.setdefault(url, cell.number) != cell.number:
                raise BadCells(f"cells {taken[url]} and {cell.number} name the same server: each needs its own")
    if not any(cell.weight for cell in cells):
        raise BadCells("no cell has a weight above 0, so that none takes what is submitted")
    return cells


def _cell(row: Mapping[str, object]) -> Cell:
    number = row.get("number")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < MOST_CELLS:
        raise BadCells(f"each cell needs a `number` from 0 to {MOST_CELLS - 1}")
    where = f"cell {number}"
    if not row.keys() <= _MEMBERS:
        raise BadCells(f"{where} has a member that is none of {', '.join(sorted(_MEMBERS))}")
    redis_url, logs_url, weight = row.get("redis_url"), row.get("logs_url"), row.get("weight", 1.0)
    if not isinstance(redis_url, str) or not redis_url:
        raise BadCells(f"{where} needs a `redis_url`")
    if redis_url.lower().startswith(_CLUSTER):
        raise BadCells(f"{where} names a cluster as its `redis_url`: it can have the logs alone, as `logs_url`")
    if logs_url is not None and (not isinstance(logs_url, str) or not logs_url):
        raise BadCells(f"the `logs_url` of {where} must be a URL, or left out")
    if not isinstance(weight, int | float) or isinstance(weight, bool) or not math.isfinite(weight) or weight < 0:
        raise BadCells(f"the `weight` of {where} must be a number, 0 or more")
    return Cell(number, redis_url, logs_url, float(weight))


def chosen(cells: tuple[Cell, ...], number: int | None) -> Cell:
    """The cell of a process that serves one: that of this number, or the only one. Raises BadCells."""
    listed = ", ".join(str(cell.number) for cell in cells)
    if number is None:
        if len(cells) > 1:
            raise BadCells(f"a worker serves one cell: set RESPOOL_CELL to one of {listed}")
        return cells[0]
    for cell in cells:
        if cell.number == number:
            return cell
    raise BadCells(f"RESPOOL_CELL is {number}, and the cells that there are have the numbers {listed}")
