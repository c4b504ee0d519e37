"""The bytes on the wire: HTTP/1.1 heads, chunks, and the Messages API's server-sent events. Pure."""

from collections.abc import Mapping
from typing import Any

import orjson

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
DELTA_END = b"}}\n\n"
BAD_JSON = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_del\n\n'
BAD_UTF8 = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"\xff\xfe\xc3("}}\n\n'
)
OVERLOADED = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'

_REASONS = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Payload Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
    529: "Overloaded",
}


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS[status]}", "server: respool-simulator"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def response(status: int, body: bytes, request_id: str, headers: Mapping[str, str], keep_alive: bool) -> bytes:
    """A whole JSON response."""
    fixed = {"content-type": "application/json", "content-length": str(len(body)), "request-id": request_id}
    if status == 204:  # has no body, and must not say how long it is
        fixed = {"request-id": request_id}
    return _head(status, {**fixed, **headers, "connection": "keep-alive" if keep_alive else "close"}) + body


def stream_head(request_id: str, headers: Mapping[str, str], keep_alive: bool) -> bytes:
    """The head of a streamed answer; chunks follow."""
    return _head(
        200,
        {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            "transfer-encoding": "chunked",
            "request-id": request_id,
            **headers,
            "connection": "keep-alive" if keep_alive else "close",
        },
    )


def chunk(data: bytes) -> bytes:
    """One HTTP chunk. `data` must not be empty: an empty chunk ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(data: Mapping[str, Any]) -> bytes:
    """One server-sent event, named by its `type` (the SDK drops events without a name)."""
    return b"event: %b\ndata: %b\n\n" % (data["type"].encode(), orjson.dumps(data))


def delta_start(index: int, delta_type: str, field: str) -> bytes:
    """A content_block_delta up to its value: what follows is the value in JSON, then DELTA_END.

    Of a token's frame only the value differs from the one before; so the rest is made once for a block.
    """
    return b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":' % (
        index,
        delta_type.encode(),
        field.encode(),
    )
