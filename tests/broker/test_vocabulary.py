"""The table of events is whole, and each is known by its type."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from broker.vocabulary import EVENTS, ConnectionEvent, Event, LogEvent, Metrics

METRICS: dict[str, Any] = dict.fromkeys(Metrics.__required_keys__) | {"total_ms": 0}
FIGURES: dict[str, Any] = {"usage": None, "cost": None, "ttft_ms": None, "total_ms": 0, "metrics": METRICS, "chunks": 0}
EXAMPLES: list[dict[str, Any]] = [
    {
        "type": "stream_start", "generation": "gen_x", "model": "m", "reason": "start", "keep_through": None, "keep_blocks": 0,
        "attempt": 1,
    },
    {"type": "message", "message": {"id": "msg"}},
    {"type": "block_start", "index": 0, "block": {"type": "text", "text": ""}},
    {"type": "text", "text": "a"},
    {"type": "thinking", "thinking": "a"},
    {"type": "signature", "signature": "a"},
    {"type": "citation", "citation": {"cited_text": "a"}},
    {"type": "tool_input", "partial_json": "{"},
    {"type": "block_delta", "index": 0, "delta": {"type": "of_tomorrow"}},
    {"type": "block_stop", "index": 0},
    {"type": "usage", "stop_reason": "end_turn", "usage": {"output_tokens": 1}},
    {"type": "upstream", "event": {"type": "of_tomorrow"}},
    {"type": "retrying", "code": "upstream_overloaded", "tries": 1, "delay_ms": 5},
    {"type": "waiting", "reason": "requests", "delay_ms": 1200, "model": "sim-1"},
    {"type": "recovering", "attempt": 1},
    {"type": "tool_start", "index": 1, "id": "t", "name": "a", "input": {}},
    {"type": "tool_progress", "id": "t", "data": 1},
    {
        "type": "tool_end", "index": 2, "id": "t", "name": "a", "ok": True, "duration_ms": 1, "error": None, "content": "",
    },
    {"type": "guardrail", "name": "a", "verdict": "flag", "reason": "", "category": ""},
    {"type": "withdraw", "guardrail": None, "reason": "", "category": "unchecked"},
    {"type": "stream_end", "status": "completed", "stop_reason": None, **FIGURES},
    {"type": "error", "code": "upstream_error", "message": "a", "status": 502, "retryable": True,
     "retry_after_seconds": None, "partial": False, **FIGURES},
    {"type": "queued", "position": 0, "estimated_wait_ms": None},
    {"type": "snapshot", "text": "", "content": [], "open": None},
    {"type": "gap", "reason": "rewound"},
    {"type": "drain"},
    {"type": "closed", "reason": "revoked"},
]  # fmt: skip
OF_THE_CONNECTION = {"queued", "snapshot", "gap", "drain", "closed"}


def adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def test_every_event_is_in_the_table_under_its_type() -> None:
    assert list(EVENTS) == [example["type"] for example in EXAMPLES]
    assert len({*EVENTS.values()}) == len(EVENTS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example["type"]))
def test_an_event_is_of_the_log_or_of_the_connection_and_known_by_its_type(example: dict[str, Any]) -> None:
    assert (
        adapter(EVENTS[example["type"]]).validate_python(example) == adapter(Event).validate_python(example) == example
    )
    of_the_connection = example["type"] in OF_THE_CONNECTION
    kind, other = (ConnectionEvent, LogEvent) if of_the_connection else (LogEvent, ConnectionEvent)
    assert adapter(kind).validate_python(example) == example
    with pytest.raises(ValidationError):
        adapter(other).validate_python(example)
