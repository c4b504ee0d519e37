"""I9 to I13, and that no process ends by itself: what concerns a run, not one log. Pure.

I9   every 202 ends within attempts × (timeout + lease)
I10  one idempotency key, one generation
I11  after a cancel is acknowledged upstream's socket closes within 1 s; cancelled before start means no upstream call
I12  after faults heal every viewer is live or closed within 10 s (and has the end at the end of all: streams.py)
I21  the end of what has a webhook is told, signed, or its record says that tries have failed
I22  labels come back as they were given
I13  descriptors, tasks, memory and Redis keys return to where they began; no key without a TTL is left behind
"""

from collections.abc import Mapping, Sequence

from tests.proof.chaos.history import Line

TAKES_BACK = 2.5
"""A store that came back has lost no more than its latest two seconds; the half is for a machine that was busy."""
CLOSES_WITHIN = 1.0
CLAIMS_WITHIN = 5.0
"""The longest that a worker may take, stopped in between, from its claim to the call that follows it."""
DISTURBED_FOR = 1.0
"""A fault still shows for so long after it is over: a process that was stopped has much to catch up with."""
_DESCRIPTORS = 140
"""Two pools of 64 connections to Redis may have been opened since, and are kept."""
_THREADS = 48
"""Idle ones: uvloop resolves names in threads, FastAPI calls plain functions in at most 40."""
_KIB = 128 * 1024


def accepted_once(accepted: Sequence[Line], gone: Sequence[Line], rewinds: Sequence[Line]) -> list[str]:
    """I10, and that what was accepted is not lost. What was first accepted in the seconds that a rewind took back may be; that
    its key was asked for again in such seconds changes nothing."""
    first = {line["id"]: line for line in reversed(accepted)}
    known = [id_ for id_, line in first.items() if not taken_back(line["asked"], line["t"], rewinds)]
    keyed = [id_ for id_ in known if first[id_].get("keyed", True)]
    found = [f"I10 one key made {keyed}"] if len(keyed) > 1 else []
    return found + [
        f"I9 {line['id']} was accepted, and then {line['status']}"
        for line in gone
        if line["id"] not in first or not taken_back(first[line["id"]]["asked"], first[line["id"]]["t"], rewinds)
    ]


def taken_back(asked: float, answered: float, rewinds: Sequence[Line]) -> bool:
    """Whether the store may have forgotten what it did in between."""
    return any(max(line["mark"], line["at"] - TAKES_BACK) <= answered and asked <= line["t"] for line in rewinds)


def ended(accepted: Sequence[Line], records: Sequence[Line], gone: Sequence[Line]) -> list[str]:
    """I9: the run has waited as long as the promise allows."""
    if not records:
        return ["I9 accepted, and nobody knows of it"] if accepted and not gone else []
    state = records[-1]["record"]["state"]
    return [] if state in ("completed", "failed", "cancelled") else [f"I9 accepted, and still {state}"]


def labelled(gen: str, accepted: Sequence[Line], records: Sequence[Line]) -> list[str]:
    """I22."""
    if not records or not any(line.get("labelled") for line in accepted):
        return []
    record = records[-1]["record"]
    came_back = [record.get(name) for name in ("labels", "external_id", "priority")]
    return [] if came_back == [{"gen": gen}, gen, "background"] else [f"I22 labels came back as {came_back}"]


def cancelled(
    accepted: Sequence[Line], cancels: Sequence[Line], records: Sequence[Line], asked: Sequence[Line], faults: Sequence[Line],
    rewinds: Sequence[Line],
) -> list[str]:  # fmt: skip
    """I11. Judged by the second where nothing else went wrong: whoever is stopped or cut off cannot hear of a cancel.
    A call whose claim, or a cancel that the store has forgotten proves nothing; nor do calls of two generations that one key
    made, as upstream cannot tell them apart."""
    if len({line["id"] for line in accepted}) > 1:
        return []
    calls = asked[-1]["calls"] if asked else []
    record = records[-1]["record"] if records else None
    found = []
    if record and record["state"] == "cancelled" and record["attempt"] == 0:
        early = [call for call in calls if not taken_back(call["at"] - CLAIMS_WITHIN, call["at"], rewinds)]
        found += [f"I11 upstream was called for what was cancelled before its start: {call}" for call in early]
    for cancel in cancels:
        end = cancel["t"] + CLOSES_WITHIN
        if cancel["status"] not in (200, 202) or disturbed(cancel["asked"], end, faults):
            continue
        if taken_back(cancel["asked"], cancel["t"], rewinds):
            continue
        late = [call for call in calls if call["closed"] is None or call["closed"] > end]
        found += [f"I11 upstream was still called {CLOSES_WITHIN} s after the cancel: {call}" for call in late]
    return found


def disturbed(start: float, end: float, faults: Sequence[Line]) -> bool:
    """Whether a fault was going on, or had just been."""
    return any(fault["at"] <= end and start <= fault["until"] + DISTURBED_FOR for fault in faults)


def told_by_webhook(
    accepted: Sequence[Line], records: Sequence[Line], told: Sequence[Line], rewinds: Sequence[Line]
) -> list[str]:
    """I21. The end that there is was told, or the record says why not yet. Another was told only if the store may have taken
    it back since, which of a strictly durable one it may not."""
    found = [f"I21 a webhook is not signed: {line}" for line in told if not line["signed"]]
    if not accepted or not records:
        return found
    record = records[-1]["record"]
    ours = [line for line in told if line["id"] == record.get("id")]
    if not accepted[0].get("hooked"):
        return found + [f"I21 told without being asked for: {line}" for line in ours]
    end = f"{record['id']}_{record['last_event_id']}"
    strict = any(line.get("strict") for line in accepted)
    for line in ours:
        lost = any(line["t"] <= each["t"] for each in rewinds)
        if line["webhook"] != end and (strict or not lost):
            found.append(f"I21 {line['webhook']} was told, and the end is {end}")
    webhook = record.get("webhook") or {}
    took = any(line["webhook"] == end and line["status"] < 300 for line in ours)
    if webhook.get("state") == "delivered":
        return found if took else [*found, f"I21 the record says that {end} was told, and nobody has heard of it"]
    if not webhook.get("tries") or not webhook.get("last_error"):
        found.append(f"I21 {end} was not told, and the record says nothing of it: {webhook}")
    return found


def told_to_viewers(rolls: Sequence[Line]) -> list[str]:
    """I12."""
    return [f"I12 {roll['viewer']} {roll['state']}, silent for {roll['silent']} s" for roll in rolls]


def of_the_run(general: Mapping[str, Sequence[Line]]) -> list[str]:
    """I13, and processes that ended by themselves, or would not."""
    found = [f"{line['name']} ended by itself (exit {line['code']})" for line in general.get("died", ())]
    found += [
        f"{fault['target']} did not end within 10 s of SIGTERM"
        for fault in general.get("fault", ())
        if fault["kind"].endswith("_term") and fault["seconds"] is None
    ]
    for line in general.get("keys", ()):
        found += [f"I13 {key} has no TTL" for key in line["eternal"]]
        found += [f"I13 {key} still has {members}" for key, members in line["left"].items()]
    return found + _held(general.get("process", ()))


def _held(lines: Sequence[Line]) -> list[str]:
    before = {line["name"]: line for line in lines if line["when"] == "beginning"}
    found = []
    for line in lines:
        if line["when"] != "end" or "kib" not in line:
            continue
        first = before[line["name"]]
        for what, more in (("descriptors", _DESCRIPTORS), ("threads", _THREADS), ("kib", _KIB)):
            if line[what] > first[what] + more:
                found.append(f"I13 {line['name']} had {first[what]} {what}, and has {line[what]}")
        if line.get("viewers"):
            found.append(f"I13 {line['name']} still has {line['viewers']} viewers' connections")
    return found
