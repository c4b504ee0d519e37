"""What a reader is shown who may see text alone: of an entry, of a transcript, of a record. Pure.

What is shown is listed; anything else is withheld, whatever a later version adds. Ids stay, and so do the numbers of blocks: a
block that is no text is there as one that is `withheld`.
"""

from collections.abc import Mapping
from typing import Final

import orjson

from broker.events import END, EVENT, START, TEXT, WITHDRAW, Entry
from broker.failures import FAILURES
from broker.transcript import Block, Transcript

WITHHELD: Final = "withheld"
_EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "stream_start": ("generation", "model", "reason", "keep_through", "keep_blocks", "attempt"),
    "block_stop": ("index",),
    "retrying": ("code", "tries", "delay_ms", "model"),
    "recovering": ("attempt",),
}
"""Members that are shown, by the type of the event; one that is not here is withheld. The others are below."""
_END: Final = ("status", "stop_reason", "reason", "ttft_ms", "total_ms", "durability", "withdrawn")
_FAILURE: Final = ("code", "status", "retryable", "retry_after_seconds", "partial")
_RECORD: Final = (
    "id", "object", "state", "model", "attempt", "created_at_ms", "started_at_ms", "first_token_at_ms", "finished_at_ms",
    "events_url", "cancel_url", "stop_reason", "reason", "ttft_ms", "total_ms", "withdrawn",
)  # fmt: skip

Json = dict[str, object]


def redacted_entry(entry: Entry) -> Entry | None:
    """The entry as it is shown, under its id; None if it is withheld."""
    id_, kind, value = entry
    if kind == TEXT:
        return entry
    if kind not in (START, EVENT, WITHDRAW, END):
        return None
    shown = _what_is_shown(orjson.loads(value))
    return None if shown is None else Entry(id_, kind, orjson.dumps(shown))


def _what_is_shown(event: Json) -> Json | None:
    match event:
        case {"type": "block_start", "index": int(index), "block": dict(head)}:
            return {"type": "block_start", "index": index, "block": _head(head)}
        case {"type": "withdraw"}:  # what it is about was shown; why may tell of what was not
            return {"type": "withdraw", "guardrail": None, "reason": "", "category": ""}
        case {"type": "stream_end" | "error" as type_}:
            return {"type": type_, **_some(event, (*_END, *_FAILURE)), **_said(event), "usage": None, "cost": None}
        case {"type": str(type_)} if type_ in _EVENTS:
            return {"type": type_, **_some(event, _EVENTS[type_])}
    return None


def _some(fields: Mapping[str, object], names: tuple[str, ...]) -> Json:
    return {name: fields[name] for name in names if name in fields}


def _said(failure: Mapping[str, object]) -> Json:
    """The message of a failure, where it is one: the upstream's own may quote what was sent to it."""
    found = FAILURES.get(failure.get("code"))  # type: ignore[call-overload]  # whatever it is
    return {"message": found.meaning if found is not None else ""} if "code" in failure else {}


def _head(head: Mapping[str, object]) -> Json:
    return _some(head, ("type", "text")) if head.get("type") == "text" else {"type": WITHHELD}


def redacted_block(block: Block) -> Block:
    """The block as it is shown: a text's text, without its citations, or that there is one."""
    pieces = block.pieces if block.type == "text" else []
    return Block(_head(block.head), block.last, pieces)


def redacted_transcript(transcript: Transcript) -> Transcript:
    """What a reader of the redacted log has: the same blocks, as they are shown."""
    return transcript.shown_as(redacted_block)


def redacted_record(summary: Mapping[str, object]) -> Json:
    """A record's view without what tells of its submitter, its cost, or of how much was withheld."""
    shown = _some(summary, _RECORD)
    if "usage" in summary:
        shown |= {"usage": None, "cost": None, "metrics": None}
    match summary.get("error", 0):
        case dict(failure):
            shown["error"] = {**_some(failure, _FAILURE), **_said(failure)}
        case None:
            shown["error"] = None
    return shown
