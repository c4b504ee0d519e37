"""How many streams may be open. Pure."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How many streams may be open in one process; 0: any number."""

    per_key: int = 0
    per_generation: int = 0
    per_address: int = 0


NO_LIMITS: Final = StreamLimits()
