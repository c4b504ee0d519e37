"""What upstreams say of their limits in the headers of an answer, or of a refusal. Pure.

Both vendors say how much is left of how much, and when all of it is there again: Anthropic by its clock, which the `date` of
the same answer tells; OpenAI as a time from now. A header that cannot be read is as none."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from broker.budgets import NOTHING_TOLD, Allowance, Told

_ANTHROPIC: Final = "anthropic-ratelimit-"
_TOKENS: Final = ("tokens", "input-tokens", "output-tokens")
_OPENAI: Final = "x-ratelimit-"
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART: Final = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d)")
_NUMBER: Final = re.compile(r"\d{1,15}")


def of_anthropic(headers: Mapping[str, str]) -> Told:
    """Of several limits on tokens the one of which the least is left counts."""
    if f"{_ANTHROPIC}requests-remaining" not in headers and f"{_ANTHROPIC}tokens-remaining" not in headers:
        return NOTHING_TOLD

    def allowance(of: str) -> Allowance | None:
        name = f"{_ANTHROPIC}{of}-"
        return _allowance(headers, name + "limit", name + "remaining", _until(headers, name + "reset"))

    tokens = [found for each in _TOKENS if (found := allowance(each)) is not None]
    return Told(allowance("requests"), min(tokens, key=_share, default=None))


def of_openai(headers: Mapping[str, str]) -> Told:
    if f"{_OPENAI}remaining-requests" not in headers and f"{_OPENAI}remaining-tokens" not in headers:
        return NOTHING_TOLD

    def allowance(of: str) -> Allowance | None:
        full_in = duration(headers.get(f"{_OPENAI}reset-{of}"))
        return _allowance(headers, f"{_OPENAI}limit-{of}", f"{_OPENAI}remaining-{of}", full_in)

    return Told(allowance("requests"), allowance("tokens"))


def duration(text: str | None) -> float | None:
    """Seconds, of `6m0s`, `17ms` or `1.5`; None if it is none of these."""
    if text is None:
        return None
    parts = _PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _allowance(headers: Mapping[str, str], limit: str, left: str, full_in: float | None) -> Allowance | None:
    remaining = _number(headers.get(left))
    if remaining is None or full_in is None:
        return None
    return Allowance(_number(headers.get(limit)) or None, remaining, full_in)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and _NUMBER.fullmatch(text) else None


def _share(allowance: Allowance) -> float:
    return allowance.left / (allowance.limit or max(allowance.left, 1))


def _until(headers: Mapping[str, str], name: str) -> float | None:
    """Seconds until the time in this header, by the clock of who sent it."""
    try:
        at = datetime.fromisoformat(headers.get(name, ""))
        now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
        return max(0.0, (at - now).total_seconds())
    except (ValueError, TypeError):  # not a time; one without a zone
        return None
