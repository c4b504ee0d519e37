"""What a chunk of a message says of a block that begins, and of a piece of it: chunks add up to the message. Pure."""

from typing import Final

from api.dialects.langgraph.words import Json

_PLACE: Final = "\ue000piece\ue000"
PIECE: Final = f'"{_PLACE}"'.encode()
"""Where the piece is in what `piece` says."""


def started(index: int, head: Json) -> Json | None:
    """Of a block that begins; None if there is nothing to say yet."""
    match head:
        case {"type": "text"}:
            return {"content": head["text"]} if head.get("text") else None
        case {"type": "thinking"}:
            return None
        case {"type": "tool_use"}:
            return {"tool_call_chunks": [_call(index, name=head.get("name"), id=head.get("id"), args="")]}
    return {"content": [{**head, "index": index}]} if "type" in head else None


def piece(index: int, head: Json) -> Json:
    """Of a piece of it, PIECE being the piece as JSON."""
    match head.get("type"):
        case "text":
            return {"content": _PLACE}
        case "tool_use":
            return {"tool_call_chunks": [_call(index, name=None, id=None, args=_PLACE)]}
        case "thinking":
            return {"content": [{"type": "thinking", "thinking": _PLACE, "index": index}]}
    return {"content": [{"type": "input_json_delta", "partial_json": _PLACE, "index": index}]}


def signed(index: int, signature: str) -> Json:
    """Of the signature of a block of thinking."""
    return {"content": [{"type": "thinking", "thinking": "", "signature": signature, "index": index}]}


def cited(index: int, citation: object) -> Json:
    """Of a citation in a block of text."""
    return {"content": [{"type": "text", "text": "", "citations": [citation], "index": index}]}


def _call(index: int, **said: object) -> Json:
    return {"type": "tool_call_chunk", "index": index, **said}
