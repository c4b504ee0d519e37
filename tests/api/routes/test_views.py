"""What is said of a generation: each field, whatever state it is in."""

import json
from typing import Any

import orjson
import pytest
from pydantic import TypeAdapter

from api.routes import views
from broker.events import TEXT, Entry, event
from broker.ids import EntryId
from broker.record import Record
from broker.transcript import Transcript

START = {"model": "sim-1", "reason": "start", "keep_through": None, "keep_blocks": 0, "attempt": 1}
QUEUED: dict[bytes, bytes] = {b"state": b"queued", b"model": b"sim-1", b"created_ms": b"1"}
RUNNING = {**QUEUED, b"state": b"running", b"started_ms": b"2", b"first_ms": b"3", b"ordinal": b"2"}
METRICS = {
    "ttft_ms": 1, "total_ms": 2, "queue_ms": 1, "tokens_per_second": 7.5, "inter_token_ms_p50": None,
    "inter_token_ms_p95": None, "cache_hit": True,
}  # fmt: skip
FIGURES = b'"usage":{"output_tokens":7},"cost":null,"ttft_ms":1,"total_ms":2,"metrics":%b,"chunks":5' % (
    json.dumps(METRICS).encode()
)
ENDED = {
    **RUNNING, b"state": b"completed", b"finished_ms": b"4", b"terminal_id": b"9-1",
    b"end": b'{"type":"stream_end","status":"completed","stop_reason":"end_turn",' + FIGURES + b"}",
}  # fmt: skip
FAILED = {
    **ENDED, b"state": b"failed",
    b"end": b'{"type":"error","code":"storage_full","message":"m","status":507,"retryable":true,"retry_after_seconds":1.5,'
    b'"partial":false,' + FIGURES + b"}",
}  # fmt: skip
ALWAYS = {
    "id": "gen_1", "object": "generation", "model": "sim-1", "created_at_ms": 1,
    "events_url": "/v1/generations/gen_1/events", "cancel_url": "/v1/generations/gen_1/cancel",
}  # fmt: skip
BEFORE = {
    **ALWAYS,
    "state": "queued",
    "attempt": 0,
    "started_at_ms": None,
    "first_token_at_ms": None,
    "finished_at_ms": None,
}
MEANWHILE = {**BEFORE, "state": "running", "attempt": 2, "started_at_ms": 2, "first_token_at_ms": 3}
AFTER = {
    **MEANWHILE, "state": "completed", "finished_at_ms": 4, "stop_reason": "end_turn", "usage": {"output_tokens": 7},
    "cost": None, "ttft_ms": 1, "total_ms": 2, "metrics": METRICS, "chunks": 5, "error": None,
}  # fmt: skip
IN_VAIN = {
    **AFTER, "state": "failed", "stop_reason": None,
    "error": {"code": "storage_full", "message": "m", "status": 507, "retryable": True, "retry_after_seconds": 1.5,
              "partial": False},
}  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "said"), [(QUEUED, BEFORE), (RUNNING, MEANWHILE), (ENDED, AFTER), (FAILED, IN_VAIN)],
    ids=["queued", "running", "completed", "failed"],
)  # fmt: skip
def test_a_record_is_said_field_by_field(fields: dict[bytes, bytes], said: dict[str, Any]) -> None:
    summary = views.summary(Record.of_hash("gen_1", fields))
    assert summary == said
    TypeAdapter(views.Summary).validate_python(summary, strict=True)


def transcript() -> Transcript:
    contents = [event("block_start", index=0, block={"type": "text", "text": ""}), (TEXT, b"Hi")]
    start = event("stream_start", generation="gen_1", **START)
    return Transcript(Entry(EntryId(7, seq), kind, value) for seq, (kind, value) in enumerate([start, *contents]))


def test_what_was_produced_is_said_with_the_record() -> None:
    record, produced = Record.of_hash("gen_1", RUNNING), transcript()
    content = [{"type": "text", "text": "Hi"}]
    whole = orjson.loads(b"".join(views.whole(record, views.produced(produced))))
    assert whole == {**MEANWHILE, "text": "Hi", "content": content, "last_event_id": "7-2"}
    TypeAdapter(views.Whole).validate_python(whole, strict=True)


def test_a_log_without_entries_has_no_cursor() -> None:
    whole = views.whole(Record.of_hash("gen_1", QUEUED), views.produced(Transcript()))
    assert orjson.loads(b"".join(whole)) == {**BEFORE, "text": "", "content": [], "last_event_id": None}
