"""When a file must be on the disk, from what Redis says of its fsyncs."""

from dataclasses import replace
from typing import Any

import pytest

from broker.store.fsyncs import Cycle, Sample

NOW = 1_700_000_000_000
IDLE = Sample(server="a", ms=NOW, rewrites=0, syncing=False, stalled=False, policy="everysec", size=10, delayed=0)
INFO = {
    "run_id": "a", "server_time_usec": NOW * 1000, "aof_enabled": 1, "aof_rewrites": 0, "aof_pending_bio_fsync": 0,
    "aof_last_write_status": "ok", "aof_current_size": 10, "aof_delayed_fsync": 0,
    "rdb_bgsave_in_progress": 0, "aof_rewrite_in_progress": 0, "module_fork_in_progress": 0,
}  # fmt: skip
CONFIG = {"appendfsync": "everysec", "no-appendfsync-on-rewrite": "no"}


def at(ms: int, **changes: Any) -> Sample:
    return replace(IDLE, ms=NOW + ms, **changes)


def seen(*samples: Sample) -> list[bool]:
    cycle = Cycle()
    return [cycle.see(sample) for sample in samples]


def test_it_is_synced_at_the_sample_behind_the_one_at_which_an_fsync_was_due() -> None:
    assert seen(at(0), at(999), at(1000), at(1001)) == [False, False, False, True]


def test_an_fsync_that_was_under_way_may_not_have_it() -> None:
    assert seen(at(0, syncing=True), at(500), at(1100), at(1101), at(1500), at(1501)) == [False] * 5 + [True]


def test_an_fsync_that_was_seen_to_begin_need_only_end() -> None:
    assert seen(at(0), at(50, syncing=True), at(100)) == [False, False, True]


def test_an_fsync_that_takes_long_is_waited_for() -> None:
    slow = [at(1000 + ms, syncing=True) for ms in range(0, 3000, 500)]
    assert seen(at(0), *slow, at(4000)) == [False] * 7 + [True]


def test_a_file_that_grew_was_written_to_while_no_fsync_was_under_way() -> None:
    """The disk is so slow that one is under way at each sample."""
    sizes = (10, 10, 20, 20, 30)
    assert seen(*(at(500 * turn, syncing=True, size=size) for turn, size in enumerate(sizes))) == [False] * 4 + [True]


def test_a_file_that_grew_because_the_fsync_took_too_long_tells_nothing() -> None:
    grown = [at(500 * turn, syncing=True, size=10 * turn, delayed=turn) for turn in range(9)]
    assert not any(seen(*grown))


def test_where_each_write_is_synced_two_samples_are_enough() -> None:
    assert seen(*(at(ms, policy="always") for ms in range(3))) == [False, False, True]


@pytest.mark.parametrize("change", [{"server": "b"}, {"rewrites": 1}], ids=str)
def test_another_process_or_file_begins_anew(change: dict[str, Any]) -> None:
    assert seen(at(0), at(1000), *(at(ms, **change) for ms in (1001, 1500, 2001, 2002))) == [False] * 5 + [True]


def test_an_fsync_that_fails_or_is_put_off_begins_anew() -> None:
    assert seen(at(0), at(1000), at(1001, stalled=True), at(1002), at(2002), at(2003)) == [False] * 5 + [True]


def test_a_clock_that_goes_back_puts_the_next_fsync_off() -> None:
    assert seen(at(5000, syncing=True), at(0), at(2000), at(2001), at(6000), at(6001)) == [False] * 5 + [True]


def test_it_is_told_how_long_to_wait() -> None:
    cycle = Cycle()
    assert cycle.wait_ms(IDLE) == 0
    cycle.see(at(0))
    assert cycle.wait_ms(at(300)) == 700
    cycle.see(at(1000))
    assert cycle.wait_ms(at(1000)) == 0
    assert cycle.wait_ms(at(1500)) == 0, "it is due already"


def test_nothing_need_be_waited_for_where_an_fsync_has_begun_or_each_write_is_synced() -> None:
    begun, always = Cycle(), Cycle()
    begun.see(at(0))
    begun.see(at(50, syncing=True))
    assert begun.wait_ms(at(50, syncing=True)) == 0
    always.see(at(0, policy="always"))
    assert always.wait_ms(at(0, policy="always")) == 0


def test_another_process_has_a_clock_of_its_own() -> None:
    assert seen(at(5000), *(at(ms, server="b") for ms in (0, 1000, 1001))) == [False] * 3 + [True]


def test_a_sample_of_an_fsync_that_is_put_off_does_not_begin_a_cycle() -> None:
    assert seen(at(0, stalled=True), *map(at, (500, 1000, 1001, 1500, 1501))) == [False] * 5 + [True]


def test_a_sample_is_what_redis_says() -> None:
    assert Sample.of_info(INFO, CONFIG) == IDLE
    assert Sample.of_info(INFO | {"aof_pending_bio_fsync": 1}, CONFIG) == replace(IDLE, syncing=True)
    assert Sample.of_info(INFO | {"server_time_usec": NOW * 1000 + 999}, CONFIG) == IDLE
    assert Sample.of_info(INFO, {"appendfsync": "everysec"}) == IDLE, "there is no child that writes"


@pytest.mark.parametrize(
    ("info", "config"),
    [
        ({"aof_last_write_status": "err"}, {}),
        ({}, {"appendfsync": "no"}),
        ({"rdb_bgsave_in_progress": 1}, {"no-appendfsync-on-rewrite": "yes"}),
        ({"aof_rewrite_in_progress": 1}, {"no-appendfsync-on-rewrite": "yes"}),
        ({"module_fork_in_progress": 1}, {"no-appendfsync-on-rewrite": "yes"}),
    ],
    ids=["failed", "left to the kernel", "put off for a snapshot", "for a rewrite", "for a module"],
)
def test_an_fsync_that_fails_or_does_not_come_is_stalled(info: dict[str, Any], config: dict[str, str]) -> None:
    sample = Sample.of_info(INFO | info, CONFIG | config)
    assert sample is not None
    assert sample.stalled


def test_a_child_that_writes_puts_no_fsync_off_unless_it_is_told_to_or_may_have_been() -> None:
    info = INFO | {"aof_rewrite_in_progress": 1}
    assert [Sample.of_info(info, config).stalled for config in (CONFIG, {})] == [False, True]  # type: ignore[union-attr]


def test_there_is_no_sample_without_a_file_or_of_a_redis_that_does_not_tell() -> None:
    assert Sample.of_info(INFO | {"aof_enabled": 0}, CONFIG) is None
    assert Sample.of_info({}, CONFIG) is None
    for name in INFO.keys() - {"rdb_bgsave_in_progress", "aof_rewrite_in_progress", "module_fork_in_progress"}:
        assert Sample.of_info({each: value for each, value in INFO.items() if each != name}, CONFIG) is None
