"""The record, from the hash that Redis has."""

from broker.ids import EntryId
from broker.record import STATES, TERMINAL, Record

QUEUED = {b"state": b"queued", b"model": b"m", b"request": b"{}", b"created_ms": b"1700000000000"}


def test_a_record_that_waits_has_nothing_but_its_beginning() -> None:
    record = Record.of_hash("gen_x", QUEUED)
    assert (record.id, record.state, record.model, record.request) == ("gen_x", "queued", "m", b"{}")
    assert (record.started_ms, record.first_ms, record.finished_ms, record.terminal_id, record.end) == (None,) * 5
    assert (record.ordinal, record.spent, record.usage) == (0, 0, b"{}")
    assert not record.ended


def test_a_record_that_has_ended_tells_how() -> None:
    fields = {
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
    record = Record.of_hash("gen_x", fields)
    assert record.ended
    assert (record.started_ms, record.first_ms, record.finished_ms) == (1, 2, 3)
    assert (record.ordinal, record.spent, record.usage) == (2, 1, b'{"output_tokens":5}')
    assert record.terminal_id == EntryId(7, 9)
    assert record.end == {"type": "stream_end"}


def test_fields_of_a_later_version_are_no_harm() -> None:
    assert Record.of_hash("gen_x", {**QUEUED, b"of_tomorrow": b"\xff"}) == Record.of_hash("gen_x", QUEUED)


def test_three_of_the_five_states_are_terminal() -> None:
    assert {*STATES} - TERMINAL == {"queued", "running"}
