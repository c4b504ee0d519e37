"""The pause that an upstream asks for. Pure."""

from typing import Final

_LONGEST: Final = 31_536_000.0
"""Seconds; `inf` and `nan` are floats too."""


def seconds(header: str | None) -> float | None:
    """The pause that a `retry-after` header asks for; None if there is none, or none that could be meant."""
    try:
        asked = float(header or "")
    except ValueError:
        return None
    return asked if 0 <= asked <= _LONGEST else None
