"""I31: nothing of prompts, keys and tokens is in a log, or at rest where that is sealed. I32: the audit log is whole, and tells
of what was acknowledged. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from tests.proof.chaos.history import Line

_WRITTEN_WITHIN = 1.0 + 1.5
"""Seconds in which what was noted is written; a process that is killed loses what it had not."""


def leaked(lines: Sequence[Line]) -> list[str]:
    """I31."""
    return [f"I31 there is {found}" for line in lines for found in line["found"]]


def audited(general: Mapping[str, Sequence[Line]], accepted: Sequence[Line]) -> Iterator[str]:
    """I32. A submit that an API has acknowledged is told of, unless that was killed right behind it."""
    for audit in general.get("audit", ()):
        yield from (f"I32 {fault}" for fault in audit["faults"])
        noted = set(audit["noted"].get("submit", ()))
        faults = general.get("fault", ())
        for id_ in dict.fromkeys(line["id"] for line in accepted if line["id"] not in noted):
            if not all(_killed(line, faults) for line in accepted if line["id"] == id_):
                yield f"I32 {id_} was accepted, and the audit log does not tell of it"


def _killed(accepted: Line, faults: Sequence[Line]) -> bool:
    """Whether its API was, while it had not written that; one that is stopped writes nothing."""
    own = [fault for fault in faults if fault["target"] == f"api-{accepted['api']}"]
    stopped = sum(fault["until"] - fault["at"] for fault in own if fault["kind"] == "api_pause")
    return any(
        fault["kind"] in ("api_kill", "api_term")
        and accepted["asked"] <= fault["at"] <= accepted["t"] + _WRITTEN_WITHIN + stopped
        for fault in own
    )
