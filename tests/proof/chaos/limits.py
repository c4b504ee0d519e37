"""How long things may take that are measured in the calm, and whether they did. Pure.

I18  a worker's death, a hand-over and a restart of the store are told to viewers within their limits

`promised` holds for half of a round's samples, `at_most` for 99 of 100: the machine has two cores, and a dozen processes that
were all just busy; a round has a few dozen samples, so that the second is its slowest one. What the measuring process was late
itself while it measured is taken off first.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.bench.figures import percentile


class Limit(NamedTuple):
    """Of one figure, in seconds."""

    what: str
    promised: float
    at_most: float


LEASE = 1.0
LIMITS: Mapping[str, Limit] = {
    "death_told": Limit("worker death → viewer told", LEASE + 2, LEASE + 4),
    "freeze_told": Limit("worker frozen → viewer told", LEASE + 2, LEASE + 4),
    "hand_over": Limit("SIGTERM → next attempt shown", 1, 3),
    "restart_streaming": Limit("Redis back → streaming again", 2, 4),
    "abandoned": Limit("last viewer gone for a second → cancelled", 1 + 4 + 2 + 1, 1 + 4 + 2 + 3),
}


def beyond(samples: Mapping[str, Sequence[float]]) -> list[str]:
    """I18, for one round."""
    return [
        f"I18 {LIMITS[name].what}: {share} took {percentile(taken, p):.2f} s, {most:g} s are allowed"
        for name, taken in samples.items()
        for share, p, most in (("half", 0.5, LIMITS[name].promised), ("99 of 100", 0.99, LIMITS[name].at_most))
        if percentile(taken, p) > most
    ]
