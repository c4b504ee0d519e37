"""What is alike in all dialects that are server-sent events. Pure."""

from typing import Final

KEEP_ALIVE: Final = b": ka\n"
"""A comment line with no blank line behind it: a blank line would be an empty message to some clients."""
RETRY: Final = b"retry: 500\n"
"""Milliseconds after which a browser comes back, said once a stream and only with an event: without it a browser waits for
seconds, and alone it would be an empty message to some clients."""
EVENT_END: Final = b"\n\n"
"""Behind every event, and in none."""
DONE: Final = b"data: [DONE]\n\n"
_DATA: Final = b"data: "


def with_retry(body: bytes) -> bytes | None:
    """With `retry:` in its first event; None if there is no event in it."""
    at = body.find(_DATA)
    return None if at < 0 else body[:at] + RETRY + body[at:]


def coming_back(event: bytes, retry_ms: int) -> bytes:
    """The event, with another `retry:` behind what it says."""
    return event[:-1] + b"retry: %d\n\n" % retry_ms
