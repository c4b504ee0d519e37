"""The record, from the hash that Redis has."""

from dataclasses import replace

import pytest

from broker.ids import EntryId
from broker.record import SHOWN, STATES, TERMINAL, Ending, Record

QUEUED = {b"state": b"queued", b"model": b"m", b"request": b"{}", b"created_ms": b"1700000000000"}
COMPLETED = {
    **QUEUED,
    b"state": b"completed",
    b"started_ms": b"1",
    b"first_ms": b"2",
    b"finished_ms": b"3",
    b"ordinal": b"2",
    b"spent": b"1",
    b"usage": b'{"output_tokens":5}',
    b"terminal_id": b"7-9",
    b"end": b'{"type":"stream_end"}',
}
STRICT = {**COMPLETED, b"durability": b"strict"}


def test_a_record_that_waits_has_nothing_but_its_beginning() -> None:
    record = Record.of_hash("gen_x", QUEUED)
    assert (record.id, record.state, record.model, record.request) == ("gen_x", "queued", "m", b"{}")
    assert (record.started_ms, record.first_ms, record.finished_ms, record.terminal_id, record.end) == (None,) * 5
    assert (record.ordinal, record.spent, record.usage) == (0, 0, b"{}")
    assert not record.ended


def test_a_record_that_has_ended_tells_how() -> None:
    record = Record.of_hash("gen_x", COMPLETED)
    assert record.ended
    assert (record.started_ms, record.first_ms, record.finished_ms) == (1, 2, 3)
    assert (record.ordinal, record.spent, record.usage) == (2, 1, b'{"output_tokens":5}')
    assert record.terminal_id == EntryId(7, 9)
    assert record.end == {"type": "stream_end"}


def test_fields_of_a_later_version_are_no_harm() -> None:
    assert Record.of_hash("gen_x", {**QUEUED, b"of_tomorrow": b"\xff"}) == Record.of_hash("gen_x", QUEUED)


def test_three_of_the_five_states_are_terminal() -> None:
    assert {*STATES} - TERMINAL == {"queued", "running"}


class Asked(dict[bytes, bytes]):
    """Notes what it is asked for."""

    def __init__(self, fields: dict[bytes, bytes]) -> None:
        super().__init__(fields)
        self.names: set[str] = set()

    def get(self, name: bytes, default: bytes | None = None) -> bytes | None:  # type: ignore[override]
        self.names.add(name.decode())
        return super().get(name, default)

    def __getitem__(self, name: bytes) -> bytes:
        self.names.add(name.decode())
        return super().__getitem__(name)


def test_the_fields_that_are_fetched_are_those_that_a_record_is_made_of() -> None:
    asked = Asked(STRICT)
    Record.of_hash("gen_x", asked)
    assert asked.names == {*SHOWN, "request"}


@pytest.mark.parametrize(
    ("fields", "unconfirmed"),
    [
        ({**QUEUED, b"durability": b"strict"}, False),
        ({**QUEUED, b"durability": b"strict", b"confirmed": b"6-0"}, False),
        (COMPLETED, False),
        ({**COMPLETED, b"durability": b"normal"}, False),
        (STRICT, True),
        ({**STRICT, b"confirmed": b"6-0"}, True),
        ({**STRICT, b"confirmed": b"7-9"}, False),
    ],
)
def test_a_strictly_durable_end_is_unconfirmed_until_this_very_end_is_noted(
    fields: dict[bytes, bytes], unconfirmed: bool
) -> None:
    assert Record.of_hash("gen_x", fields).unconfirmed is unconfirmed


def test_before_its_end_a_record_waited_or_ran_and_had_nothing_of_an_end() -> None:
    ended = Record.of_hash("gen_x", STRICT)
    nothing = {"finished_ms": None, "terminal_id": None, "end": None, "unconfirmed": False}
    assert ended.before_the_end() == replace(ended, state="running", **nothing)  # type: ignore[arg-type]
    unclaimed = replace(ended, state="cancelled", ordinal=0)
    assert unclaimed.before_the_end() == replace(unclaimed, state="queued", **nothing)  # type: ignore[arg-type]


def test_a_failure_is_retryable_where_its_table_says_so_unless_it_is_known_better() -> None:
    assert Ending.failed("storage_full", "no room") == Ending("failed", "", "storage_full", "no room", retryable=True)
    assert not Ending.failed("output_limit", "too large").retryable
    assert not Ending.failed("upstream_error", "no").retryable
    assert Ending.failed("upstream_error", "no", retryable=True).retryable
    assert not Ending.failed("upstream_overloaded", "no", retryable=False).retryable
