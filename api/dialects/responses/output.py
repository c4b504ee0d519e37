"""The output of a response that is asked for as a whole, of what its log amounts to. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from api.dialects.responses.head import end_of
from api.dialects.responses.items import Item, ItemStatus, call_of, item_of, shown, text_of
from api.dialects.responses.rope import EMPTY
from api.dialects.responses.said import final_status
from broker.transcript import Block, Transcript
from broker.vocabulary import Json


@dataclass(frozen=True)
class Output:
    """A form of transcripts: the output as JSON, an item a piece."""

    generation: str

    def __call__(self, transcript: Transcript) -> Iterator[bytes]:
        items = items_of(transcript.blocks, self.generation)
        before = b"["
        for item in items:
            status = _status(transcript, item, last=item is items[-1])
            yield before + orjson.dumps(shown(item, status, text_of(item)))
            before = b","
        yield b"]" if items else b"[]"


def items_of(blocks: list[Block], generation: str) -> list[Item]:
    """A tool's call is one of the server's if that has begun it, or it has a result."""
    results = {call: block.head for block in blocks if (call := call_of(block.head)) is not None}
    items = list[Item]()
    for block in blocks:
        called = block.head.get("id")
        result = results.get(called) if isinstance(called, str) else None
        item = item_of(block.head, generation, len(items), of_the_server=block.told or result is not None)
        if item.kind:
            text = EMPTY.with_more(b"".join(block.written().pieces))
            items.append(
                item._replace(
                    text=text, signature="".join(block.signature), citations=tuple(block.citations), result=result
                )
            )
    return items


def _status(transcript: Transcript, item: Item, *, last: bool) -> ItemStatus:
    if transcript.end is None:
        return "in_progress" if last else final_status(item, complete=True)
    end: Json = orjson.loads(transcript.end.value)
    return final_status(item, complete=not last or end_of(end).complete)
