"""The checker itself: good histories pass, and each bad one is found for what it is."""

from collections.abc import Callable

import pytest

from tests.harness.client import Frame
from tests.proof.invariants import (
    Answered,
    Appended,
    Claimed,
    History,
    Observation,
    Read,
    Recorded,
    Rewound,
    Shown,
    frame,
    violations,
)

START = frame("5-0", "stream_start", keep_blocks=0)
OPEN = frame("5-1", "block_start", index=0, block={"type": "text", "text": ""})
ONE = frame("5-2", "text", text="one ")
TWO = frame("5-3", "text", text="two ")
NEXT = frame("9-0", "stream_start", keep_blocks=1)
AGAIN = frame("9-1", "block_start", index=0, block={"type": "text", "text": ""})
THREE = frame("9-2", "text", text="three")
END = frame("9-3", "stream_end", status="completed")
LOG = [START, OPEN, ONE, TWO, NEXT, AGAIN, THREE, END]
WITHDRAWN = [frame("6-0", "withdraw"), frame("7-0", "error", code="blocked")]
GAP = frame(None, "gap", reason="rewound")


def shown(*frames: Frame, viewer: str = "v") -> list[Observation]:
    return [Shown(viewer, each) for each in frames]


def ended(log: list[Frame] = LOG, state: str = "completed", text: str = "one two three") -> list[Observation]:
    return [Read(log), Recorded(state, text), Answered(False), Answered(True)]


GOOD: dict[str, History] = {
    "nothing at all": [],
    "a viewer from the beginning": [*shown(*LOG), *ended()],
    "attempts that claim and append in turn": [Claimed(5), Appended(5), Claimed(9), Appended(9), *ended()],
    "a log that grows": [Read(LOG[:3]), Read(LOG[:5]), *ended()],
    "a viewer that left early": [*shown(*LOG[:3]), *ended()],
    "a viewer that a restart makes discard": [
        *shown(START, OPEN, ONE, frame("9-0", "stream_start", keep_blocks=0), AGAIN, THREE),
        Read([START, OPEN, ONE, frame("9-0", "stream_start", keep_blocks=0), AGAIN, THREE]),
    ],
    "a late joiner with a snapshot": [
        *shown(
            frame("5-3", "snapshot", text="one two ", content=[{"type": "text", "text": "one two "}], open=0),
            *LOG[4:],
        ),
        *ended(),
    ],
    "a viewer that was told of a gap": [*shown(*LOG[:4], GAP, *LOG), *ended()],
    "a queued place before the beginning": [*shown(frame(None, "queued", position=0), *LOG), *ended()],
    "a tail that was lost and written again": [
        *shown(*LOG[:4]), Rewound(), Read(LOG[:2]), Read(LOG[:4]), *shown(*LOG[4:]), *ended()
    ],
    "a tail that was lost, and another attempt": [
        *shown(START, OPEN, ONE), Rewound(), Read([START]), *shown(GAP, START, frame("7-0", "error", code="x")),
        Read([START, frame("7-0", "error", code="x")]), Recorded("failed", ""),
    ],
    "a log that is withdrawn": [
        *shown(*LOG[:4]), Read(LOG[:4]), Read(WITHDRAWN), *shown(*WITHDRAWN), *shown(*WITHDRAWN, viewer="w"),
        Read(WITHDRAWN), Recorded("failed", ""),
    ],
    "a failure without any call": [Read([frame("5-0", "error", code="x")]), Recorded("failed", "")],
}  # fmt: skip

BAD: dict[str, tuple[str, History]] = {
    "a hole before a viewer's frame": ("I1", [*shown(START, OPEN, TWO), *ended()]),
    "a viewer that began in the middle": ("I1", [*shown(ONE, TWO), *ended()]),
    "a viewer with two attempts spliced": ("I1", [*shown(START, OPEN, ONE, AGAIN, THREE), *ended()]),
    "a viewer that was not told of a rewind": ("I1", [*shown(START, OPEN, frame("5-9", "text", text="!")), *ended()]),
    "a snapshot that is not the log's": (
        "I1",
        [*shown(frame("5-3", "snapshot", text="", content=[{"type": "text", "text": "one"}], open=0)), *ended()],
    ),
    "a record with less than the log": ("I1", ended(text="one two")),
    "an event that came twice": ("I2", [*shown(START, OPEN, ONE, ONE), *ended()]),
    "events out of order": ("I2", [*shown(START, ONE, OPEN), *ended()]),
    "an end that repeats the beginning": ("I2", [*shown(*LOG, START), *ended()]),
    "a hole in the log": ("I3", [Read([START, ONE])]),
    "a log without its head": ("I3", [Read([OPEN, ONE])]),
    "an attempt that begins at 1": ("I3", [Read([*LOG[:4], AGAIN])]),
    "a log that runs backwards": ("I3", [Read([NEXT, START])]),
    "two ends": ("I4", [Read([*LOG, frame("10-0", "error", code="x")])]),
    "an end in the middle": ("I4", [Read([START, frame("5-1", "stream_end", status="completed"), ONE])]),
    "a record that says something else": ("I4", ended(state="cancelled")),
    "a record that ended without the log": ("I4", ended(log=LOG[:-1])),
    "a log that ended without the record": ("I4", ended(state="running")),
    "something appended behind the end": ("I5", [Read(LOG), Read([*LOG, frame("10-0", "text", text="!")])]),
    "an end that went away by itself": ("I5", [Read(LOG), Read(LOG[:-1])]),
    "a paused worker that wrote after its successor's claim": ("I6", [Claimed(5), Claimed(9), Appended(5)]),
    "an entry that came in before others": ("I6", [Read([*LOG[:3], *LOG[4:]]), Read(LOG)]),
    "an id with other bytes in the log": ("I7", [Read([START]), Rewound(), Read([frame("5-0", "stream_start")])]),
    "an id with other bytes for two viewers": (
        "I7",
        [*shown(START, OPEN, ONE), *shown(START, OPEN, frame("5-2", "text", text="other"), viewer="w"), *ended()],
    ),
    "a text behind its withdrawal": ("I20", [*shown(*LOG[:4], WITHDRAWN[0], ONE), Read(WITHDRAWN)]),
    "a withdrawn text in the log": ("I20", [Read([WITHDRAWN[0], frame("6-1", "text", text="!"), WITHDRAWN[1]])]),
    "a withdrawn text in the record": ("I20", [Read(WITHDRAWN), Recorded("failed", "one")]),
    "completed, by an answer that was cut": (
        "I8",
        [Read(LOG), Recorded("completed", "one two three"), Answered(False), Answered(False)],
    ),
}


def _ids(name: object) -> str:
    return name.replace(" ", "-") if isinstance(name, str) else ""


@pytest.mark.parametrize("name", GOOD, ids=_ids)
def test_a_good_history_passes(name: str) -> None:
    assert violations(GOOD[name]) == []


@pytest.mark.parametrize("name", BAD, ids=_ids)
def test_a_bad_history_is_found(name: str) -> None:
    invariant, history = BAD[name]
    assert invariant in {found.split()[0] for found in violations(history)}


def test_every_invariant_has_a_bad_history() -> None:
    assert {invariant for invariant, _ in BAD.values()} == {*(f"I{number}" for number in range(1, 9)), "I20"}


_MUTATIONS: dict[str, Callable[[list[Frame]], list[Frame]]] = {
    "lost": lambda log: log[:3] + log[4:],
    "twice": lambda log: log[:3] + log[2:],
    "swapped": lambda log: [*log[:2], log[3], log[2], *log[4:]],
    "changed": lambda log: [*log[:2], frame("5-2", "text", text="uno "), *log[3:]],
}


@pytest.mark.parametrize("mutation", _MUTATIONS)
def test_a_viewer_whose_copy_is_not_exact_is_always_found(mutation: str) -> None:
    assert violations([*shown(*_MUTATIONS[mutation](LOG)), *ended()])
