"""The chunks of the AI SDK's UI message stream, version 1, as frames. Pure.

Each is one event with one JSON object. Any `type` that a client's version does not know ends its stream with an error, so
nothing else is ever sent: `reset-step` alone is no older than version 7, and is sent where anything else would be wrong text.
"""

from collections.abc import Mapping
from typing import Final

import orjson

EXECUTED: Final[Mapping[str, object]] = {"providerExecuted": True}
"""Of a tool that is not the client's to run."""
_FINISH_REASONS: Final[Mapping[str | None, str]] = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "model_context_window_exceeded": "length",
    "tool_use": "tool-calls", "refusal": "content-filter",
}  # fmt: skip


def chunk(type_: str, **members: object) -> bytes:
    return b"data: " + orjson.dumps({"type": type_, **members}) + b"\n\n"


def delta_head(type_: str, id_: str) -> bytes:
    """How each delta of this part begins: behind it is its text as a JSON string, and a brace."""
    names = ("toolCallId", "inputTextDelta") if type_ == "tool-input-delta" else ("id", "delta")
    return b'data: {"type":"%b","%b":%b,"%b":' % (
        type_.encode(),
        names[0].encode(),
        orjson.dumps(id_),
        names[1].encode(),
    )


def of_anthropic(**said: object) -> dict[str, object]:
    """What only the upstream understands, where the AI SDK's own provider puts it: so it comes back with the next request."""
    return {"providerMetadata": {"anthropic": said}}


def finish_reason(stop_reason: object) -> str:
    return _FINISH_REASONS.get(stop_reason if isinstance(stop_reason, str) else None, "other")


def source(id_: str, citation: Mapping[str, object]) -> bytes:
    """What a citation points at; nothing if that is neither a page nor a document."""
    match citation:
        case {"url": str(url)}:
            title = {"title": citation["title"]} if isinstance(citation.get("title"), str) else {}
            return chunk("source-url", sourceId=id_, url=url, **title, **of_anthropic(citation=citation))
        case {"document_index": int(number)}:
            name = str(citation.get("document_title") or f"Document {number}")
            media_type = "application/pdf" if citation.get("type") == "page_location" else "text/plain"
            about = of_anthropic(citation=citation)
            return chunk("source-document", sourceId=id_, mediaType=media_type, title=name, **about)
    return b""


def failed(code: object, message: object) -> bytes:
    """An end that is none: clients raise it as an error with this text."""
    return chunk("error", errorText=f"{code}: {message}")
