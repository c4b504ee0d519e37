"""A whole `chat.completion`: what the chunks of completions.py come to (docs/protocol.md, "OpenAI Chat Completions"). Pure."""

from collections.abc import Iterable, Iterator

import orjson

from api.dialects import openai_words
from api.dialects.completions import annotation_of, completion_id, finish_reason, usage_of
from api.dialects.content import string_json
from broker.record import Record
from broker.transcript import Block, Transcript
from broker.vocabulary import Json


def message(transcript: Transcript) -> Iterator[bytes]:
    """The message, in pieces."""
    texts = [block for block in transcript.blocks if block.type == "text" and _written(block)]
    thoughts = [block for block in transcript.blocks if block.type == "thinking" and _written(block)]
    calls = [_call(block) for block in transcript.blocks if block.type == "tool_use"]
    yield b'{"role":"assistant","content":'
    if texts or not calls:
        yield from string_json(_pieces(texts))
    else:
        yield b"null"
    yield b',"refusal":null'
    if thoughts:
        yield b',"reasoning_content":'
        yield from string_json(_pieces(thoughts))
    signature = "".join("".join(block.signature) for block in transcript.blocks)
    if signature:
        yield b',"reasoning_signature":%b' % orjson.dumps(signature)
    cited = [each for block in transcript.blocks for each in block.citations if openai_words.is_url_citation(each)]
    if cited:
        yield b',"annotations":%b' % orjson.dumps([annotation_of(each) for each in cited])
    if calls:
        yield b',"tool_calls":%b' % orjson.dumps(calls)
    yield b"}"


def completion(record: Record, told: Iterable[bytes]) -> Iterator[bytes]:
    """The whole of a generation that has completed; `told` is its message. Its time is that of its first attempt, as in its
    chunks."""
    end = record.end or {}
    created = (record.started_ms or record.created_ms) // 1000
    said: Json = {
        "id": completion_id(record.id), "object": "chat.completion", "created": created, "model": record.model,
    }  # fmt: skip
    yield b'%b,"choices":[{"index":0,"message":' % orjson.dumps(said)[:-1]
    yield from told
    reason = orjson.dumps(finish_reason(end.get("stop_reason")))
    usage = end.get("usage")
    told_usage = b',"usage":%b' % orjson.dumps(usage_of(usage)) if isinstance(usage, dict) else b""
    yield b',"logprobs":null,"finish_reason":%b}]%b}' % (reason, told_usage)


def _written(block: Block) -> bool:
    return any(block.written().pieces)


def _pieces(blocks: Iterable[Block]) -> Iterator[bytes]:
    return (piece for block in blocks for piece in block.written().pieces)


def _call(block: Block) -> Json:
    """Its arguments as the model wrote them, JSON or not."""
    given = block.head.get("input")
    begun = orjson.dumps(given).decode() if given else ""
    arguments = begun + b"".join(block.pieces).decode()
    function = {"name": block.head.get("name"), "arguments": arguments or "{}"}
    return {"id": block.head.get("id"), "type": "function", "function": function}
