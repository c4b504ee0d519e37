"""A body of JSON Lines: many requests in one, each a line. It is read whole before anything of it is answered, for a client may
write all of its body before it reads; so it is bounded, in bytes and in lines."""

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request

from api.intake.body import CLOSE, MAX_BYTES
from api.intake.problems import Code, Problem

JSONL: Final = ("application/jsonl", "application/x-ndjson")
MOST_LINES: Final = 1000
MOST_BYTES: Final = 16 << 20
"""Denial-of-service guard, as is MOST_LINES: what one batch holds in the memory while it is accepted."""
_SECONDS: Final = 60.0

Line = tuple[int, bytes]
"""Its number in the body, from 1, and what stands there."""


async def read_lines(request: Request) -> list[Line]:
    """The lines that are not blank. Only LF ends one. Raises Problem."""
    _check_content_type(request.headers)
    raw = bytearray()
    try:
        async with asyncio.timeout(_SECONDS):
            async for chunk in request.stream():
                raw += chunk
                if len(raw) > MOST_BYTES:
                    raise Problem(Code.BODY_TOO_LARGE, "A batch has at most 16 MiB.", headers=CLOSE)
    except TimeoutError:
        raise Problem(Code.BODY_TIMEOUT, headers=CLOSE) from None
    except ClientDisconnect:
        raise Problem(Code.INCOMPLETE_BODY) from None
    if raw.count(b"\n") > 2 * MOST_LINES:
        raise _too_many()
    lines = [(number, line) for number, line in enumerate(bytes(raw).split(b"\n"), 1) if line.strip()]
    if len(lines) > MOST_LINES:
        raise _too_many()
    return lines


def refuse_if_large(line: bytes) -> None:
    """Raises Problem (413) for a line that is larger than a body may be."""
    if len(line) > MAX_BYTES:
        raise Problem(Code.BODY_TOO_LARGE, "A line has at most 1 MiB.")


def _too_many() -> Problem:
    return Problem(Code.INVALID_REQUEST, "A batch has at most 1,000 lines.")


def _check_content_type(headers: Headers) -> None:
    declared = headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared not in JSONL or headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Problem(
            Code.UNSUPPORTED_MEDIA_TYPE, "Send `application/jsonl` or `application/x-ndjson`, not compressed."
        )
