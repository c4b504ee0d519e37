"""What each viewer was told, beyond its text: an end in the end, a clean end only there, and a gap only where something was
lost. Pure.

I1   a stream ends cleanly behind the generation's end, and only there
I12  when all is over every viewer has been told the end, or that there is no such generation any more
I17  a `gap` is told only where the store has lost something; what a `strict` generation showed of its end it never takes back
"""

import functools
from collections.abc import Iterator, Sequence

from tests.harness.client import Frame, parse
from tests.proof.chaos.history import Line

_ENDS = ("stream_end", "error")
_GONE = (404, 410)
_LOST = ("rewound", "unknown_cursor")


_parsed = functools.lru_cache(maxsize=1 << 19)(parse)
"""Each is looked at by many: nothing changes what it says."""


def frames(blocks: Sequence[str]) -> list[Frame]:
    return [frame for block in blocks if (frame := _parsed(block)) is not None]


def clean_ends(lines: Sequence[Line]) -> list[str]:
    """A stream may end cleanly only behind the generation's end, on the same connection. One that sends its viewer to another
    process (`drain`) is cut: some clients take a clean end for the generation's."""
    found, last = [], dict[str, str]()
    for line in lines:
        match line:
            case {"did": "frame" | "redacted", "viewer": str(viewer), "block": str(block)}:
                (frame,) = frames([block]) or (None,)
                last[viewer] = frame.type if frame else "nothing"
            case {"did": "closed", "viewer": str(viewer), "how": str(how)}:
                before = last.pop(viewer, "nothing")
                if how == "clean" and before not in _ENDS:
                    found.append(f"I1 {viewer}'s stream ended cleanly after {before}")
    return found


def told_the_end(lines: Sequence[Line], rewinds: Sequence[Line] = ()) -> list[str]:
    """I12. By the log that was read in the end: half of it, and keep-alives since, is not enough. Who was told that there is no
    such generation, between its loss and the submit that made it again, was told what was so."""
    reads = [line for line in lines if line["did"] == "read"]
    gone = any(line["did"] == "gone" for line in lines)
    end = next((frame.id for frame in reversed(frames(reads[-1]["blocks"]))), None) if reads else None
    found = []
    guests = {line["viewer"] for line in lines if line["did"] == "guest"}
    for viewer in dict.fromkeys(line["viewer"] for line in lines if "viewer" in line and line["viewer"] not in guests):
        seen = [line for line in lines if line.get("viewer") == viewer]
        answered = [line["status"] for line in seen if line["did"] == "opened"]
        if answered[-1:] and answered[-1] in _GONE and (gone or _was_lost(seen, lines, rewinds)):
            continue
        last = _last_id(seen)
        if gone or (reads and last != end):
            what = "that it has gone" if gone else f"the end {end}"
            found.append(f"I12 {viewer} was never told {what}: it has {last}, and was answered {answered[-3:]}")
    return found


def _was_lost(seen: Sequence[Line], lines: Sequence[Line], rewinds: Sequence[Line]) -> bool:
    """Whether the generation was not there when this viewer was answered last."""
    at = [line["t"] for line in seen if line["did"] == "opened"][-1]
    first, *again = [line for line in lines if line["did"] == "accepted"]
    lost = [each for each in rewinds if each["mark"] <= first["t"] and each["at"] <= at]
    return bool(lost) and any(lost[0]["at"] <= line["t"] and at <= line["t"] for line in again)


def _last_id(seen: Sequence[Line]) -> str | None:
    last = None
    for frame in frames([line["block"] for line in seen if line["did"] == "frame"]):
        last = None if frame.type == "gap" else frame.id or last
    return last


def gaps(lines: Sequence[Line], rewinds: Sequence[Line], *, strict: bool) -> list[str]:
    """I17. The store must have come back before, without what it had taken before the viewer got its last entry; if it lost
    all of the generation, that may be told as `expired`. What a strict generation has shown of its end was on disk: only a
    store that lost more than its disk excuses it."""
    gone = any(line["did"] == "gone" for line in lines)
    erased = min((line["asked"] for line in lines if line["did"] == "erased"), default=None)
    lines = [line for line in lines if erased is None or line["t"] < erased or not _tells_erased(line)]
    return [
        found
        for viewer in dict.fromkeys(line["viewer"] for line in lines if line["did"] == "frame")
        for found in _gaps(viewer, [line for line in lines if line.get("viewer") == viewer], rewinds, strict, gone)
    ]


def _tells_erased(line: Line) -> bool:
    return line["did"] == "frame" and any(frame.data.get("reason") == "erased" for frame in frames([line["block"]]))


def _gaps(viewer: str, seen: Sequence[Line], rewinds: Sequence[Line], strict: bool, gone: bool) -> Iterator[str]:
    since, ended = seen[0]["t"], False
    for line in seen:
        if line["did"] != "frame" or not (framed := frames([line["block"]])):
            continue
        (frame,) = framed
        if frame.type == "gap":
            lost = [each for each in rewinds if each["mark"] <= since and each["at"] <= line["t"]]
            reason = frame.data.get("reason")
            if reason not in (*_LOST, *(["expired"] if gone else [])) or not lost:
                yield f"I17 {viewer} was told of a gap ({reason}) where nothing that it had was lost"
            elif strict and ended and all(each.get("synced") for each in lost):
                yield f"I17 {viewer} was shown a strict end that was not on disk"
        elif frame.id is not None:
            since, ended = line["t"], ended or frame.type in _ENDS
