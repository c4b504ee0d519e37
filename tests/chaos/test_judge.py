"""The judge: a good history is acquitted, and each promise that a history breaks is named."""

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.chaos.__main__ import main
from tests.chaos.deck import Deck
from tests.chaos.history import FILE, Line, Recorder, read
from tests.chaos.judge import judge
from tests.chaos.summary import Totals
from worker.simulator.text import markdown

SEED, TOKENS = 7, 6
TEXTS = list(markdown(SEED, TOKENS))
VIEWER = "g-1/0-steady"
_HELD = {"name": "api-0", "descriptors": 20, "threads": 3, "kib": 60_000, "viewers": 0}

History = list[Line]
Spoil = Callable[[History], None]


def block(id_: str | None, type_: str, **fields: Any) -> str:
    data = "data: " + orjson.dumps({"type": type_, **fields}).decode()
    return data if id_ is None else f"{data}\nid: {id_}"


def log(attempt: int = 100) -> list[str]:
    """A completed generation's, in one attempt."""
    body = [
        block("", "stream_start", keep_blocks=0, attempt=1),
        block("", "block_start", index=0, block={"type": "text", "text": ""}),
        *(block("", "text", text=text) for text in TEXTS),
        block("", "block_stop", index=0),
        block("", "stream_end", status="completed"),
    ]
    return [f"{each}{attempt}-{seq}" for seq, each in enumerate(body)]


def call(**fields: Any) -> dict[str, Any]:
    return {"at": 11.0, "closed": 13.0, "status": 200, "fault": None, "closed_by": "server"} | fields


def good() -> History:
    record = {"state": "completed", "text": "".join(TEXTS), "attempt": 1}
    about: History = [
        {"t": 10.0, "did": "accepted", "id": "gen_a", "asked": 9.9, "seed": SEED, "tokens": TOKENS},
        {"t": 10.1, "did": "opened", "viewer": VIEWER, "status": 200, "cursor": None},
        *({"t": 12.0, "did": "frame", "viewer": VIEWER, "block": each} for each in log()),
        {"t": 13.0, "did": "closed", "viewer": VIEWER, "how": "clean"},
        {"t": 60.0, "did": "record", "record": record},
        {"t": 60.1, "did": "read", "api": 0, "blocks": log()},
        {"t": 60.2, "did": "read", "api": 1, "blocks": log()},
        {"t": 60.3, "did": "asked", "calls": [call()]},
    ]
    run: History = [
        {"t": 5.0, "did": "process", "when": "beginning", **_HELD},
        {"t": 70.0, "did": "keys", "eternal": [], "left": {}},
        {"t": 70.0, "did": "process", "when": "end", **_HELD},
    ]
    return [{"gen": "g-1", **line} for line in about] + run


def of(history: History, did: str) -> list[Line]:
    return [line for line in history if line["did"] == did]


def cancelled(history: History, *, asked: float, closed: float, attempt: int = 1) -> None:
    """The generation was cancelled at `asked`, and upstream's socket closed at `closed`."""
    history.append({"t": asked + 0.1, "did": "cancelled", "gen": "g-1", "status": 202, "asked": asked})
    (record,), (calls,) = of(history, "record"), of(history, "asked")
    record["record"] |= {"state": "cancelled", "attempt": attempt}
    calls["calls"] = [call(closed=closed, closed_by="client")]
    for line in of(history, "read"):
        line["blocks"][-1] = block("100-9", "stream_end", status="cancelled")
    of(history, "frame")[-1]["block"] = block("100-9", "stream_end", status="cancelled")


def add(**line: Any) -> Spoil:
    return lambda history: history.append({"t": 65.0, **line})


def change(did: str, at: int, **fields: Any) -> Spoil:
    return lambda history: of(history, did)[at].update(fields)


def drop(did: str, at: int) -> Spoil:
    return lambda history: history.remove(of(history, did)[at])


def _other_text(history: History) -> None:
    of(history, "record")[0]["record"] |= {"text": "".join(TEXTS) + "!"}


def _state(state: str) -> Spoil:
    return lambda history: of(history, "record")[0]["record"].update(state=state)


def _hole_in_the_log(history: History) -> None:
    for line in of(history, "read"):
        del line["blocks"][4]


def _repeated(history: History) -> None:
    history.insert(history.index(of(history, "frame")[5]) + 1, dict(of(history, "frame")[4]))


BAD: dict[str, tuple[str, Spoil]] = {
    "a viewer lacks an entry": ("I1", drop("frame", 4)),
    "a stream ends cleanly before the end": ("I1", drop("frame", -1)),
    "the record has other text than the log": ("I1", _other_text),
    "an entry is shown twice": ("I2", _repeated),
    "the log has a hole": ("I3", _hole_in_the_log),
    "the record says another end": ("I4", _state("failed")),
    "the log grows after its end": ("I5", change("read", 1, blocks=[*log(), block("100-10", "text", text="x")])),
    "an attempt writes before what is there": ("I6", change("read", 1, blocks=[log(90)[0], *log()])),
    "an id is shown with other bytes": ("I7", change("frame", 4, block=block("100-4", "text", text="other"))),
    "completed without message_stop": ("I8", change("asked", 0, calls=[call(closed_by="client")])),
    "completed with less than upstream's text": ("I8", change("accepted", 0, tokens=TOKENS + 1)),
    "accepted and never ended": ("I9", _state("running")),
    "accepted and not there": ("I9", add(did="gone", gen="g-1", id="gen_a", status=404)),
    "accepted and nobody knows": ("I9", drop("record", 0)),
    "one key, two generations": (
        "I10", add(did="accepted", gen="g-1", id="gen_b", asked=64.0, seed=SEED, tokens=TOKENS),
    ),
    "upstream is called on after a cancel": ("I11", lambda history: cancelled(history, asked=12.0, closed=14.0)),
    "upstream is called after a cancel before the start": (
        "I11", lambda history: cancelled(history, asked=12.9, closed=13.0, attempt=0),
    ),
    "a viewer waits long after the faults": (
        "I12", add(did="roll", gen="g-1", viewer=VIEWER, state="waits", silent=11.0),
    ),
    "a key lives for ever": ("I13", change("keys", 0, eternal=["respool:gen"])),
    "a queue is not empty": ("I13", change("keys", 0, left={"respool:queue": ["gen_a:1"]})),
    "descriptors leak": ("I13", change("process", 1, descriptors=900)),
    "memory leaks": ("I13", change("process", 1, kib=900_000)),
    "connections stay": ("I13", change("process", 1, viewers=3)),
    "a process dies": ("worker-1 ended by itself", add(did="died", name="worker-1", code=1)),
    "a process does not end": (
        "worker-1 did not end",
        add(did="fault", kind="worker_term", target="worker-1", at=1.0, until=11.0, hits=1, seconds=None),
    ),
}  # fmt: skip


def test_a_good_history_proves_nothing_wrong() -> None:
    assert judge(good()) == []


@pytest.mark.parametrize("name", BAD)
def test_the_judge_catches(name: str) -> None:
    wanted, spoil = BAD[name]
    history = good()
    spoil(history)
    assert [wrong for wrong in judge(history) if wrong.removeprefix("g-1: ").startswith(wanted)]


def _rewound(history: History, *, mark: float, at: float) -> None:
    history.append({"t": at, "did": "rewind", "at": at, "mark": mark})


def test_what_was_accepted_in_a_second_that_was_taken_back_may_be_gone_and_made_anew() -> None:
    history = [line for line in good() if line["did"] == "accepted"]
    history.append({"t": 11.0, "did": "accepted", "gen": "g-1", "id": "gen_b", "asked": 10.9, "seed": 7, "tokens": 6})
    history.append({"t": 60.0, "did": "gone", "gen": "g-1", "id": "gen_a", "status": 404})
    assert judge(history)
    _rewound(history, mark=9.5, at=10.5)
    assert judge(history) == []


def test_a_viewer_who_was_ahead_of_a_rewind_must_be_told() -> None:
    history = good()
    _rewound(history, mark=11.9, at=12.5)
    later = [log()[0], *log(200)]
    for line in of(history, "read"):
        line["blocks"] = later
    seen = [line for line in history if line["did"] == "frame"]
    for line in seen[4:]:
        history.remove(line)
    closed = history.index(of(history, "closed")[0])
    silently = [{"t": 12.6, "did": "frame", "gen": "g-1", "viewer": VIEWER, "block": each} for each in log(200)]
    told = [
        {"t": 12.6, "did": "frame", "gen": "g-1", "viewer": VIEWER, "block": each}
        for each in (block(None, "gap", reason="rewound"), *later)
    ]
    assert any("I1" in wrong for wrong in judge(history[:closed] + silently + history[closed:]))
    assert judge(history[:closed] + told + history[closed:]) == []


def test_a_cancel_is_timed_only_where_nothing_else_went_wrong() -> None:
    history = good()
    cancelled(history, asked=12.0, closed=14.0)
    history.append(
        {"t": 13.0, "did": "fault", "kind": "worker_pause", "target": "w", "at": 11.0, "until": 13.0, "hits": 1}
    )
    assert judge(history) == []


def test_a_cancel_that_closes_upstream_in_time_is_fine() -> None:
    history = good()
    cancelled(history, asked=12.0, closed=12.9)
    assert judge(history) == []


def test_a_deck_deals_every_card_once_before_any_twice() -> None:
    deck = Deck(random.Random(1), "abcde")
    for _ in range(3):
        assert sorted(deck.draw() for _ in range(5)) == list("abcde")


def test_a_run_without_a_fault_that_was_asked_for_says_nothing() -> None:
    totals = Totals(["worker_pause", "server_rewind", "upstream_cut"])
    assert len(totals.missing()) == 6  # three kinds, and nothing fenced, re-appended, reset
    fault = {"t": 1.0, "did": "fault", "target": "x", "at": 1.0, "until": 1.0, "hits": 1}
    history = [*good(), *({**fault, "kind": kind} for kind in ("worker_pause", "server_rewind"))]
    of(history, "asked")[0]["calls"].append(call(fault="cut", closed_by="fault"))
    history.insert(2, {"t": 11.0, "did": "frame", "gen": "g-1", "viewer": VIEWER,
                       "block": block(None, "gap", reason="rewound")})  # fmt: skip
    logs = {"worker-0": "gen_a: attempt 1 left: fenced\ngen_a: the log's tail is back at 1-2, re-appending"}
    assert totals.add(history, logs) == []
    assert totals.missing() == []
    assert totals.seen["fenced"] == totals.seen["re-appended"] == totals.seen["resets"] == 1


def test_a_traceback_in_a_log_is_a_violation() -> None:
    log = "Traceback (most recent call last):\n  File x\nKeyError: 'x'\n"
    assert Totals([]).add(good(), {"api-0": log}) == ["api-0 met what nobody thought of: KeyError: 'x'"]


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.write("note", text="é\u2028")
    recorder.close()
    (line,) = read(tmp_path)
    assert (line["did"], line["text"]) == ("note", "é\u2028")


def test_a_history_that_was_kept_is_judged_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    history = good()
    change("asked", 0, calls=[call(closed_by="client")])(history)
    (tmp_path / FILE).write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in history))
    monkeypatch.setattr(sys, "argv", ["chaos", "--judge", str(tmp_path)])
    assert main() == 1
    assert "VIOLATION g-1: I8" in capsys.readouterr().out
