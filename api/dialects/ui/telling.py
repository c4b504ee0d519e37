"""A transcript as the shortest log that amounts to it. Pure."""

from collections.abc import Iterator
from typing import Final

from broker.events import EVENT, START, TEXT, THINKING, TOOL_INPUT, Entry, event
from broker.ids import BEGINNING
from broker.transcript import Block, Transcript

_DELTAS: Final = {"text": TEXT, "thinking": THINKING}


def entries_of(transcript: Transcript) -> Iterator[Entry]:
    """All but the end. Their ids name nothing."""
    if not transcript.start:
        return
    yield Entry(BEGINNING, START, event("stream_start", **{**_but_type(transcript), "keep_blocks": 0}).value)
    for index, block in enumerate(transcript.blocks):
        if index in transcript.answers:
            yield _event("message", message={})
        yield from _block(index, block)
    if len(transcript.blocks) in transcript.answers:
        yield _event("message", message={})


def _but_type(transcript: Transcript) -> dict[str, object]:
    return {name: value for name, value in transcript.start.items() if name != "type"}


def _block(index: int, block: Block) -> Iterator[Entry]:
    yield _event("block_start", index=index, block=block.head)
    for piece in block.pieces:
        yield Entry(BEGINNING, _DELTAS.get(block.type, TOOL_INPUT), piece)
    for signature in block.signature:
        yield _event("signature", signature=signature)
    for citation in block.citations:
        yield _event("citation", citation=citation)
    if block.stopped:
        yield _event("block_stop", index=index)
    if block.told and block.type == "tool_use":
        yield _event("tool_start", index=index, id=block.head.get("id"))


def _event(type_: str, **fields: object) -> Entry:
    kind, value = event(type_, **fields)
    assert kind == EVENT
    return Entry(BEGINNING, kind, value)
