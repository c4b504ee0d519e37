"""What the next attempt does, from the record and the log as they are. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from broker.ids import EntryId
from broker.record import Record
from broker.request import GenerationRequest, Options, UnreadableRequest
from broker.transcript import Kept, Transcript
from worker.upstreams import Call, Json

_NO_OPTIONS = Options("fail", None, None, 0.0, None, "normal")

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
            }
        )


def plan(record: Record, transcript: Transcript, resumed: Resumed) -> Plan:
    """Decides what the next attempt does. Pure, as `resumed` is. A stored request that this version cannot read is none."""
    assert record.request is not None
    try:
        request = GenerationRequest.from_bytes(record.request)
    except UnreadableRequest:
        return Plan(record, transcript.last, _NO_OPTIONS, None, "start", None, 0, 0, 0)
    options, body = request.options(), request.upstream_body()
    kept = transcript.kept() if options.on_interrupt == "continue" else None
    if kept is not None and (call := resumed(body, kept)) is not None:
        size = len(kept.text.encode())
        return Plan(record, transcript.last, options, call, "continue", kept.through, kept.blocks, kept.chunks, size)
    reason = "start" if record.ordinal == 0 else "restart"
    return Plan(record, transcript.last, options, Call(body), reason, None, 0, 0, 0)
