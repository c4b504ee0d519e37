"""What the next attempt does, from the record and the log as they are. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import orjson

from broker.events import TEXT, Content, event
from broker.ids import BEGINNING, EntryId
from broker.keyed import NO_SECRET, Keyed
from broker.record import Ending, Record
from broker.request import Options, StoredRequest, UnreadableRequest
from broker.tools.loading import Tool
from broker.transcript import Kept, Transcript
from worker.generating.rounds import Ask, Over, Rounds, Step, rounds_of
from worker.generating.users import upstream_body
from worker.upstreams import Call, Json, Resumed

_NO_OPTIONS = Options("fail", None, None, 0.0, None, "normal")
_UNREADABLE = Ending.failed("unreadable_request", "This version of Respool cannot read the request.")
_NO_TOOL = Ending.failed("tool_unavailable", "This worker has not all the tools that the request names.")
_PIECE: Final = 4096
"""Characters of an entry of the earlier text that a generation goes on from."""
_NO_TOOLS: Mapping[str, Tool] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Plan:
    """What the next attempt would do, made from the record and the log as they were at `read_to`: `first`, and, where the
    request has server tools, what `rounds` make of it, with the blocks of `transcript` that are kept."""

    record: Record
    read_to: EntryId
    options: Options
    first: Step
    reason: str
    keep_through: EntryId | None
    keep_blocks: int
    keep_chunks: int
    keep_bytes: int
    opening: Sequence[Content] = ()
    """What the attempt puts into the log before it asks the upstream."""
    rounds: Rounds | None = None
    transcript: Transcript | None = None
    keep_text: str = ""
    """What a reader keeps, as text."""
    model: str = ""
    """The one that is asked, where that is not the record's."""

    @property
    def start_json(self) -> bytes:
        """The attempt's first entry, but for `attempt`, which the claim adds."""
        return orjson.dumps(
            {
                "type": "stream_start",
                "generation": self.record.id,
                "model": self.model or self.record.model,
                "reason": self.reason,
                "keep_through": None if self.keep_through is None else str(self.keep_through),
                "keep_blocks": self.keep_blocks,
                **self.record.tags.given(),
                **({"server_tools": list(names)} if (names := self.options.server_tools) else {}),
            }
        )


def plan(
    record: Record, transcript: Transcript, resumed: Resumed, tools: Mapping[str, Tool] = _NO_TOOLS,
    keyed: Keyed = NO_SECRET,
) -> Plan:  # fmt: skip
    """Decides what the next attempt does. Pure, as `resumed` is. A stored request that this version cannot read is none."""
    assert record.request is not None
    try:
        request = StoredRequest.from_bytes(record.request)
    except UnreadableRequest:
        return Plan(record, transcript.last, _NO_OPTIONS, Over(_UNREADABLE), "start", None, 0, 0, 0)
    options, body = request.options(), upstream_body(request, record.owner, keyed)
    earlier = request.continue_from
    if options.server_tools:
        return _with_tools(record, transcript, resumed, options, body, tools, earlier)
    kept = transcript.kept() if options.on_interrupt == "continue" else None
    model, begun = _begun(body, options, transcript)
    if kept is not None and (call := resumed(begun, kept)) is not None:
        size = len(kept.text.encode())
        keep = (kept.through, kept.blocks, kept.chunks, size)
        return Plan(record, transcript.last, options, Ask(call), "continue", *keep, keep_text=kept.text, model=model)
    first, size, opening = _anew(body, resumed, earlier)
    return Plan(record, transcript.last, options, first, _why(record), None, 0, 0, size, opening)


def _begun(body: Json, options: Options, transcript: Transcript) -> tuple[str, Json]:
    """The model that has begun the answer, if that is one of those that were asked when others had refused, and the request to
    it: who has begun goes on. An attempt that keeps nothing begins with the first model again."""
    if transcript.model not in (options.fallback or ()):
        return "", body
    return transcript.model, {**body, "model": transcript.model}


def _why(record: Record) -> str:
    return "start" if record.ordinal == 0 else "restart"


def _anew(body: Json, resumed: Resumed, earlier: str | None) -> tuple[Ask, int, Sequence[Content]]:
    """What an attempt that keeps nothing asks, and what the log has before that: its size in bytes, and the entries."""
    if earlier and (call := resumed(body, Kept(earlier, BEGINNING, 1, 0))) is not None:
        return Ask(call), len(earlier.encode()), opened_with(earlier)
    return Ask(Call(body)), 0, ()


def _with_tools(
    record: Record, transcript: Transcript, resumed: Resumed, options: Options, body: Json, tools: Mapping[str, Tool],
    earlier: str | None,
) -> Plan:  # fmt: skip
    names = options.server_tools or ()
    if any(name not in tools for name in names):
        return Plan(record, transcript.last, options, Over(_NO_TOOL), _why(record), None, 0, 0, 0)
    rounds = rounds_of(body, options, [tools[name] for name in names])
    if options.on_interrupt == "continue":
        model, begun = _begun(rounds.body, options, transcript)
        going_on = replace(rounds, body=begun)
        first, keep = going_on.begin(transcript, resumed)
        if keep:
            kept = transcript.blocks[:keep]
            return Plan(
                record, transcript.last, options, first, "continue", max(block.last for block in kept), keep,
                sum(block.chunks for block in kept), sum(block.size for block in kept), (), going_on, transcript,
                "".join(str(block.written()) for block in kept if block.type == "text"),
                model,
            )  # fmt: skip
    first, size, opening = _anew(rounds.body, resumed, earlier)
    return Plan(record, transcript.last, options, first, _why(record), None, 0, 0, size, opening, rounds, transcript)


def opened_with(text: str) -> list[Content]:
    """The entries by which a log begins with this text, in a block that is open behind them."""
    pieces = (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
    first = event("block_start", index=0, block={"type": "text", "text": ""})
    return [first, *(Content(TEXT, piece.encode()) for piece in pieces)]
