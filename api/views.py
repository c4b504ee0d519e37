"""What the API says of a generation, as JSON. Pure."""

from broker.record import Record
from broker.transcript import Transcript

Json = dict[str, object]


def summary(record: Record) -> Json:
    """The record without its output. Times are Unix milliseconds."""
    end = record.end or {}
    view: Json = {
        "id": record.id,
        "object": "generation",
        "state": record.state,
        "model": record.model,
        "attempt": record.ordinal,
        "created_at_ms": record.created_ms,
        "started_at_ms": record.started_ms,
        "first_token_at_ms": record.first_ms,
        "finished_at_ms": record.finished_ms,
        "events_url": f"/v1/generations/{record.id}/events",
        "cancel_url": f"/v1/generations/{record.id}/cancel",
    }
    if record.ended:
        view |= {key: end.get(key) for key in ("stop_reason", "usage", "ttft_ms", "total_ms", "chunks")}
        view["error"] = (
            {key: end[key] for key in ("code", "message", "retryable", "partial")} if "code" in end else None
        )
    return view


def whole(record: Record, transcript: Transcript) -> Json:
    """The record with all that was produced so far: `text` is the text blocks' text, `content` the Messages blocks."""
    return {
        **summary(record),
        "text": transcript.text,
        "content": transcript.content,
        "last_event_id": _last(transcript),
    }


def snapshot(transcript: Transcript) -> Json:
    """The event that stands for everything up to its id."""
    return {"type": "snapshot", "text": transcript.text, "content": transcript.content, "open": transcript.open}


def _last(transcript: Transcript) -> str | None:
    return str(transcript.last) if transcript.last.attempt else None
