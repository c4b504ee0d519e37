"""The words in which an upstream's refusal is passed on to viewers and the log. Pure.

An upstream's own words go to people who may see neither its keys nor its network: a gateway's 401 names both. So they are
passed on only where the submitter can mend something by them, and without whatever looks like a key or an address.
"""

import re
from typing import Final

from broker.failures import FailureCode

LONGEST: Final = 500
"""Characters of an upstream's message that are passed on."""

_OWN: Final[dict[FailureCode, str]] = {
    "upstream_authentication": "The upstream does not accept the credentials of this service.",
    "upstream_permission": "The upstream does not permit this to the credentials of this service.",
    "upstream_rate_limited": "The upstream's rate limit is reached.",
    "upstream_overloaded": "The upstream is overloaded.",
    "upstream_redirected": "The upstream's address has moved; no request is sent after it.",
    "upstream_error": "The upstream failed.",
}
_QUOTED: Final[dict[FailureCode, str]] = {
    "upstream_invalid_request": "The upstream does not accept the request.",
    "upstream_not_found": "The upstream does not know what was asked for.",
    "upstream_request_too_large": "The request is too large for the upstream.",
}
"""Where the submitter can mend something: what is said if the upstream does not say it itself."""

_MASKED: Final = "[…]"
_SECRETS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b[a-z][a-z0-9+.-]{1,20}://\S+",  # an address with a scheme
        r"\b(?:bearer|basic|token|apikey|api[_-]key|x-api-key|authorization|password|secret)\b[\s:=\"']+[^\s\"',;]{4,}",
        r"\b(?:sk|pk|rk|rsp|key|ghp|gho|xox[a-z]|AKIA|AIza|ya29)[-_.]?[A-Za-z0-9_.-]{12,}",  # keys by their beginnings
        r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+)*",  # a JSON Web Token
        r"\b[A-Za-z0-9+/_-]{32,}={0,2}",  # anything long that could be a key
        r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b",  # IPv4
        r"\[?\b(?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{0,4}\b\]?(?::\d+)?",  # IPv6
        r"\b(?:[a-z0-9-]+\.)+(?:internal|local|localdomain|lan|corp|intranet|svc|cluster|home|arpa)\b\S*",  # inner names
        r"\b[a-z0-9.-]+:\d{2,5}\b",  # a host and its port
    )
)


def message_for(code: FailureCode, error: object) -> str:
    """The message for a failure of this code; `error` is the upstream's own error object, if it sent one."""
    if code not in _QUOTED:
        return _OWN.get(code, _OWN["upstream_error"])
    message = error.get("message") if isinstance(error, dict) else None
    return masked(message) if isinstance(message, str) and message.strip() else _QUOTED[code]


def masked(text: str) -> str:
    """The text without what looks like a key or an address, cut at LONGEST characters."""
    text = text[: 2 * LONGEST]  # a bound on what the patterns look at
    for secret in _SECRETS:
        text = secret.sub(_MASKED, text)
    return text[:LONGEST]
