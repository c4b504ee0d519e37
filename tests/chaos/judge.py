"""From what was written down to what it proves wrong. Pure.

Each generation's history goes to the checker of I1 to I8 (tests/invariants.py); what concerns a run as a whole is in
promises.py. A store that came back without its latest second excuses what was accepted or ended in that second, if it was
announced, and nothing else.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests import invariants
from tests.chaos import promises
from tests.chaos.history import Line
from tests.client import Frame, parse
from worker.simulator.text import markdown

_CLEAN = ("stream_end", "error", "drain")


@dataclass(slots=True)
class Told:
    """All lines of one generation."""

    gen: str
    lines: list[Line] = field(default_factory=list)

    def of(self, did: str) -> list[Line]:
        return [line for line in self.lines if line["did"] == did]


def judge(lines: Sequence[Line]) -> list[str]:
    """What the history proves wrong; nothing is good news."""
    told: dict[str, Told] = {}
    general: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if "gen" in line:
            told.setdefault(line["gen"], Told(line["gen"])).lines.append(line)
        else:
            general[line["did"]].append(line)
    found: list[str] = []
    for each in told.values():
        found += [f"{each.gen}: {wrong}" for wrong in generation(each, general)]
    return found + promises.of_the_run(general)


def generation(told: Told, general: dict[str, list[Line]]) -> list[str]:
    """What is wrong with one generation."""
    rewinds = general["rewind"]
    found = promises.accepted_once(told.of("accepted"), told.of("gone"), rewinds)
    found += promises.ended(told.of("accepted"), told.of("record"), told.of("gone"))
    found += promises.cancelled(
        told.of("accepted"), told.of("cancelled"), told.of("record"), told.of("asked"), general["fault"], rewinds
    )
    found += promises.told_to_viewers(told.of("roll"))
    found += _cleanly(told)
    if not told.of("read"):
        return found
    found += invariants.violations(observed(told.lines, rewinds))
    found += _exact(told)
    return found


def observed(lines: Sequence[Line], rewinds: Sequence[Line]) -> list[invariants.Observation]:
    """The generation's history in the checker's words, in order."""
    timed = sorted([*lines, *rewinds], key=lambda line: line.get("at", line["t"]) if "mark" in line else line["t"])
    seen: list[invariants.Observation] = []
    for line in timed:
        match line:
            case {"did": "frame", "viewer": str(viewer), "block": str(block)}:
                seen += [invariants.Shown(viewer, frame) for frame in _frames([block])]
            case {"did": "rewind"}:
                seen.append(invariants.Rewound())
            case {"did": "read", "blocks": list(blocks)}:
                seen.append(invariants.Read([frame for frame in _frames(blocks) if frame.id is not None]))
            case {"did": "record", "record": {"state": str(state), "text": str(text)}}:
                seen.append(invariants.Recorded(state, text))
            case {"did": "asked", "calls": list(calls)}:
                seen += [invariants.Answered(call["closed_by"] == "server" and call["status"] == 200) for call in calls]
    return seen


def _frames(blocks: Sequence[str]) -> list[Frame]:
    return [frame for block in blocks if (frame := parse(block)) is not None]


def _cleanly(told: Told) -> list[str]:
    """A stream may end cleanly only behind the generation's end, or to send the viewer to another process."""
    found, last = [], dict[str, str]()
    for line in told.lines:
        if line["did"] == "frame":
            (frame,) = _frames([line["block"]]) or (None,)
            last[line["viewer"]] = frame.type if frame else ""
        elif line["did"] == "closed" and line["how"] == "clean" and last.get(line["viewer"]) not in _CLEAN:
            found.append(f"I1 {line['viewer']}'s stream ended cleanly after {last.get(line['viewer'])}")
    return found


def _exact(told: Told) -> list[str]:
    """What is completed has all of upstream's text, however many attempts it took."""
    accepted, records = told.of("accepted"), told.of("record")
    if not accepted or not records or records[-1]["record"]["state"] != "completed":
        return []
    text: str = records[-1]["record"]["text"]
    wanted = "".join(markdown(accepted[0]["seed"], accepted[0]["tokens"]))
    return (
        [] if text == wanted else [f"I8 completed, with {len(text)} characters that are not upstream's {len(wanted)}"]
    )


def resets(lines: Sequence[Line]) -> int:
    """How often a viewer was told that the log is not what it was."""
    reasons = ('"reason":"rewound"', '"reason":"unknown_cursor"', '"reason":"expired"')
    return sum(line["did"] == "frame" and any(reason in line["block"] for reason in reasons) for line in lines)


def counted(lines: Sequence[Line]) -> dict[str, int]:
    """How many faults of each kind struck, upstream's included."""
    fired: dict[str, int] = defaultdict(int)
    for line in lines:
        if line["did"] == "fault":
            fired[line["kind"]] += line["hits"] > 0
        elif line["did"] == "asked":
            for call in line["calls"]:
                if call["fault"]:
                    fired[f"upstream_{call['fault']}"] += 1
    return dict(fired)
