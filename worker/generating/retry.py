"""When the upstream is called again before the first token, and after how long. Pure but for the dice."""

import random

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 8.0


def pause(tries: int, retry_after: float | None, cap: float) -> float:
    """Seconds to wait after `tries` failed calls: what upstream asked for (at most `cap`, and a little more, so that a
    crowd which was told the same does not come back at once), else a random share of a doubling span."""
    if retry_after is not None:
        return min(max(retry_after, 0.0), cap) + random.uniform(0, 0.25)
    span: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (tries - 1))
    return span * random.uniform(0.5, 1.0)
