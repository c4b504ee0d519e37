"""What a reader of text alone is shown: no byte of anything else, in any dialect, in any event, now or in a later version; and
resumes are exact (test_dialects.py has the folds)."""

import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dialects import Dialect
from api.dialects.chat import CHAT_FORM
from api.dialects.chat_text import CHAT_TEXT
from api.dialects.chunks import in_chunks
from api.dialects.native import NATIVE
from api.dialects.redacted import redacted
from api.dialects.redaction import redacted_entry, redacted_record
from api.dialects.text import TEXT_VIEW
from broker.events import END, EVENT, START, TEXT, THINKING, TOOL_INPUT, WITHDRAW, Entry, event
from broker.ids import EntryId
from broker.transcript import Transcript
from tests.api.dialects.test_dialects import examples

CANARY = "withhold-me"
DIALECTS = [NATIVE, TEXT_VIEW, CHAT_FORM, CHAT_TEXT, in_chunks(NATIVE, "token")]
START_OF = {"model": "m", "reason": "start", "keep_through": None, "attempt": 1, "generation": "gen_1"}
FIGURES = {"usage": {CANARY: 1}, "cost": {"amount": CANARY}, "metrics": {CANARY: 2}, "chunks": 4711, CANARY: CANARY}
SECRETS: list[tuple[bytes, bytes]] = [
    (THINKING, CANARY.encode()),
    (TOOL_INPUT, f'{{"a":"{CANARY}"}}'.encode()),
    event("message", message={"id": CANARY, "usage": {CANARY: 1}}),
    event("signature", signature=CANARY),
    event("citation", citation={"cited_text": CANARY}),
    event("block_delta", index=0, delta={"x": CANARY}),
    event("usage", stop_reason="end_turn", usage={"output_tokens": CANARY}),
    event("upstream", event={"x": CANARY}),
    event("tool_start", index=0, id="t", name=CANARY, input={"x": CANARY}),
    event("tool_progress", id="t", data=CANARY),
    event("tool_end", index=0, id="t", name=CANARY, ok=True, duration_ms=1, error=None, content=CANARY),
    event("guardrail", name=CANARY, verdict="flag", reason=CANARY, category=CANARY),
    event("a_later_event", said=CANARY),
    event("retrying", code="upstream_error", tries=1, delay_ms=5, later=CANARY),
    event("recovering", attempt=1, later=CANARY),
    (b"q", CANARY.encode()),
]
_OF = {THINKING: "thinking", TOOL_INPUT: "tool_use"}
HEADS: list[dict[str, Any]] = [
    {"type": "text", "text": "shown", "citations": [CANARY]},
    {"type": "text"},
    {"type": "thinking", "thinking": CANARY, "signature": CANARY},
    {"type": "tool_use", "id": CANARY, "name": CANARY, "input": {CANARY: 1}},
    {"type": "web_search_tool_result", "content": [CANARY]},
    {"text": CANARY},
]


def log_of(rng: random.Random) -> list[Entry]:
    """Text among everything that is to be withheld."""
    contents: list[tuple[bytes, bytes]] = [
        (START, _json("stream_start", keep_blocks=0, labels={"a": CANARY}, **START_OF))
    ]
    blocks, head = 0, HEADS[0]
    for _ in range(rng.randrange(4, 40)):
        pick = rng.random()
        if not blocks or pick < 0.15:
            head = rng.choice(HEADS)
            contents.append(event("block_start", index=blocks, block=head, later=CANARY))
            blocks += 1
        elif pick < 0.25:
            contents.append(event("block_stop", index=blocks - 1, later=CANARY))
        elif pick < 0.6 and head.get("type") == "text":
            contents.append((TEXT, rng.choice(("It is", " done.", "\r\n", "[1]")).encode()))
        else:
            kind, value = rng.choice(SECRETS)
            if kind not in (THINKING, TOOL_INPUT) or head.get("type") == _OF[kind]:
                contents.append((kind, value))
    if rng.random() < 0.2:
        contents.append((WITHDRAW, _json("withdraw", guardrail=CANARY, reason=CANARY, category=CANARY)))
    contents.append(rng.choice(ENDS))
    return [Entry(EntryId(7, seq), kind, value) for seq, (kind, value) in enumerate(contents)]


def _json(type_: str, **fields: Any) -> bytes:
    return event(type_, **fields).value


ENDS = [
    (END, _json("stream_end", status="completed", stop_reason="end_turn", ttft_ms=1, total_ms=2, **FIGURES)),
    (END, _json("error", code="upstream_invalid_request", message=CANARY, status=400, retryable=False,
                retry_after_seconds=None, partial=True, total_ms=2, **FIGURES)),
    (END, _json("error", code="no_such_code", message=CANARY, status=400, retryable=False, total_ms=2, **FIGURES)),
]  # fmt: skip


@pytest.mark.parametrize("inner", DIALECTS, ids=lambda each: type(each).__name__)
@examples
@given(st.integers(0, 2**32))
def test_no_byte_that_is_withheld_is_in_a_frame_or_a_snapshot(inner: Dialect, seed: int) -> None:
    log = log_of(random.Random(seed))
    dialect = redacted(inner)
    _, frames = dialect.fold(dialect.begin, log)
    shown = b"".join(frames)
    assert CANARY.encode() not in shown
    assert b"4711" not in shown
    assert len(frames) == len(log)
    for cut in range(len(log)):
        snapshot = b"".join(dialect.snapshot(Transcript(log[:cut])))
        assert CANARY.encode() not in snapshot


@pytest.mark.parametrize("inner", DIALECTS, ids=lambda each: type(each).__name__)
@examples
@given(st.integers(0, 2**32))
def test_a_text_is_shown_whole(inner: Dialect, seed: int) -> None:
    """What is shown amounts to the text that the log has, as far as it is text's."""
    log = log_of(random.Random(seed))
    shown = [entry for each in log if (entry := redacted_entry(each)) is not None]
    assert Transcript(shown).text == Transcript(_valid(log)).text
    assert [entry.id for entry in shown if entry.kind == TEXT] == [entry.id for entry in log if entry.kind == TEXT]
    dialect, plain = redacted(inner), inner
    assert dialect.fold(dialect.begin, log)[1][-1].count(b"id") == plain.fold(plain.begin, [log[-1]])[1][0].count(b"id")


def _valid(log: list[Entry]) -> list[Entry]:
    """Without kinds of a later version, which this one's transcript does not know."""
    return [entry for entry in log if entry.kind != b"q"]


@examples
@given(st.integers(0, 2**32))
def test_who_follows_and_who_gets_a_snapshot_have_the_same(seed: int) -> None:
    log = _valid(log_of(random.Random(seed)))[:-1]
    whole = Transcript([entry for each in log if (entry := redacted_entry(each)) is not None])
    (told,) = b"".join(redacted(NATIVE).snapshot(Transcript(log))).split(b"\n")[:1]
    snapshot = orjson.loads(told.removeprefix(b"data: "))
    assert snapshot["text"] == whole.text
    assert snapshot["content"] == whole.content
    assert snapshot["open"] == whole.open


def test_blocks_keep_their_numbers_and_say_that_they_are_withheld() -> None:
    log = [Entry(EntryId(7, at), *event("block_start", index=at, block=head)) for at, head in enumerate(HEADS)]
    frames = redacted(NATIVE).fold(None, log)[1]
    assert [orjson.loads(frame.split(b"\n")[0][6:]) for frame in frames] == [
        {"type": "block_start", "index": at, "block": block}
        for at, block in enumerate([{"type": "text", "text": "shown"}, {"type": "text"}, *[{"type": "withheld"}] * 4])
    ]


def test_an_end_says_how_it_ended_in_our_words() -> None:
    (frame,) = redacted(NATIVE).fold(None, [Entry(EntryId(7, 0), *ENDS[1])])[1]
    assert orjson.loads(frame.split(b"\n")[0][6:]) == {
        "type": "error", "code": "upstream_invalid_request", "message": "400: the upstream does not accept the request",
        "status": 400, "retryable": False, "retry_after_seconds": None, "partial": True, "total_ms": 2, "usage": None,
        "cost": None,
    }  # fmt: skip


def test_a_record_says_how_it_is_and_nothing_of_its_submitter() -> None:
    failure = {"code": "upstream_error", "message": CANARY, "status": 502, "retryable": False, "partial": True}
    record = {
        "id": "gen_1", "state": "failed", "model": "m", "labels": {"user": CANARY}, "external_id": CANARY,
        "retry_of": CANARY, "webhook": {"last_error": CANARY}, "usage": {CANARY: 1}, "chunks": 4711, "error": failure,
        "stop_reason": None, "later": CANARY,
    }  # fmt: skip
    shown = redacted_record(record)
    assert CANARY not in str(shown)
    assert shown["state"] == "failed"
    assert shown["usage"] is shown["cost"] is shown["metrics"] is None
    assert "chunks" not in shown
    assert redacted_record({"id": "gen_1", "state": "running"}) == {"id": "gen_1", "state": "running"}


def test_all_who_may_see_text_alone_share_frames() -> None:
    assert redacted(NATIVE) is redacted(NATIVE)
    assert EVENT == b"j", "kinds that are no delta are known by their types"
