"""Which failure of ours an error of OpenAI's is. Pure.

The codes of errors are the vendor's, and what is compatible with it uses some of them; a status says less, and is what counts
where there is no code that is known."""

from collections.abc import Mapping
from typing import Final

from broker.failures import FailureCode
from worker.upstreams import UpstreamFailure
from worker.upstreams.retry_after import seconds
from worker.upstreams.told import of_openai
from worker.upstreams.wording import message_for

_RETRYABLE: Final = frozenset((408, 409, 429, 500, 502, 503, 504, 529))
_STATUSES: Final[dict[int, FailureCode]] = {
    400: "upstream_invalid_request",
    401: "upstream_authentication",
    403: "upstream_permission",
    404: "upstream_not_found",
    413: "upstream_request_too_large",
    422: "upstream_invalid_request",
    429: "upstream_rate_limited",
    503: "upstream_overloaded",
    529: "upstream_overloaded",
}
_CODES: Final[dict[str, FailureCode]] = {
    "model_not_found": "upstream_not_found",
    "invalid_api_key": "upstream_authentication",
    "insufficient_quota": "upstream_permission",  # a 429 that no waiting mends
    "rate_limit_exceeded": "upstream_rate_limited",
    "server_is_overloaded": "upstream_overloaded",
    "slow_down": "upstream_overloaded",
    "context_length_exceeded": "upstream_invalid_request",
    "invalid_prompt": "upstream_invalid_request",
    "bio_policy": "upstream_invalid_request",
    "misalignment_policy_violation": "upstream_invalid_request",
    "data_residency_mismatch": "upstream_invalid_request",
}
_TYPES: Final[dict[str, FailureCode]] = {
    "invalid_request_error": "upstream_invalid_request",
    "authentication_error": "upstream_authentication",
    "permission_error": "upstream_permission",
    "not_found_error": "upstream_not_found",
    "rate_limit_error": "upstream_rate_limited",
    "overloaded_error": "upstream_overloaded",
}
_LASTING: Final = frozenset(
    ("upstream_not_found", "upstream_authentication", "upstream_permission", "upstream_invalid_request")
)


def refused(status: int, error: object, headers: Mapping[str, str]) -> UpstreamFailure:
    """An answer with a status; `error` is the object that came with it, if one did."""
    if 300 <= status < 400:
        code: FailureCode = "upstream_redirected"
        return UpstreamFailure(code, message_for(code, None), retryable=False)
    known = _known(error, _CODES)
    code = known or _STATUSES.get(status, "upstream_error")
    retryable = code not in _LASTING and (status in _RETRYABLE or known is not None)
    return UpstreamFailure(
        code,
        message_for(code, error),
        retryable=retryable,
        retry_after=seconds(headers.get("retry-after")),
        told=of_openai(headers),
        answered=status < 500,
    )


def mid_stream(error: object) -> UpstreamFailure:
    """An error that came as an event of the answer. Some that are compatible give the status as its code."""
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, int) and not isinstance(code, bool):
        return refused(code, error, {})
    known = _known(error, _CODES) or _known(error, _TYPES) or "upstream_error"
    return UpstreamFailure(known, message_for(known, error), retryable=known not in _LASTING)


def _known(error: object, codes: dict[str, FailureCode]) -> FailureCode | None:
    if not isinstance(error, dict):
        return None
    named = (error.get("code"), error.get("type"))
    return next((codes[name] for name in named if isinstance(name, str) and name in codes), None)
