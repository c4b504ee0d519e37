"""What the API says of a generation, as JSON. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal, NotRequired, cast

import orjson
from typing_extensions import TypedDict

from api.dialects.content import content_json, text_json
from broker.record import CancelReason, Record, State
from broker.transcript import Transcript
from broker.vocabulary import Metrics

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
    another generation, the last eight fields once it has ended, `reason` if it was cancelled."""

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
    stop_reason: NotRequired[str | None]
    reason: NotRequired[CancelReason]
    usage: NotRequired[Json | None]
    ttft_ms: NotRequired[int | None]
    total_ms: NotRequired[int]
    metrics: NotRequired[Metrics | None]
    chunks: NotRequired[int]
    error: NotRequired[Failure | None]


class Whole(Summary):
    """A record with all that was produced so far: `text` is the text blocks' text, `content` the Messages blocks."""

    text: str
    content: list[Json]
    last_event_id: str | None


class Listing(TypedDict):
    """A page of records, newest first. `next_cursor` is null behind the last. `missing_cells` is there with `?partial=true`:
    cells that do not answer, whose generations are not in the page."""

    data: list[Summary]
    next_cursor: str | None
    missing_cells: NotRequired[list[int]]


class CellStatus(TypedDict):
    """How a cell is: `ready`, or the code of the problem that requests for its generations meet."""

    cell: int
    weight: float
    status: str


class Status(TypedDict):
    """That a process runs (`ok`), or should be sent requests (`ready`). `cells` where there are several."""

    status: Literal["ok", "ready"]
    cells: NotRequired[list[CellStatus]]


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
    }
    if record.origin is not None:
        view[f"{record.origin.how}_of"] = record.origin.id
    if (end := record.end) is not None:
        view |= {key: end.get(key) for key in ("stop_reason", "usage", "ttft_ms", "total_ms", "metrics", "chunks")}
        if "reason" in end:
            view["reason"] = end["reason"]
        view["error"] = {key: end.get(key) for key in Failure.__annotations__} if "code" in end else None
    return cast(Summary, view)


def whole(record: Record, produced: Iterable[bytes]) -> list[bytes]:
    """The parts of a `Whole`, as JSON."""
    return [orjson.dumps(summary(record))[:-1], *produced, b"}"]


def produced(transcript: Transcript) -> Iterator[bytes]:
    """What a `Whole` has besides the record, as JSON."""
    yield b',"text":'
    yield from text_json(transcript)
    yield b',"content":'
    yield from content_json(transcript)
    yield b',"last_event_id":"%d-%d"' % transcript.last if transcript.last.attempt else b',"last_event_id":null'
