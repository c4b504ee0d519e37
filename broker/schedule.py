"""When a generation may start, and how urgent it is. Pure.

A generation's place in the queue is its submit. One that starts later has its place from when it may start; one in the
background is placed as if it had been submitted a while later: whatever is interactive and was submitted in that while goes
first, nothing that comes after. So it waits longer, and not for ever.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

Priority = Literal["interactive", "background"]

LONGEST_DELAY_MS: Final = 7 * 24 * 3600 * 1000
_RFC_3339: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """`start_ms`: not before this time, if that is asked for. `delay_ms`: by how much it is placed later in the queue; None of
    one that is interactive."""

    start_ms: int | None = None
    delay_ms: int | None = None

    @property
    def priority(self) -> Priority:
        return "interactive" if self.delay_ms is None else "background"

    def place_ms(self, created_ms: int) -> int | None:
        """Its place in the queue; None if that is its submit. As creating.lua has it."""
        if self.start_ms is None and self.delay_ms is None:
            return None
        return max(created_ms, self.start_ms or 0) + (self.delay_ms or 0)


AT_ONCE: Final = Schedule()


def unix_ms(text: str) -> int:
    """An RFC 3339 time, which has its offset. Raises ValueError."""
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise ValueError("not of RFC 3339")
    date, time, fraction, offset = match.groups()
    whole = datetime.fromisoformat(f"{date}T{time}{'+00:00' if offset in 'Zz' else offset}")
    return round(whole.timestamp()) * 1000 + int(f"{(fraction or '.0')[1:]:0<3}"[:3])
