"""From what was written down to what it proves wrong. Pure.

Each generation's history goes to the checker of I1 to I8 (tests/proof/invariants.py); what its viewers were told beyond text
is in streams.py, what tools found in results.py, what it amounts to beside upstream's account in account.py, what concerns a
run as a whole in promises.py and limits.py. A store that came back without its latest seconds excuses what was accepted or
ended in these, if it was announced, and nothing else; one for coordination alone excuses nothing.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.proof import invariants
from tests.proof.chaos import (
    abandoned,
    access,
    account,
    erased,
    fleet,
    limited,
    limits,
    promises,
    results,
    streams,
    told,
)
from tests.proof.chaos.history import Line
from tests.proof.chaos.second import FEW
from tests.proof.chaos.setting import LIMITED


@dataclass(slots=True)
class Told:
    """All lines of one generation."""

    gen: str
    lines: list[Line] = field(default_factory=list)

    def of(self, did: str) -> list[Line]:
        return [line for line in self.lines if line["did"] == did]


def judge(lines: Sequence[Line]) -> list[str]:
    """What the history proves wrong; nothing is good news."""
    tells: dict[str, Told] = {}
    general: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if "gen" in line:
            tells.setdefault(line["gen"], Told(line["gen"])).lines.append(line)
        else:
            general[line["did"]].append(line)
    found: list[str] = []
    for each in tells.values():
        found += [f"{each.gen}: {wrong}" for wrong in generation(each, general)]
    return found + of_all(lines, general) + promises.of_the_run(general) + limits.beyond(figures(lines, timely=True))


def of_all(lines: Sequence[Line], general: dict[str, list[Line]]) -> list[str]:
    """I26, and I28 to I32: of all generations, and of all of one tenant or model, at once."""
    accepted = [line for line in lines if line["did"] == "accepted"]
    theirs = {line["id"]: line for line in reversed(accepted) if line.get("tenant") == LIMITED}  # each as it was first
    records = [line["record"] for line in lines if line["did"] == "record" and line["record"].get("id") in theirs]
    few = {line["gen"] for line in accepted if str(line.get("model", "")).startswith(FEW)}
    calls = [call for line in lines if line["did"] == "asked" and line["gen"] in few for call in line["calls"]]
    general["limited"] = [line for line in lines if line["did"] == "turned_away" and line["tenant"] == LIMITED]
    return [
        *access.refused(general["refused"], general["rewind"]),
        *limited.wrong(general, list(theirs.values()), records),
        *fleet.crowded(calls, general["fault"]),
        *fleet.took_turns(general["turns"]),
        *told.leaked(general["secrets"]),
        *told.audited(general, [line for line in accepted if "api" in line]),
    ]


def generation(told: Told, general: dict[str, list[Line]]) -> list[str]:
    """What is wrong with one generation."""
    rewinds = of_logs(general["rewind"])
    if erased.undone(told.lines, rewinds):
        return streams.clean_ends(told.lines)
    found = access.wrong(told.lines, general["fault"], general["rewind"])
    found += erased.wrong(told.lines, general["fault"], rewinds)
    gone = [] if told.of("erased") else told.of("gone")
    found += promises.accepted_once(told.of("accepted"), gone, rewinds)
    found += promises.ended(told.of("accepted"), told.of("record"), told.of("gone"))
    found += promises.cancelled(
        told.of("accepted"), told.of("cancelled"), told.of("record"), told.of("asked"), general["fault"], rewinds
    )
    found += abandoned.watched(told.of("accepted"), told.lines, general["fault"])
    found += promises.labelled(told.gen, told.of("accepted"), told.of("record"))
    found += promises.told_to_viewers(told.of("roll"))
    found += promises.told_by_webhook(told.of("accepted"), told.of("record"), told.of("told"), rewinds)
    found += streams.clean_ends(told.lines)
    found += streams.told_the_end(told.lines, rewinds)
    strict = any(line.get("strict") for line in told.of("accepted"))
    found += streams.gaps(told.lines, rewinds, strict=strict)
    found += results.wrong(told.lines, rewinds)
    if told.of("read"):
        found += invariants.violations(observed(told.lines, rewinds))
        found += _amount(told, general)
    return found


def of_logs(rewinds: Sequence[Line]) -> list[Line]:
    """Those that excuse anything: what coordination alone has lost is put back from the records."""
    return [line for line in rewinds if line.get("of") != "coordination"]


def _amount(told: Told, general: dict[str, list[Line]]) -> list[str]:
    """I14 to I16, I25. Upstream cannot tell two generations apart that one submit has made, or a submit without a key that was
    sent again: then its account says nothing."""
    accepted, records = told.of("accepted"), told.of("record")
    if not accepted or not records or not account.is_over(records[-1]["record"]):
        return []
    first, record, log = accepted[0], records[-1]["record"], streams.frames(told.of("read")[-1]["blocks"])
    asked = [call for line in told.of("asked") for call in line["calls"]]
    alone = len({line["id"] for line in accepted}) == 1 and not any(line.get("again") for line in accepted)
    calls = asked if alone else None
    log = [frame for frame in log if frame.id is not None]
    moved = any(fault["kind"] == "server_clock" for fault in general["fault"])
    found = [*account.text(first, record, log, asked if told.of("asked") else None)]
    found += account.figures(first, record, log, calls, read=records[-1]["t"], clock_moved=moved)
    rewinds = sum(line["t"] >= first["asked"] for line in of_logs(general["rewind"]))
    found += account.fallen_back(first, record, log)
    found += fleet.lost(record, asked)
    rounds, models = first.get("rounds", 0), 2 if first.get("fallback") else 1
    return [*found, *account.attempts(record, log, calls, rewinds=rewinds, rounds=rounds, models=models)]


def figures(lines: Sequence[Line], *, timely: bool = False) -> dict[str, list[float]]:
    """What was measured, in seconds, by its name; `timely`: less what the measuring process was late itself."""
    found: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        if line["did"] == "figure":
            found[line["name"]].append(line["seconds"] - (line.get("late", 0.0) if timely else 0.0))
    return dict(found)


def observed(lines: Sequence[Line], rewinds: Sequence[Line]) -> list[invariants.Observation]:
    """The generation's history in the checker's words, in order; without guests who had left before it became another."""
    away = access.left_before(lines, rewinds)
    timed = sorted([*lines, *rewinds], key=lambda line: line.get("at", line["t"]) if "mark" in line else line["t"])
    seen: list[invariants.Observation] = []
    for line in timed:
        match line:
            case {"did": "frame", "viewer": str(viewer), "block": str(block)} if viewer not in away:
                seen += [invariants.Shown(viewer, frame) for frame in streams.frames([block])]
            case {"did": "rewind"}:
                seen.append(invariants.Rewound())
            case {"did": "read", "blocks": list(blocks)}:
                seen.append(invariants.Read([frame for frame in streams.frames(blocks) if frame.id is not None]))
            case {"did": "record", "record": {"state": str(state), "text": str(text)}}:
                seen.append(invariants.Recorded(state, text))
            case {"did": "asked", "calls": list(calls)}:
                seen += [invariants.Answered(call["closed_by"] == "server" and call["status"] == 200) for call in calls]
    return seen


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
        elif line["did"] == "erased":
            fired[f"erase_{line['how']}"] += line["status"] in (200, 202)
        elif line["did"] == "asked":
            for call in line["calls"]:
                if call["fault"]:
                    fired[f"upstream_{call['fault']}"] += 1
    return dict(fired)
