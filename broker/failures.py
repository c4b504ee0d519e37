"""Every way in which a generation fails: the codes of `error` events, records and `retrying`, on one page. Pure.

This is the one table: what ends a generation names a code of this type, the API describes itself with it, and the table of
docs/protocol.md is made of it. What a request is refused for is another table: api/intake/codes.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

FailureCode = Literal[
    "first_token_timeout", "idle_timeout", "total_timeout", "interrupted", "attempts_exhausted", "spend_exceeded",
    "blocked", "output_limit", "storage_full", "storage_error", "unreadable_request", "unknown_model",
    "unsupported_field", "internal_error",
    "upstream_invalid_request",
    "upstream_authentication", "upstream_permission", "upstream_not_found", "upstream_request_too_large",
    "upstream_rate_limited", "upstream_overloaded", "upstream_redirected", "upstream_error", "upstream_unreachable",
    "upstream_disconnected", "upstream_truncated", "upstream_malformed", "tool_unavailable", "tool_rounds_exceeded",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Failure:
    """One row. `retryable`: whether the same request, submitted anew, may succeed; None if it depends on the failure. `status`:
    the HTTP status that says the nearest thing: the upstream's own, where a refusal of the upstream has the code."""

    retryable: bool | None
    meaning: str
    status: int = 500


FAILURES: Final[Mapping[FailureCode, Failure]] = {
    "first_token_timeout": Failure(
        True, "upstream made no progress for `first_token_timeout` before the first token", 504
    ),
    "idle_timeout": Failure(True, "upstream fell silent for `idle_timeout`, in the last attempt that was allowed", 504),
    "total_timeout": Failure(True, "an attempt took longer than `total_timeout`", 504),
    "interrupted": Failure(True, "the worker died or shut down, and `on_interrupt` is `fail`", 503),
    "attempts_exhausted": Failure(True, "as many workers died under it as may count, or as there may be attempts", 503),
    "spend_exceeded": Failure(False, "it has cost more output tokens than `max_spend_tokens`", 422),
    "blocked": Failure(False, "a guardrail blocked what it had put out, which is withdrawn", 422),
    "output_limit": Failure(False, "the output is larger than a log may hold", 422),
    "storage_full": Failure(True, "Redis had no memory left for an entry", 507),
    "storage_error": Failure(True, "Redis refused an entry", 503),
    "unreadable_request": Failure(False, "the stored request is of a version that this worker cannot read", 500),
    "unknown_model": Failure(False, "the worker has no upstream for this model", 404),
    "unsupported_field": Failure(
        False, "the model's API has no words for a field of the request; the message names it", 422
    ),
    "internal_error": Failure(True, "the worker failed in a way that has no code: a fault of ours", 500),
    "upstream_invalid_request": Failure(False, "400: the upstream does not accept the request", 400),
    "upstream_authentication": Failure(False, "401", 401),
    "upstream_permission": Failure(False, "403", 403),
    "upstream_not_found": Failure(False, "404: no such model, for instance", 404),
    "upstream_request_too_large": Failure(False, "413", 413),
    "upstream_rate_limited": Failure(True, "429, in every call that was allowed", 429),
    "upstream_overloaded": Failure(True, "529 or 503, or its error event", 529),
    "upstream_redirected": Failure(False, "3xx: no request is sent after it", 502),
    "upstream_error": Failure(None, "any other refusal or error event", 502),
    "upstream_unreachable": Failure(True, "no connection", 502),
    "upstream_disconnected": Failure(True, "the connection was cut", 502),
    "upstream_truncated": Failure(True, "the answer ended cleanly, but without its end", 502),
    "upstream_malformed": Failure(True, "it sent what cannot be read, or what its own protocol does not allow", 502),
    "tool_unavailable": Failure(True, "the worker has not a tool that the API had: their `RESPOOL_TOOLS` differ", 503),
    "tool_rounds_exceeded": Failure(False, "the model asked for tools once more than `max_tool_rounds`", 422),
}

CANCELLED_STATUS: Final = 499
CANCELLED: Final = "The generation was cancelled."
"""What stands for a cancel where an answer has a status and an error: nginx's status for a client that has left."""

_SAID: Final = {True: "yes", False: "no", None: "as its status says"}


def table() -> str:
    """The table in Markdown, for the docs."""
    rows = (
        f"| `{code}` | {each.status} | {_SAID[each.retryable]} | {each.meaning} |\n" for code, each in FAILURES.items()
    )
    return "| `code` | `status` | retryable | when |\n|---|---|---|---|\n" + "".join(rows)
