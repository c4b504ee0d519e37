"""What a client's headers ask for: the form of the answer, and the name of a request that may be sent twice."""

import re
from collections.abc import Sequence

from starlette.datastructures import Headers

from api.intake.problems import Code, Problem

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
EVENT_STREAM_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)
"""With which every event stream begins."""

QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
TRIES = re.compile(r"[0-9]{1,4}")
IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")


def wants(accept: str | None, offers: Sequence[str]) -> str | None:
    """The offer that an Accept header prefers (RFC 9110, section 12.5.1), or None if it refuses all of them.

    An offer's quality is that of the most specific range that matches it. Of equal qualities the one that is named
    beats the one that a wildcard lets in, then the earlier offer wins. No header accepts everything; parameters
    other than q are not looked at, and a range that does not parse counts for nothing.
    """
    if accept is None or not accept.strip():
        return offers[0]
    ranges = dict(filter(None, map(_range, accept.split(","))))
    # What is refused by its own name is no better than this.
    chosen, best = None, (0.0, 2)
    for offer in offers:
        family = offer.split("/")[0]
        for specificity, pattern in ((2, offer), (1, f"{family}/*"), (0, "*/*")):
            if pattern in ranges:
                rank = (ranges[pattern], specificity)
                if rank > best:
                    chosen, best = offer, rank
                break
    return chosen


def _range(text: str) -> tuple[str, float] | None:
    """One media range and its quality."""
    media_range, *parameters = (part.strip().lower() for part in text.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return (media_range, float(value)) if QUALITY.fullmatch(value := value.strip()) else None
    return media_range, 1.0


def negotiate(headers: Headers, offers: Sequence[str]) -> str:
    """The media type to answer with. Raises Problem (406) if the client takes none of `offers`."""
    chosen = wants(", ".join(headers.getlist("accept")), offers)
    if chosen is None:
        raise Problem(Code.NOT_ACCEPTABLE, offers=list(offers))
    return chosen


def idempotency_key(headers: Headers) -> str | None:
    """The request's Idempotency-Key, if it has one. Raises Problem (400) if it is not 1 to 255 visible characters."""
    keys = headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not IDEMPOTENCY_KEY.fullmatch(keys[0]):
        raise Problem(Code.IDEMPOTENCY_KEY_INVALID)
    return keys[0]


def tries_before(headers: Headers) -> int | None:
    """How often an SDK that repeats requests by itself has sent this one before; None if it does not say so in a number."""
    told = headers.getlist("x-stainless-retry-count")
    return int(told[0]) if len(told) == 1 and TRIES.fullmatch(told[0]) else None
