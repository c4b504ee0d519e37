"""When the upstream is called again before the first token, after how long, and when another model is asked. Pure but for the
dice."""

import random
from typing import Final

from broker.failures import FailureCode
from worker.upstreams import UpstreamFailure

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 8.0


_ANOTHER: Final[frozenset[FailureCode]] = frozenset(
    ("unknown_model", "upstream_not_found", "upstream_authentication", "upstream_permission", "upstream_redirected")
)
"""What does not pass, and says nothing of the request."""


def another_may_answer(failure: UpstreamFailure) -> bool:
    """Whether another model may be asked what this one has refused for good: not what is wrong with the request."""
    return failure.retryable or failure.code in _ANOTHER


def pause(tries: int, retry_after: float | None, cap: float) -> float:
    """Seconds to wait after `tries` failed calls: what upstream asked for (at most `cap`, and a little more, so that a
    crowd which was told the same does not come back at once), else a random share of a doubling span."""
    if retry_after is not None:
        return min(max(retry_after, 0.0), cap) + random.uniform(0, 0.25)
    span: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (tries - 1))
    return span * random.uniform(0.5, 1.0)
