"""I26: who may see a generation sees it, and who may not any more is shown nothing of it. Pure.

A guest has a key or a view link of its own, which ends in the middle. An API hears of that within a second, or six where the
store's word is lost; while the store is away from it, or it is stopped, it does not.
"""

import math
from collections.abc import Iterator, Sequence

from tests.harness.client import Frame
from tests.proof.chaos.history import Line
from tests.proof.chaos.promises import DISTURBED_FOR, taken_back
from tests.proof.chaos.streams import frames
from tests.proof.invariants import text_of

BARRED_WITHIN = 6.0 + 1.5
"""Seconds in which nothing else went wrong."""
_WITHHELD = ("thinking", "tool_input", "tool_start", "tool_progress", "tool_end", "waiting")
_CONNECTION = ("closed", "gap", "drain", "queued")


def wrong(lines: Sequence[Line], faults: Sequence[Line], rewinds: Sequence[Line]) -> list[str]:
    """Of one generation."""
    barred = {line["viewer"]: line for line in lines if line["did"] == "barred"}
    found = []
    for viewer, line in barred.items():
        if line["how"] == "revoked" and taken_back(line["asked"], line["t"], rewinds):
            continue
        seen = [each for each in lines if each.get("viewer") == viewer]
        found += [
            f"I26 {viewer} {said}, and it was {line['how']} {after:.1f} s before"
            for said, after in _late(seen, line, faults)
        ]
    return found + _redacted(lines)


def _late(seen: Sequence[Line], barred: Line, faults: Sequence[Line]) -> Iterator[tuple[str, float]]:
    """What was still shown to one guest, or opened for it."""
    for line in seen:
        if quiet(barred["at"], line["t"], faults) <= BARRED_WITHIN:
            continue
        match line:
            case {"did": "frame" | "redacted", "block": str(block)} if any(
                f.type not in _CONNECTION for f in frames([block])
            ):
                yield f"was shown {block[:80]!r}", line["t"] - barred["at"]
            case {"did": "opened", "status": 200}:
                yield "was let in", line["t"] - barred["at"]
            case {"did": "closed", "how": str(how)} if how != "left":
                yield "was connected until now", line["t"] - barred["at"]


def quiet(start: float, end: float, faults: Sequence[Line]) -> float:
    """How many seconds of these had no fault at an API or the store, nor one that had just been."""
    spans = sorted(
        (max(start, fault["at"]), min(end, fault["until"] + DISTURBED_FOR))
        for fault in faults
        if fault["kind"].startswith(DISTURBING)
    )
    taken, reached = 0.0, start
    for at, until in spans:
        if until > max(at, reached):
            taken += until - max(at, reached)
            reached = until
    return end - start - taken


DISTURBING = ("api_", "server_", "client_", "coordination_", "memory_", "misconf", "noreplicas")
"""Kinds of faults that keep an API from the store."""


def _redacted(lines: Sequence[Line]) -> list[str]:
    """Who has a redacted link is shown text alone, and that as it is."""
    reads = [frames(line["blocks"]) for line in lines if line["did"] == "read"]
    found = []
    for viewer in dict.fromkeys(line["viewer"] for line in lines if line["did"] == "redacted"):
        shown = frames([line["block"] for line in lines if line["did"] == "redacted" and line["viewer"] == viewer])
        found += [f"I26 {viewer} was shown {frame.data}" for frame in shown if _withheld(frame)]
        last = next((frame.id for frame in reversed(shown) if frame.id), None)
        for read in reads[-1:] if last and not any(frame.type in ("gap", "withdraw") for frame in shown) else []:
            known = [number for number, frame in enumerate(read) if frame.id == last]
            if known and text_of(shown) != text_of(read[: known[0] + 1]):
                found.append(
                    f"I26 {viewer} has {text_of(shown)!r} at {last}, the log {text_of(read[: known[0] + 1])!r}"
                )
    return found


def _withheld(frame: Frame) -> bool:
    match frame.data:
        case {"type": "block_start", "block": {"type": str(kind)}}:
            return kind not in ("text", "withheld")
        case {"type": "stream_start"}:
            return "labels" in frame.data or "external_id" in frame.data
        case {"type": "stream_end" | "error"}:
            return frame.data.get("usage") is not None or "metrics" in frame.data
    return frame.type in _WITHHELD


def left_before(lines: Sequence[Line], rewinds: Sequence[Line]) -> set[str]:
    """Guests who were barred, or had gone, before what they were shown was withdrawn, or lost by a store: nobody can tell
    them."""
    ends: dict[str, float] = {}
    for line in lines:
        if line["did"] == "barred":
            ends.setdefault(line["viewer"], line["at"])
    guests = {line["viewer"] for line in lines if line["did"] == "guest"}
    for viewer in guests - ends.keys():
        stays = [line for line in lines if line.get("viewer") == viewer and line["did"] in ("opened", "closed")]
        if stays and stays[-1].get("how") == "left":
            ends[viewer] = stays[-1]["t"]
    shown = [line for line in lines if line["did"] == "frame"]
    withdrawn = min((line["t"] for line in shown if '"type":"withdraw"' in line["block"]), default=math.inf)
    last = {line["viewer"]: line["t"] for line in shown}
    return {
        viewer
        for viewer, end in ends.items()
        if viewer in last
        and ((last[viewer] < withdrawn < math.inf and end <= withdrawn) or _lost(last[viewer], end, rewinds))
    }


def _lost(last: float, end: float, rewinds: Sequence[Line]) -> bool:
    return any(line["mark"] <= last and end <= line["t"] for line in rewinds)


def refused(lines: Sequence[Line], rewinds: Sequence[Line]) -> list[str]:
    """Of a run: keys and links that were refused while they were valid. What was made in seconds that the store has lost is
    lost too."""
    return [
        f"I26 {line['key']} of {line['tenant']} was refused while it was valid"
        for line in lines
        if (line["until"] is None or line["at"] < line["until"])
        and not taken_back(line["asked"], line["made"], rewinds)
    ]
