"""I27: what was erased is shown to nobody, made by nobody again, and nowhere any more. Pure.

A store that came back without the seconds of the erasure may have taken it back.
"""

from collections.abc import Iterator, Sequence

from tests.proof.chaos.access import quiet
from tests.proof.chaos.history import Line
from tests.proof.chaos.promises import disturbed, taken_back
from tests.proof.chaos.streams import frames

_SHOWN_WITHIN = 2.5
"""Seconds in which an API hears of it: it asks once a second where the message is lost."""
_CLOSES_WITHIN = 2.0
_TOLD_WITHIN = 8.0
"""A webhook may be on its way, for as long as a try lasts."""
_CONNECTION = ("gap", "closed", "drain", "queued")


def acknowledged(lines: Sequence[Line], rewinds: Sequence[Line]) -> list[Line]:
    """Erasures that stand."""
    done = [line for line in lines if line["did"] == "erased" and line["status"] in (200, 202)]
    return [line for line in done if not taken_back(line["asked"], line["t"], rewinds)]


def undone(lines: Sequence[Line], rewinds: Sequence[Line]) -> bool:
    """Whether an erasure was asked for that the store may have taken back, or not been told of: then anything may be seen."""
    asked = [line for line in lines if line["did"] == "erased"]
    return bool(asked) and len(acknowledged(lines, rewinds)) < len(asked)


def wrong(lines: Sequence[Line], faults: Sequence[Line], rewinds: Sequence[Line]) -> list[str]:
    """Of one generation."""
    erased = acknowledged(lines, rewinds)
    if not erased:
        return [f"I27 {line['id']} is said to be erased, and nobody asked for it" for line in lines if _says_so(line)]
    return [f"I27 {said}" for line in erased for said in _after(lines, line, faults)]


def _says_so(line: Line) -> bool:
    return line["did"] == "gone" and line["status"] == 410 and line.get("code") == "erased"


def _after(lines: Sequence[Line], erased: Line, faults: Sequence[Line]) -> Iterator[str]:
    at, id_ = erased["t"], erased["id"]
    for line in lines:
        match line:
            case {"did": "accepted"} if line["asked"] > at and line["id"] == id_:
                yield f"a repeat was answered with 202 and {id_}, which was erased"
            case {"did": "accepted", "keyed": True} if line["asked"] > at:
                yield f"its key made {line['id']} when {id_} was erased"
            case {"did": "frame", "block": str(block)} if quiet(at, line["t"], faults) > _SHOWN_WITHIN:
                if any(frame.type not in _CONNECTION for frame in frames([block])):
                    yield f"{line['viewer']} was shown {block[:80]!r} {line['t'] - at:.1f} s later"
            case {"did": "told", "id": told} if told == id_ and line["t"] > at + _TOLD_WITHIN:
                yield "a webhook told its end"
            case {"did": "record", "record": {"id": found}} if found == id_:
                yield f"{id_} can be read"
            case {"did": "gone", "id": gone, "status": status} if gone == id_ and status != 410:
                yield f"{id_} is answered with {status}, and 410 says what it is"
            case {"did": "remains", "id": left, "places": list(places)} if left == id_:
                yield f"{id_} is still in {places}"
            case {"did": "asked", "calls": list(calls)} if not disturbed(erased["asked"], at + _CLOSES_WITHIN, faults):
                for call in calls:
                    if call["closed"] is None or call["closed"] > at + _CLOSES_WITHIN:
                        yield f"upstream was still called {_CLOSES_WITHIN} s later: {call}"
