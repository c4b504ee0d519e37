"""An answer that is not streamed, as the events that it would have been in a stream: so its log has the same entries, a text
block's text as one. Pure."""

from collections.abc import Iterator

import orjson

from worker.upstreams import Json
from worker.upstreams.malformed import MalformedEvent


def events_of(message: object) -> Iterator[list[Json]]:
    """The events of a Message of the Messages API, a list for its beginning, for each block, and for its end; one that does not
    say why it stopped was cut off, and has no end. Raises MalformedEvent."""
    try:
        if not isinstance(message, dict) or not isinstance(message["content"], list):
            raise TypeError
        begun = {**message, "stop_reason": None, "stop_sequence": None}
        yield [{"type": "message_start", "message": begun}]
        for index, block in enumerate(message["content"]):
            yield list(_block(index, block))
        delta = {name: message.get(name) for name in ("stop_reason", "stop_sequence")}
        end: Json = {"type": "message_delta", "delta": delta, "usage": message.get("usage") or {}}
        yield [end] if message.get("stop_reason") is None else [end, {"type": "message_stop"}]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedEvent(error) from error


def _block(index: int, block: Json) -> Iterator[Json]:
    """What a stream says in pieces is empty in the block's beginning."""
    head, deltas = dict(block), list[Json]()
    match block["type"]:
        case "text":
            head["text"] = ""
            deltas.append({"type": "text_delta", "text": block["text"]})
            citations = head.pop("citations", None) or []
            deltas += [{"type": "citations_delta", "citation": each} for each in citations]  # type: ignore[attr-defined]
        case "thinking":
            head |= {"thinking": "", "signature": ""}
            deltas.append({"type": "thinking_delta", "thinking": block["thinking"]})
            if block.get("signature"):
                deltas.append({"type": "signature_delta", "signature": block["signature"]})
        case "tool_use" | "server_tool_use" | "mcp_tool_use":
            head["input"] = {}
            if block["input"]:
                written = orjson.dumps(block["input"]).decode()
                deltas.append({"type": "input_json_delta", "partial_json": written})
    yield {"type": "content_block_start", "index": index, "content_block": head}
    yield from ({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
    yield {"type": "content_block_stop", "index": index}
