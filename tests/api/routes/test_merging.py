"""Lists of several cells, page by page: as if they were one."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from api.routes.merging import Part, Place, merged

examples = settings(max_examples=300, deadline=None)
places = st.tuples(st.integers(1, 30), st.sampled_from("abcdefgh"))


@st.composite
def cells(draw: st.DrawFn) -> list[list[tuple[Place, bool]]]:
    """Of each cell its places, newest first, and whether what is there is shown: a list may lag behind its records."""
    all_places = draw(st.lists(places, unique=True, max_size=40))
    found: list[list[tuple[Place, bool]]] = [[] for _ in range(draw(st.integers(1, 4)))]
    for place in sorted(all_places, reverse=True):
        found[draw(st.integers(0, len(found) - 1))].append((place, draw(st.integers(0, 4)) > 0))
    return found


def page(cell: Sequence[tuple[Place, bool]], before: Place | None, limit: int, rounds: int) -> Part[str]:
    """As one cell answers: it reads so many rows at most, and says up to where it has read."""
    rows: list[tuple[Place, str]] = []
    for _ in range(rounds):
        left = [row for row in cell if before is None or row[0] < before][: limit - len(rows)]
        if not left:
            return Part(rows, None)
        before = left[-1][0]
        rows += [(place, f"{place}") for place, shown in left if shown]
        if len(rows) >= limit:
            break
    return Part(rows, before)


@examples
@given(cells(), st.integers(1, 7), st.integers(1, 3))
def test_pages_one_after_the_other_are_all_that_there_is_in_order(
    cells: list[list[tuple[Place, bool]]], limit: int, rounds: int
) -> None:
    got: list[str] = []
    before: Place | None = None
    for _ in range(200):
        part = merged([page(cell, before, limit, rounds) for cell in cells], limit)
        assert len(part.rows) <= limit
        got += [row for _, row in part.rows]
        if part.behind is None:
            break
        assert before is None or part.behind < before, "each page is behind the one before"
        before = part.behind
    else:
        raise AssertionError("it has no end")
    assert got == [f"{place}" for place in sorted((row[0] for cell in cells for row in cell if row[1]), reverse=True)]


def test_a_page_of_one_cell_is_its_own() -> None:
    parts: list[Part[str]] = [
        Part([], None),
        Part([((2, "b"), "x"), ((1, "a"), "y")], (1, "a")),
        Part([], (3, "c")),
    ]
    for part in parts:
        assert merged([part], 2) == part
