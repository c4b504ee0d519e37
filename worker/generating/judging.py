"""What becomes of an attempt's outcome under guardrails: no text stays readable that has not passed its checks."""

import asyncio
from dataclasses import replace
from typing import Final

from broker.record import Ending
from worker.generating.attempt import STOPPED, Left, Outcome
from worker.guardrails.guard import Guard
from worker.log.writer import Cause, Writer

_LOOK_SECONDS: Final = 0.1
_LEAVING: Final = frozenset[Cause](("fenced", "rewound", "drain"))


async def judged(guard: Guard, writer: Writer, outcome: Outcome, latest: tuple[float, Cause]) -> Outcome:
    """The outcome, when all checks have looked at what is readable then, which takes as long as their timeouts allow. A
    cancel, and `latest` (the total timeout), still end what is complete, and keep nothing from being checked. What is not
    this worker's any more is another's to check."""
    if isinstance(outcome, Left):
        guard.close()
        return outcome
    if isinstance(outcome, Ending) and outcome.state == "completed":
        writer.deadline = latest
    judging = asyncio.get_running_loop().create_task(guard.judge())
    try:
        while not judging.done() and writer.cause not in _LEAVING:
            await asyncio.wait((judging,), timeout=_LOOK_SECONDS)
    finally:
        writer.deadline = None
        judging.cancel()
    cause = writer.cause
    if cause not in _LEAVING:
        judging.result()  # of a guard that fails itself nothing has passed
    if guard.blocked is not None and cause not in ("fenced", "rewound"):
        blocked = STOPPED["blocked"]
        assert isinstance(blocked, Ending)
        return replace(blocked, withdraw=guard.blocked.withdraw_json)
    if cause is not None and cause in _LEAVING:
        return Left(cause)
    if cause is not None and isinstance(outcome, Ending) and outcome.state == "completed":
        return STOPPED.get(cause, outcome)
    return outcome
