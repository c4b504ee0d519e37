"""I29: no more calls of a model run at a time than may, and a breaker that is open loses nothing. I30: tenants take turns.
Pure."""

from collections.abc import Iterator, Sequence

from tests.proof.chaos.account import MOST_CALLS
from tests.proof.chaos.history import Line
from tests.proof.chaos.limits import LEASE
from tests.proof.chaos.second import CONCURRENT, FEW

_WORKERS = 3
_COUNTS_ALONE = ("server_", "client_", "coordination_", "memory_", "misconf", "noreplicas", "clock_", "worker_redis",
                 "worker_pause", "worker_upstream", "worker_kill", "worker_term", "webhook_kill")  # fmt: skip
"""Faults in which a worker counts by itself, a permit is lost, or a call goes on that nobody holds."""


def crowded(calls: Sequence[Line], faults: Sequence[Line]) -> Iterator[str]:
    """I29, of all calls of the model that few may call at a time. Where Redis is away each worker counts for itself: then the
    workers together may have as many as each alone."""
    known = sorted(
        (call["at"], call["closed"]) for call in calls if call["status"] == 200 and call["closed"] is not None
    )
    for at, _ in known:
        running = sum(began <= at < closed for began, closed in known)
        troubled = any(
            fault["kind"].startswith(_COUNTS_ALONE) and fault["at"] <= at <= fault["until"] + 3 * LEASE
            for fault in faults
        )
        if running > (CONCURRENT * _WORKERS if troubled else CONCURRENT):
            yield f"I29 {running} calls of {FEW} ran at a time, {CONCURRENT} may"


def lost(record: dict[str, object], calls: Sequence[Line]) -> Iterator[str]:
    """I29: it fails for an overload only when it has been refused as often as it may ask."""
    error = record.get("error")
    if isinstance(error, dict) and error.get("code") == "upstream_overloaded":
        refused = sum(
            call["status"] == 529 or call["fault"] == "error" for call in calls
        )  # it says so in mid-stream too
        if refused < MOST_CALLS:
            yield f"I29 failed as overloaded, and upstream had refused it {refused} times"


def took_turns(lines: Sequence[Line]) -> list[str]:
    """I30: a generation that was submitted behind a crowd of another tenant's waits for no more of them than there are slots,
    and a turn."""
    return [
        f"I30 {line['before']} of a crowd of {line['crowd']} began before another tenant's one, {line['most']} may"
        for line in lines
        if line["before"] > line["most"]
    ]
