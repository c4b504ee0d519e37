"""What the API says of a generation, as JSON. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, Literal, NotRequired

import orjson
from typing_extensions import TypedDict

from api.dialects.content import content_json, text_json
from api.dialects.redaction import redacted_record, redacted_transcript
from broker.record import Record
from broker.summary import Summary as Summary
from broker.summary import summary as summary
from broker.transcript import Transcript
from broker.waiting import Wait
from broker.webhooks import WebhookState

Json = dict[str, Any]


class Delivery(TypedDict):
    """What has become of the webhook. `skipped`: it was not to tell this end. `last_status` and `last_error` are of the latest
    of so many tries, `next_at_ms` is when the next one is."""

    state: WebhookState
    tries: int
    last_status: int | None
    last_error: str | None
    next_at_ms: int | None


class Whole(Summary):
    """A record with all that was produced so far: `text` is the text blocks' text, `content` the Messages blocks.
    `webhook` is there where it was asked for, `position` and `estimated_wait_ms`, as `queued` has them, while it waits for a
    worker."""

    text: str
    content: list[Json]
    last_event_id: str | None
    webhook: NotRequired[Delivery]
    position: NotRequired[int]
    estimated_wait_ms: NotRequired[int | None]


class Told(Summary):
    """A record without its output, and what has become of its webhook."""

    webhook: Delivery


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


def whole(
    record: Record, produced: Iterable[bytes], *, redacted: bool = False, wait: Wait | None = None
) -> list[bytes]:
    """The parts of a `Whole`, as JSON; for a reader of text alone without what is withheld from it. `wait`: of one that
    waits."""
    shown: Json = {**summary(record), **webhook(record)}
    if wait is not None:
        shown |= {"position": wait.position, "estimated_wait_ms": wait.estimated_ms}
    return [orjson.dumps(redacted_record(shown) if redacted else shown)[:-1], *produced, b"}"]


def webhook(record: Record) -> Json:
    """What is added to a record's view where it has a webhook."""
    return {} if record.webhook is None else {"webhook": asdict(record.webhook)}


def produced(transcript: Transcript) -> Iterator[bytes]:
    """What a `Whole` has besides the record, as JSON."""
    yield b',"text":'
    yield from text_json(transcript)
    yield b',"content":'
    yield from content_json(transcript)
    yield b',"last_event_id":"%d-%d"' % transcript.last if transcript.last.attempt else b',"last_event_id":null'


def produced_redacted(transcript: Transcript) -> Iterator[bytes]:
    """As `produced`, for a reader of text alone."""
    return produced(redacted_transcript(transcript))
