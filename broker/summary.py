"""A record as it is shown, without its output: by the API, and by webhooks. Pure."""

from typing import Any, Literal, NotRequired, cast

from typing_extensions import TypedDict

from broker.record import CancelReason, Record, State
from broker.vocabulary import Cost, Metrics

Json = dict[str, Any]


class Failure(TypedDict):
    """Why a generation failed. `status`: the HTTP status that fits. `retryable`: the same request may succeed later, after the
    seconds that the upstream asked for. `partial`: something was produced."""

    code: str
    message: str
    status: int | None
    retryable: bool
    retry_after_seconds: float | None
    partial: bool


class Summary(TypedDict):
    """A record without its output. Times are Unix milliseconds; `retry_of` or `continue_of` is there where it was made from
    another generation, labels and what follows them where they were given, the last eight fields once it has ended, `reason`
    if it was cancelled."""

    id: str
    object: Literal["generation"]
    state: State
    model: str
    attempt: int
    created_at_ms: int
    started_at_ms: int | None
    first_token_at_ms: int | None
    finished_at_ms: int | None
    events_url: str
    cancel_url: str
    retry_of: NotRequired[str]
    continue_of: NotRequired[str]
    labels: NotRequired[dict[str, str]]
    external_id: NotRequired[str]
    priority: NotRequired[Literal["background"]]
    start_after_ms: NotRequired[int]
    stop_reason: NotRequired[str | None]
    reason: NotRequired[CancelReason]
    usage: NotRequired[Json | None]
    cost: NotRequired[Cost | None]
    ttft_ms: NotRequired[int | None]
    total_ms: NotRequired[int]
    metrics: NotRequired[Metrics | None]
    chunks: NotRequired[int]
    error: NotRequired[Failure | None]
    withdrawn: NotRequired[Literal[True]]


def summary(record: Record) -> Summary:
    """The record without its output. Times are Unix milliseconds."""
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
        **record.tags.given(),
    }
    if record.priority != "interactive":
        view["priority"] = record.priority
    if record.start_ms is not None:
        view["start_after_ms"] = record.start_ms
    if record.origin is not None:
        view[f"{record.origin.how}_of"] = record.origin.id
    if (end := record.end) is not None:
        view |= {
            key: end.get(key) for key in ("stop_reason", "usage", "cost", "ttft_ms", "total_ms", "metrics", "chunks")
        }
        if "reason" in end:
            view["reason"] = end["reason"]
        view["error"] = {key: end.get(key) for key in Failure.__annotations__} if "code" in end else None
        if end.get("withdrawn"):
            view["withdrawn"] = True
    return cast(Summary, view)
