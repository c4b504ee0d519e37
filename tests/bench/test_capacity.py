"""The capacity model: arithmetic, held against what must be true of any load, and against the page that shows it."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.capacity import (
    BUSY,
    MOST,
    TABLES,
    Load,
    api_cores,
    as_tables,
    fewest,
    logs_cores,
    needs,
    walls,
    watching,
    worker_cores,
)
from tests.bench.capacity_costs import Costs, Curve
from tests.docs.pages import page

COSTS = Costs.read()
CAPACITY = page("docs/capacity.md")


def test_a_load_by_what_begins_is_the_load_by_what_runs() -> None:
    load = Load.of_starts(10, rate=50, tokens=1000, first=0.5)
    assert load.running == pytest.approx(205)
    assert load.starts == pytest.approx(10)
    assert load.tokens_a_second == pytest.approx(10_000)


def test_a_curve_goes_through_its_points_and_is_level_outside_of_them() -> None:
    curve = Curve(((100, 80), (10_000, 20)))
    assert [curve.at(many) for many in (1, 100, 10_000, 1e6)] == [80, 80, 20, 20]
    assert curve.at(1000) == pytest.approx(40)
    assert curve.cores(1000) == pytest.approx(0.04)


def test_one_generation_s_viewers_are_on_every_api_and_a_single_viewer_on_one() -> None:
    assert watching(Load(1, viewers=1), 10) == pytest.approx(1)
    assert watching(Load(1, viewers=1_000_000), 10) == pytest.approx(10)
    assert watching(Load(1, viewers=0), 10) == 0


@pytest.mark.parametrize("load", TABLES.values(), ids=TABLES)
def test_what_a_load_is_given_is_enough_and_one_process_less_is_not(load: Load) -> None:
    need = needs(load, COSTS)
    assert api_cores(load, COSTS, need.apis) <= BUSY
    assert api_cores(load, COSTS, need.apis - 1) > BUSY
    assert worker_cores(load, COSTS, need.workers) <= BUSY
    assert need.workers >= math.ceil(load.running / 200)
    assert logs_cores(load, COSTS, need.primaries, need.apis) <= BUSY


def test_more_of_anything_takes_no_less_of_everything() -> None:
    load = Load(2000, viewers=2)
    less = needs(load, COSTS)
    for name in ("running", "viewers", "kept"):
        more = needs(replace(load, **{name: getattr(load, name) * 2}), COSTS)
        for part in ("apis", "workers", "primaries", "api_gb", "worker_gb", "redis_gb"):
            assert getattr(more, part) >= getattr(less, part), (name, part)


def test_what_no_number_of_processes_carries_is_said_so() -> None:
    assert fewest(lambda _: 1.0) == MOST
    assert fewest(lambda many: 7.0 / many) == 10
    assert fewest(lambda many: 7.0 / many, least=50) == 50


def test_walls_come_in_the_order_in_which_they_are_met() -> None:
    sizes = [wall.size for wall in walls(Load, COSTS)]
    assert sizes == sorted(sizes)
    assert sizes[0] == pytest.approx(200, rel=0.02)


def test_costs_are_read_as_they_were_written(tmp_path: Path) -> None:
    COSTS.write(tmp_path / "capacity_costs.json")
    assert Costs.read(tmp_path / "capacity_costs.json") == COSTS


@pytest.mark.parametrize("number", range(4), ids=["costs", "loads", "walls", "walls of one"])
def test_the_page_shows_what_make_capacity_prints(number: int) -> None:
    """After other costs: put what it prints into docs/capacity.md."""
    assert as_tables(COSTS)[number] in CAPACITY


def test_the_page_says_on_what_machine() -> None:
    assert COSTS.machine in CAPACITY
