"""The judge: a good history is acquitted, and each promise that a history breaks is named."""

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.proof.chaos.__main__ import main
from tests.proof.chaos.deck import Deck
from tests.proof.chaos.history import FILE, Line, Recorder, read
from tests.proof.chaos.judge import judge
from tests.proof.chaos.summary import Totals
from worker.simulator.text import markdown

SEED, TOKENS = 7, 6
TEXTS = list(markdown(SEED, TOKENS))
VIEWER = "g-1/0-steady"
USAGE = {"input_tokens": 40, "output_tokens": TOKENS}
FIGURES: dict[str, Any] = {
    "usage": USAGE, "ttft_ms": 100, "total_ms": 2000, "metrics": {"queue_ms": 20}, "chunks": TOKENS,
}  # fmt: skip
END: dict[str, Any] = {"status": "completed", "stop_reason": "end_turn", **FIGURES}
ERROR: dict[str, Any] = {"code": "upstream_error", "message": "No.", "retryable": True, "partial": True}
_HELD = {"name": "api-0", "descriptors": 20, "threads": 3, "kib": 60_000, "viewers": 0}

History = list[Line]
Spoil = Callable[[History], None]


def block(id_: str | None, type_: str, **fields: Any) -> str:
    data = "data: " + orjson.dumps({"type": type_, **fields}).decode()
    return data if id_ is None else f"{data}\nid: {id_}"


def log(attempt: int = 100, ordinal: int = 1) -> list[str]:
    """A completed generation's, in one attempt."""
    body = [
        block("", "stream_start", keep_blocks=0, attempt=ordinal),
        block("", "block_start", index=0, block={"type": "text", "text": ""}),
        *(block("", "text", text=text) for text in TEXTS),
        block("", "block_stop", index=0),
        block("", "stream_end", **END),
    ]
    return [f"{each}{attempt}-{seq}" for seq, each in enumerate(body)]


def call(**fields: Any) -> dict[str, Any]:
    about = {"at": 11.0, "closed": 13.0, "status": 200, "fault": None, "closed_by": "server"}
    return {**about, "continued": None, "tokens": TOKENS, "input": 40} | fields


def good() -> History:
    times = {"created_at_ms": 0, "started_at_ms": 50, "first_token_at_ms": 100, "finished_at_ms": 2000}
    record = {"state": "completed", "text": "".join(TEXTS), "attempt": 1, "error": None, "stop_reason": "end_turn"}
    record |= {**FIGURES, **times}
    about: History = [
        {"t": 10.0, "did": "accepted", "id": "gen_a", "asked": 9.9, "seed": SEED, "tokens": TOKENS},
        {"t": 10.1, "did": "watches", "viewer": VIEWER},
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
    usage = {"input_tokens": 40, "output_tokens": 1}
    record["record"] |= {"state": "cancelled", "attempt": attempt, "stop_reason": None, "usage": usage}
    calls["calls"] = [call(closed=closed, closed_by="client")]
    _ends_with(history, block("100-9", "stream_end", **FIGURES | {"status": "cancelled", "usage": usage}))


def failed(history: History) -> None:
    """The generation failed behind its last token."""
    usage = {"input_tokens": 40, "output_tokens": 1, "wasted": {"input_tokens": 40, "output_tokens": 1}}
    of(history, "record")[0]["record"] |= {"state": "failed", "error": ERROR, "stop_reason": None, "usage": usage}
    of(history, "asked")[0]["calls"] = [call(closed_by="fault")]
    _ends_with(history, block("100-9", "error", **ERROR, **FIGURES | {"usage": usage}))


def _failed_and(spoil: Callable[[dict[str, Any]], object]) -> Spoil:
    def both(history: History) -> None:
        failed(history)
        spoil(of(history, "record")[0]["record"])

    return both


def _not_there(history: History) -> None:
    failed(history)
    of(history, "accepted")[0]["fallback"] = "sim-chat"
    of(history, "record")[0]["record"]["error"] = ERROR | {"code": "upstream_not_found"}


def _answered_by_the_first(history: History) -> None:
    of(history, "accepted")[0]["fallback"] = "sim-chat"
    of(history, "record")[0]["record"]["metrics"] = {"answered_by": "sim-1"}


def _ends_with(history: History, end: str) -> None:
    for line in of(history, "read"):
        line["blocks"][-1] = end
    of(history, "frame")[-1]["block"] = end


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


def _says(text: str, state: Spoil) -> Spoil:
    """Log, record and viewer agree on what upstream never said."""

    def spoil(history: History) -> None:
        state(history)
        for line in of(history, "read"):
            line["blocks"][2] = block("100-2", "text", text=text)
        of(history, "frame")[2]["block"] = block("100-2", "text", text=text)
        of(history, "record")[0]["record"]["text"] = "".join([text, *TEXTS[1:]])

    return spoil


def _another_error(history: History) -> None:
    failed(history)
    of(history, "record")[0]["record"]["error"] = {**ERROR, "code": "upstream_overloaded"}


def _says_more_than_was_sent(history: History) -> None:
    failed(history)
    of(history, "asked")[0]["calls"] = [call(closed_by="fault", tokens=TOKENS - 2)]


def _figure(**figures: Any) -> Spoil:
    """Record and end agree on nonsense."""

    def spoil(history: History) -> None:
        of(history, "record")[0]["record"].update(figures)
        _ends_with(history, block("100-9", "stream_end", **END | figures))

    return spoil


def _half(history: History) -> None:
    """And then only keep-alives."""
    for line in of(history, "frame")[5:]:
        history.remove(line)
    history.remove(of(history, "closed")[0])


def _nothing(history: History) -> None:
    for line in of(history, "frame"):
        history.remove(line)
    history.remove(of(history, "closed")[0])


def _never_answered(history: History) -> None:
    _nothing(history)
    history.remove(of(history, "opened")[0])


def _gap(at: float, reason: str, *, replayed: bool = True) -> Spoil:
    """The viewer is told of a gap behind its fourth entry, and gets everything anew."""

    def spoil(history: History) -> None:
        seen = of(history, "frame")
        place = history.index(seen[3]) + 1
        for line in seen[4:]:
            history.remove(line)
        again = [block(None, "gap", reason=reason), *(log() if replayed else [])]
        history[place:place] = [{**seen[0], "t": at, "block": each} for each in again]

    return spoil


def _gap_as_last_word(history: History) -> None:
    _gap(12.5, "rewound", replayed=False)(history)
    history.remove(of(history, "closed")[0])
    _rewound(history, mark=11.9, at=12.2)


def _gap_after_an_old_rewind(history: History) -> None:
    _gap(12.5, "rewound")(history)
    _rewound(history, mark=12.1, at=12.2)


def _strict_end_taken_back(history: History) -> None:
    of(history, "accepted")[0]["strict"] = True
    _figure(durability="strict")(history)
    del of(history, "record")[0]["record"]["durability"]
    last = of(history, "frame")[-1]
    place = history.index(last) + 1
    again = [block(None, "gap", reason="rewound"), *log()[:-1], last["block"]]
    history[place:place] = [{**last, "t": 12.5, "block": each} for each in again]
    _rewound(history, mark=11.9, at=12.2, synced=True)


def _clean_behind_drain(history: History) -> None:
    place = history.index(of(history, "frame")[4])
    about = {"t": 12.0, "gen": "g-1", "viewer": VIEWER}
    history[place:place] = [
        {**about, "did": "frame", "block": block(None, "drain") + "\nretry: 900"},
        {**about, "did": "closed", "how": "clean"},
        {**about, "did": "opened", "status": 200, "cursor": "100-3"},
    ]


def _clean_without_a_word(history: History) -> None:
    about = {"t": 13.1, "gen": "g-1", "viewer": VIEWER}
    history += [
        {**about, "did": "opened", "status": 200, "cursor": "100-9"},
        {**about, "did": "closed", "how": "clean"},
    ]


def _gone_though_old(history: History) -> None:
    """Accepted long before a rewind; its key was asked for again just before it."""
    for did in ("record", "read", "asked", "frame", "closed"):
        for line in of(history, did):
            history.remove(line)
    again = {**of(history, "accepted")[0], "t": 30.1, "asked": 30.0}
    gone = {"t": 60.0, "did": "gone", "gen": "g-1", "id": "gen_a", "status": 404}
    history += [again, gone, {**of(history, "opened")[0], "t": 59.0, "status": 404}]
    _rewound(history, mark=29.5, at=30.5)


def _gone_behind_a_deep_rewind(history: History) -> None:
    _gone_though_old(history)
    of(history, "rewind")[0]["mark"] = 9.5


def _made_anew_since_coordination_was_rewound(history: History) -> None:
    history.append({**of(history, "accepted")[0], "t": 11.0, "id": "gen_b", "asked": 10.9})
    _rewound(history, mark=9.5, at=10.5, of="coordination")


def _many_attempts(count: int) -> Spoil:
    """All but the last broke off before their first token."""

    def spoil(history: History) -> None:
        starts = [block(f"{at}-0", "stream_start", keep_blocks=0, attempt=at) for at in range(1, count)]
        last = log(ordinal=count)
        for line in of(history, "read"):
            line["blocks"] = [*starts, *last]
        of(history, "record")[0]["record"]["attempt"] = count
        seen = of(history, "frame")
        place = history.index(seen[0])
        for line in seen:
            history.remove(line)
        history[place:place] = [{**seen[0], "block": each} for each in [*starts, *last]]

    return spoil


def _many_calls(history: History) -> None:
    _many_attempts(8)(history)
    of(history, "asked")[0]["calls"] = [*(call(status=529, closed_by="fault", tokens=0) for _ in range(39)), call()]


def _slow(name: str, *samples: float) -> Spoil:
    return lambda history: history.extend(
        {"t": 50.0, "did": "figure", "name": name, "seconds": seconds} for seconds in samples
    )


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
    "labels do not come back": ("I22", change("accepted", 0, labelled=True)),
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
    "a viewer gets half, and then keep-alives": ("I12", _half),
    "a viewer gets nothing but keep-alives": ("I12", _nothing),
    "a viewer is never answered": ("I12", _never_answered),
    "a gap is the last word": ("I12", _gap_as_last_word),
    "a gap where nothing was lost": ("I17", _gap(12.5, "rewound")),
    "a gap where what was lost came later": ("I17", _gap_after_an_old_rewind),
    "a gap for a cursor of one's own": ("I17", _gap(12.5, "bad_cursor")),
    "a gap as if it had expired": ("I17", _gap(12.5, "expired")),
    "a strict end that was not on disk": ("I17", _strict_end_taken_back),
    "a stream ends cleanly behind drain": ("I1", _clean_behind_drain),
    "a stream ends cleanly without a word": ("I1", _clean_without_a_word),
    "failed with other text": ("I14", _says("other", failed)),
    "failed with more than was sent": ("I14", _says_more_than_was_sent),
    "cancelled with other text": ("I14", _says("other", lambda history: cancelled(history, asked=12.0, closed=12.5))),
    "usage is negative": ("I15", _figure(usage={"input_tokens": -1, "output_tokens": TOKENS})),
    "usage is more than was told": ("I15", _figure(usage={"input_tokens": 40, "output_tokens": TOKENS + 1})),
    "usage is less than was told": ("I15", _figure(usage={"input_tokens": 40, "output_tokens": 1})),
    "more was wasted than used": ("I15", _figure(usage={**USAGE, "wasted": {"input_tokens": 41}})),
    "of what failed not all was wasted": ("I15", _failed_and(lambda record: record["usage"]["wasted"].update(output_tokens=0))),
    "what failed has wasted nothing": ("I15", _failed_and(lambda record: record["usage"].pop("wasted"))),
    "failed for want of a model, and another was there": ("I25", _not_there),
    "answered by a model that is not there": ("I25", _answered_by_the_first),
    "chunks are not those of the log": ("I15", _figure(chunks=TOKENS + 1)),
    "chunks are negative": ("I15", _figure(chunks=-1)),
    "the first token came before the submit": ("I15", _figure(ttft_ms=-5)),
    "the first token came behind the end": ("I15", _figure(ttft_ms=2001)),
    "the end came before the submit": ("I15", _figure(total_ms=-1, ttft_ms=None)),
    "it took longer than the run": ("I15", _figure(total_ms=600_000)),
    "the record has other figures than the end": (
        "I15", lambda history: of(history, "record")[0]["record"].update(chunks=TOKENS - 1),
    ),
    "the record has another error than the end": ("I15", _another_error),
    "a text that the guardrail refuses": ("I20", lambda history: of(history, "accepted")[0].update(seed=8)),
    "50 attempts": ("I16", _many_attempts(50)),
    "the record has more attempts than the log": (
        "I16", lambda history: of(history, "record")[0]["record"].update(attempt=2),
    ),
    "40 calls of upstream": ("I16", _many_calls),
    "half of the viewers hear late of a death": ("I18", _slow("death_told", 1.0, 3.1, 3.2)),
    "one viewer hears very late of a death": ("I18", _slow("death_told", 1.0, 1.0, 1.0, 5.1)),
    "a hand-over is slow": ("I18", _slow("hand_over", 0.1, 0.1, 0.1, 3.1)),
    "a restart is slow": ("I18", _slow("restart_streaming", 2.1)),
    "accepted long ago, and gone since a rewind": ("I9", _gone_though_old),
    "accepted long ago, and a rewind took more than its seconds": ("I9", _gone_behind_a_deep_rewind),
    "a key made two since coordination alone was rewound": ("I10", _made_anew_since_coordination_was_rewound),
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


def _rewound(history: History, *, mark: float, at: float, **more: Any) -> None:
    history.append({"t": at, "did": "rewind", "at": at, "mark": mark, **more})


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
    later = [log()[0], *log(200, 2)]
    of(history, "record")[0]["record"]["attempt"] = 2
    for line in of(history, "read"):
        line["blocks"] = later
    seen = [line for line in history if line["did"] == "frame"]
    for line in seen[4:]:
        history.remove(line)
    closed = history.index(of(history, "closed")[0])
    silently = [{"t": 12.6, "did": "frame", "gen": "g-1", "viewer": VIEWER, "block": each} for each in log(200, 2)]
    told = [
        {"t": 12.6, "did": "frame", "gen": "g-1", "viewer": VIEWER, "block": each}
        for each in (block(None, "gap", reason="rewound"), *later)
    ]
    assert any("I1" in wrong for wrong in judge(history[:closed] + silently + history[closed:]))
    assert judge(history[:closed] + told + history[closed:]) == []


def test_a_fallback_may_be_asked_as_often_as_the_first_and_may_not_be_there_either() -> None:
    history = good()
    failed(history)
    assert judge(history) == []
    refused = [call(status=404, fault="404", closed_by="fault", tokens=0), *of(history, "asked")[0]["calls"] * 4]
    of(history, "asked")[0]["calls"] = refused
    assert any("I16" in wrong for wrong in judge(history))
    of(history, "accepted")[0]["fallback"] = "sim-chat"
    told = block("100-1", "retrying", code="upstream_not_found", tries=1, delay_ms=0, model="sim-chat")
    for line in of(history, "read"):
        line["blocks"][:] = _behind_the_start(line["blocks"], told)
    frames = of(history, "frame")
    for frame, each in zip(frames, _behind_the_start([frame["block"] for frame in frames], told), strict=False):
        frame["block"] = each
    history.insert(history.index(frames[-1]) + 1, frames[-1] | {"block": of(history, "read")[0]["blocks"][-1]})
    error = ERROR | {"code": "upstream_not_found"}
    record = of(history, "record")[0]["record"]
    record["error"] = error
    figures = FIGURES | {"usage": record["usage"]}
    _ends_with(history, block("100-10", "error", **error, **figures))
    assert judge(history) == []


def _behind_the_start(blocks: list[str], told: str) -> list[str]:
    """The same log, with one entry more behind its first."""
    first, *others = blocks
    later = [each.rpartition("-") for each in others]
    return [first, told, *(f"{before}-{int(seq) + 1}" for before, _, seq in later)]


def abandoned(history: History, *, opened: float, shown: float, after: float | None = 1.0) -> None:
    """The generation ended so, and a viewer that was there since `opened` was told."""
    cancelled(history, asked=12.0, closed=12.5)
    of(history, "accepted")[0]["abandon_after"] = after
    of(history, "opened")[0]["t"] = opened
    end = {**FIGURES, "status": "cancelled", "usage": {"input_tokens": 40, "output_tokens": 1}}
    _ends_with(history, block("100-9", "stream_end", **end, reason="abandoned"))
    of(history, "frame")[-1]["t"] = shown


@pytest.mark.parametrize(
    ("opened", "after", "kind", "wrong"),
    [(10.1, 1.0, "upstream_cut", True), (10.1, 1.0, "api_pause", False), (16.0, 1.0, "upstream_cut", False),
     (10.1, None, "upstream_cut", True)],
)  # fmt: skip
def test_nothing_is_abandoned_while_a_viewer_is_connected(
    opened: float, after: float | None, kind: str, wrong: bool
) -> None:
    history = good()
    abandoned(history, opened=opened, shown=17.0, after=after)
    history.append({"t": 16.0, "did": "fault", "kind": kind, "target": "x", "at": 12.5, "until": 16.0, "hits": 1})
    assert any("I23" in each for each in judge(history)) is wrong


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


def hooked(history: History, **told: Any) -> None:
    """Its end was told by a webhook, and taken."""
    of(history, "accepted")[0]["hooked"] = True
    record = of(history, "record")[0]["record"]
    record |= {"id": "gen_1", "last_event_id": "100-9"}
    record["webhook"] = {"state": "delivered", "tries": 1, "last_status": 204, "last_error": None}
    line = {"t": 13.5, "did": "told", "gen": "g-1", "id": "gen_1", "state": "completed", "webhook": "gen_1_100-9",
            "signed": True, "status": 204}  # fmt: skip
    history.append(line | told)


def test_an_end_that_was_told_is_fine_and_one_whose_tries_have_failed_if_the_record_says_so() -> None:
    history = good()
    hooked(history)
    assert judge(history) == []
    failed = good()
    hooked(failed, status=503)
    webhook = {"state": "pending", "tries": 1, "last_status": 503, "last_error": "refused"}
    of(failed, "record")[0]["record"]["webhook"] = webhook
    assert judge(failed) == []


@pytest.mark.parametrize(
    ("told", "webhook"),
    [
        ({"signed": False}, {}),
        ({"webhook": "gen_1_99-0"}, {}),
        ({"status": 503}, {}),
        ({"id": "gen_2", "webhook": "gen_2_1-0"}, {}),
        ({"id": "gen_2", "webhook": "gen_2_1-0"}, {"state": "pending", "tries": 0}),
        ({}, {"state": "pending", "tries": 0}),
    ],
)
def test_a_webhook_that_is_lost_unsigned_or_of_another_end_is_a_violation(
    told: dict[str, Any], webhook: dict[str, Any]
) -> None:
    history = good()
    hooked(history, **told)
    of(history, "record")[0]["record"]["webhook"] |= webhook
    assert any("I21" in wrong for wrong in judge(history))


def test_an_end_that_the_store_has_taken_back_may_have_been_told_unless_it_was_strict() -> None:
    history = good()
    hooked(history)
    history.append({**history[-1], "webhook": "gen_1_99-0", "t": 11.0})
    _rewound(history, mark=10.9, at=12.0)
    assert not [wrong for wrong in judge(history) if "I21" in wrong]
    of(history, "accepted")[0]["strict"] = True
    assert [wrong for wrong in judge(history) if "I21" in wrong]


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
    _rewound(history, mark=9.0, at=10.5)
    logs = {"worker-0": "gen_a: attempt 1 left: fenced\ngen_a: the log's tail is back at 1-2, re-appending"}
    assert totals.add(history, logs) == []
    assert totals.missing() == []
    assert totals.seen["fenced"] == totals.seen["re-appended"] == totals.seen["resets"] == 1


def test_a_traceback_in_a_log_is_a_violation() -> None:
    log = "Traceback (most recent call last):\n  File x\nKeyError: 'x'\n"
    assert Totals([]).add(good(), {"api-0": log}) == ["api-0 met what nobody thought of: KeyError: 'x'"]


def test_of_chained_tracebacks_the_last_one_says_what_was_met() -> None:
    log = (
        "Traceback (most recent call last):\n  File x\nConnectionResetError: [Errno 104]\n\n"
        "During handling of the above exception, another exception occurred:\n\n"
        "Traceback (most recent call last):\n  File y\n{last}\nINFO the next line\n"
    )
    ends = log.format(last="asyncio.exceptions.CancelledError: Task cancelled, timeout graceful shutdown exceeded")
    assert Totals([]).add(good(), {"api-0": ends}) == []
    assert Totals([]).add(good(), {"api-0": log.format(last="KeyError: 'x'")}) == [
        "api-0 met what nobody thought of: KeyError: 'x'"
    ]


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
