"""I23: what was submitted with `on_abandon: cancel` is cancelled for that only where nobody watched, and then it is. Pure.

A viewer counts that was connected for the whole of the time in which a note of it must have been made, and that was told the
end there. Nothing is said where faults have stopped APIs, or kept them from the store, for much of that time.
"""

from collections.abc import Sequence

from tests.proof.chaos.history import Line

NOTED = 4.0
"""Seconds for which a viewer counts that is not noted any more."""
_MOST_DISTURBED = 2.5
"""Seconds of faults in that time: notes are made every two."""
_ABANDONED = '"reason":"abandoned"'


def watched(accepted: Sequence[Line], lines: Sequence[Line], faults: Sequence[Line]) -> list[str]:
    """I23, of one generation."""
    grace = next((line["abandon_after"] for line in accepted if line.get("abandon_after") is not None), None)
    found, since = [], dict[str, float]()
    for line in lines:
        viewer = line.get("viewer", "")
        match line:
            case {"did": "opened", "status": 200}:
                since[viewer] = line["t"]
            case {"did": "closed"}:
                since.pop(viewer, None)
            case {"did": "frame", "block": str(block)} if _ABANDONED in block and viewer in since:
                if grace is None:
                    found.append("I23 abandoned, and it was not to be")
                elif (begun := line["t"] - grace - NOTED) >= since[viewer] and _quiet(begun, line["t"], faults):
                    found.append(f"I23 abandoned, and {viewer} had watched for {line['t'] - since[viewer]:.1f} s")
    return found


def _quiet(start: float, end: float, faults: Sequence[Line]) -> bool:
    """Whether hardly anything kept viewers from being noted."""
    striking = [fault for fault in faults if not fault["kind"].startswith(("upstream_", "worker_"))]
    overlaps: list[float] = [min(end, fault["until"]) - max(start, fault["at"]) for fault in striking]
    return sum([each for each in overlaps if each > 0]) < _MOST_DISTURBED
