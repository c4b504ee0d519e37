"""When a webhook is tried again, after Standard Webhooks: ten tries in a day. Pure."""

from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Final

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
OFFSETS: Final = (
    0.0, 5.0, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 14 * _HOUR, 20 * _HOUR, 24 * _HOUR,
)  # fmt: skip
"""Seconds from the end to each try."""
_PAUSES: Final = tuple(later - sooner for sooner, later in pairwise(OFFSETS))
JITTER: Final = 0.1
"""By how much of itself a pause may be longer, so that a receiver that was away is not met by all at once."""
LONGEST_ASKED: Final = _HOUR
"""A receiver that asks for a longer pause is tried again after this one."""


def pause(tries: int, asked: float | None, chance: float) -> float | None:
    """Seconds from try number `tries`, which has failed, to the next; None: it was the last. `asked`: seconds that the receiver
    asks for; `chance`: 0 to 1."""
    if tries > len(_PAUSES):
        return None
    ours = _PAUSES[tries - 1] * (1 + JITTER * chance)
    return ours if asked is None else max(ours, min(asked, LONGEST_ASKED))


def asked_for(retry_after: str | None, now: float) -> float | None:
    """Seconds of a Retry-After; None if there is none, or one that says nothing. `now` is in Unix seconds."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None
