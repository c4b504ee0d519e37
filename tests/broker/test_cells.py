"""The list of cells as an operator writes it, and what is refused with a sentence that says what to set."""

import json
import re
from typing import Any

import pytest
from pydantic import ValidationError

from broker.cells import BadCells, Cell, cells_of, chosen
from broker.settings import BrokerSettings
from worker.settings import WorkerSettings

SECRET = "redis://:of-nobody-else@a"
A, B = {"number": 0, "redis_url": SECRET}, {"number": 3, "redis_url": "redis://b", "logs_url": "redis+cluster://c,d"}


def refused(*rows: object) -> str:
    with pytest.raises(BadCells) as caught:
        cells_of(json.dumps(rows))
    assert "of-nobody-else" not in str(caught.value)
    return str(caught.value)


def test_cells_are_listed_by_number_each_with_a_weight() -> None:
    text = json.dumps([{**B, "weight": 0}, {**A, "weight": 2}])
    assert cells_of(text) == (Cell(0, SECRET, None, 2.0), Cell(3, "redis://b", "redis+cluster://c,d", 0.0))
    assert cells_of(json.dumps([A])) == (Cell(0, SECRET, None, 1.0),)
    assert "of-nobody-else" not in repr(cells_of(text))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"number": 1024}, "a `number` from 0 to 1023"),
        ({"number": -1}, "a `number` from 0 to 1023"),
        ({"number": True}, "a `number` from 0 to 1023"),
        ({"number": "3"}, "a `number` from 0 to 1023"),
        ({"number": None}, "a `number` from 0 to 1023"),
        ({"number": 0}, "the number 0 is given to two cells"),
        ({"redis_url": ""}, "cell 3 needs a `redis_url`"),
        ({"redis_url": None}, "cell 3 needs a `redis_url`"),
        ({"redis_url": "redis+cluster://a"}, "cell 3 names a cluster as its `redis_url`: .* as `logs_url`"),
        ({"logs_url": 3}, "the `logs_url` of cell 3 must be a URL, or left out"),
        ({"logs_url": SECRET}, "cells 0 and 3 name the same server"),
        ({"redis_url": SECRET}, "cells 0 and 3 name the same server"),
        ({"weight": -1}, "the `weight` of cell 3 must be a number, 0 or more"),
        ({"weight": "1"}, "the `weight` of cell 3 must be a number, 0 or more"),
        ({"weight": False}, "the `weight` of cell 3 must be a number, 0 or more"),
        ({"weight": float("inf")}, "the `weight` of cell 3 must be a number, 0 or more"),
        ({"wait": 1}, "cell 3 has a member that is none of logs_url, number, redis_url, weight"),
    ],
)
def test_a_cell_that_cannot_be_used_is_refused_with_a_sentence(change: dict[str, Any], why: str) -> None:
    assert re.search(why, refused(A, {**B, **change}))


def test_a_list_that_is_none_or_takes_nothing_is_refused() -> None:
    assert "no cell has a weight above 0" in refused({**A, "weight": 0})
    assert "a list of one cell or more" in refused()
    assert "a list of one cell or more" in refused(1)
    for text in ("", "3=redis://b", '{"number": 0}'):
        with pytest.raises(BadCells, match=r"JSON|a list of"):
            cells_of(text)


def test_settings_have_the_cell_of_the_two_urls_unless_cells_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESPOOL_REDIS_URL", "redis://one")
    monkeypatch.setenv("RESPOOL_LOGS_URL", "redis://other")
    assert BrokerSettings().all_cells == (Cell(0, "redis://one", "redis://other"),)
    monkeypatch.setenv("RESPOOL_CELLS", json.dumps([A, B]))
    first, second = BrokerSettings().all_cells
    assert (first.number, second.number) == (0, 3)
    own = BrokerSettings().of(second)
    assert (own.redis_url, own.effective_logs_url, own.two_servers) == ("redis://b", "redis+cluster://c,d", True)
    assert not BrokerSettings().of(first).two_servers
    monkeypatch.setenv("RESPOOL_CELLS", "[]")
    with pytest.raises(ValidationError, match="a list of one cell or more"):
        BrokerSettings()


def test_a_worker_serves_the_only_cell_or_the_one_that_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = cells_of(json.dumps([A, B]))
    assert chosen((other,), None) is chosen((one, other), 3) is other
    with pytest.raises(BadCells, match="set RESPOOL_CELL to one of 0, 3"):
        chosen((one, other), None)
    with pytest.raises(BadCells, match="RESPOOL_CELL is 1, and the cells that there are have the numbers 0, 3"):
        chosen((one, other), 1)
    monkeypatch.setenv("RESPOOL_CELLS", json.dumps([B]))
    own = WorkerSettings().of_its_cell()
    assert (own.redis_url, own.logs_url, own.cell) == ("redis://b", "redis+cluster://c,d", 3)
