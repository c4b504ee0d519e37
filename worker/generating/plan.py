"""What the next attempt does, from the record and the log as they are. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import orjson

from broker.events import TEXT, Content, event
from broker.ids import BEGINNING, EntryId
from broker.record import Record
from broker.request import Options, StoredRequest, UnreadableRequest
from broker.transcript import Kept, Transcript
from worker.upstreams import Call, Json

_NO_OPTIONS = Options("fail", None, None, 0.0, None, "normal")

_PIECE: Final = 4096
"""Characters of an entry of the earlier text that a generation goes on from."""

Resumed = Callable[[Json, Kept], Call | None]
"""How an upstream is asked to go on: its `resumed`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the next attempt would do, made from the record and the log as they were at `read_to`."""

    record: Record
    read_to: EntryId
    options: Options
    call: Call | None
    reason: str
    keep_through: EntryId | None
    keep_blocks: int
    keep_chunks: int
    keep_bytes: int
    opening: Sequence[Content] = ()
    """What the attempt puts into the log before it asks the upstream."""

    @property
    def start_json(self) -> bytes:
        """The attempt's first entry, but for `attempt`, which the claim adds."""
        return orjson.dumps(
            {
                "type": "stream_start",
                "generation": self.record.id,
                "model": self.record.model,
                "reason": self.reason,
                "keep_through": None if self.keep_through is None else str(self.keep_through),
                "keep_blocks": self.keep_blocks,
                **self.record.tags.given(),
            }
        )


def plan(record: Record, transcript: Transcript, resumed: Resumed) -> Plan:
    """Decides what the next attempt does. Pure, as `resumed` is. A stored request that this version cannot read is none."""
    assert record.request is not None
    try:
        request = StoredRequest.from_bytes(record.request)
    except UnreadableRequest:
        return Plan(record, transcript.last, _NO_OPTIONS, None, "start", None, 0, 0, 0)
    options, body = request.options(), request.upstream_body()
    kept = transcript.kept() if options.on_interrupt == "continue" else None
    if kept is not None and (call := resumed(body, kept)) is not None:
        size = len(kept.text.encode())
        call = replace(call, stream=options.stream)
        return Plan(record, transcript.last, options, call, "continue", kept.through, kept.blocks, kept.chunks, size)
    reason = "start" if record.ordinal == 0 else "restart"
    if (earlier := request.continue_from) and (call := resumed(body, Kept(earlier, BEGINNING, 1, 0))) is not None:
        size, opening = len(earlier.encode()), opened_with(earlier)
        call = replace(call, stream=options.stream)
        return Plan(record, transcript.last, options, call, reason, None, 0, 0, size, opening)
    return Plan(record, transcript.last, options, Call(body, stream=options.stream), reason, None, 0, 0, 0)


def opened_with(text: str) -> list[Content]:
    """The entries by which a log begins with this text, in a block that is open behind them."""
    pieces = (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
    first = event("block_start", index=0, block={"type": "text", "text": ""})
    return [first, *(Content(TEXT, piece.encode()) for piece in pieces)]
