"""The AI SDK's vocabulary: what a client of it makes of a log, and that it makes the same of it wherever it comes in."""

import random
from contextlib import suppress

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.dialects.ui import UI, chunks_of
from api.dialects.ui.said import MESSAGE_LABEL
from broker.events import END, START, TEXT, THINKING, TOOL_INPUT, WITHDRAW, Content, Entry, event
from broker.ids import EntryId
from broker.transcript import Transcript
from tests.api.dialects.ui_client import Fatal, Reader

examples = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
GEN = "gen_" + "0" * 26
DONE = Content(END, orjson.dumps({"type": "stream_end", "status": "completed", "stop_reason": "end_turn", "usage": {}}))
FAILED = Content(END, orjson.dumps({"type": "error", "code": "upstream_error", "message": "It broke."}))
CANCELLED = Content(END, b'{"type":"stream_end","status":"cancelled","reason":"requested"}')


def started(keep: int = 0, **more: object) -> Content:
    return Content(START, event("stream_start", generation=GEN, model="sim-1", keep_blocks=keep, **more).value)


def block(index: int, **head: object) -> Content:
    return event("block_start", index=index, block=head)


def text(index: int, *pieces: str, stopped: bool = True) -> list[Content]:
    said = [block(index, type="text", text=""), *(Content(TEXT, each.encode()) for each in pieces)]
    return [*said, *([event("block_stop", index=index)] if stopped else [])]


def call(index: int, id_: str, *pieces: str, type_: str = "tool_use", stopped: bool = True) -> list[Content]:
    said = [block(index, type=type_, id=id_, name="look", input={})]
    said += [Content(TOOL_INPUT, each.encode()) for each in pieces]
    return [*said, *([event("block_stop", index=index)] if stopped else [])]


def result(index: int, id_: str, content: object = "found", **more: object) -> list[Content]:
    head = block(index, type="tool_result", tool_use_id=id_, content=content, **more)
    return [head, event("block_stop", index=index), event("tool_end", index=index, id=id_)]


MESSAGE = event("message", message={})


def log(*contents: Content | list[Content]) -> list[Entry]:
    """Entries, each attempt under its own number."""
    entries: list[Entry] = []
    attempt = seq = 0
    for each in contents:
        for kind, value in [each] if isinstance(each, Content) else each:
            if kind in (START, END):
                attempt, seq = attempt + 1, 0
            entries.append(Entry(EntryId(attempt, seq), kind, value))
            seq += 1
    return entries


def frames(entries: list[Entry]) -> list[bytes]:
    return UI.fold(UI.begin, entries)[1]


def said(*contents: Content | list[Content]) -> list[dict[str, object]]:
    return [
        orjson.loads(each.partition(b"\nid:")[0].removeprefix(b"data: "))
        for frame in frames(log(*contents))
        for each in chunks_of(frame)
    ]


def types(*contents: Content | list[Content]) -> list[object]:
    return [each["type"] for each in said(*contents)]


# ── one by one


def test_text_is_a_part_of_a_step_of_a_message_that_has_the_generations_id() -> None:
    chunks = said(started(), MESSAGE, text(0, "It", " is"), DONE)
    assert [each["type"] for each in chunks] == [
        "start", "start-step", "text-start", "text-delta", "text-delta", "text-end", "finish-step", "finish",
    ]  # fmt: skip
    assert chunks[0]["messageId"] == GEN
    assert chunks[-1]["finishReason"] == "stop"
    metadata = {"generation": GEN, "model": "sim-1", "stop_reason": "end_turn", "usage": {}}
    assert chunks[-1]["messageMetadata"] == {"respool": metadata}


def test_who_goes_on_with_a_message_of_its_own_is_told_its_own_id() -> None:
    assert said(started(labels={MESSAGE_LABEL: "m-1"}))[0]["messageId"] == "m-1"


def test_the_signature_of_thinking_comes_back_with_the_next_request() -> None:
    thinking = [block(0, type="thinking", thinking=""), Content(THINKING, b"hm"), event("signature", signature="sig"),
                event("block_stop", index=0)]  # fmt: skip
    chunks = said(started(), thinking, block(1, type="redacted_thinking", data="xyz"), DONE)
    assert [each["type"] for each in chunks[2:8]] == [
        "reasoning-start", "reasoning-delta", "reasoning-delta", "reasoning-end", "reasoning-start", "reasoning-end",
    ]  # fmt: skip
    assert chunks[4]["providerMetadata"] == {"anthropic": {"signature": "sig"}}
    assert chunks[6]["providerMetadata"] == {"anthropic": {"redactedData": "xyz"}}


def test_a_client_is_told_to_run_a_tool_when_the_answer_is_complete_and_never_one_that_the_server_runs() -> None:
    here = said(started(), MESSAGE, call(0, "a", '{"q":', "1}"), event("tool_start", index=0, id="a"), result(1, "a"),
                MESSAGE, text(2, "Found."), DONE)  # fmt: skip
    assert [each["type"] for each in here[2:9]] == [
        "tool-input-start", "tool-input-delta", "tool-input-delta", "tool-input-available", "tool-output-available",
        "finish-step", "start-step",
    ]  # fmt: skip
    assert here[5]["providerExecuted"] is True
    assert here[5]["input"] == {"q": 1}
    assert here[6]["output"] == "found"
    theirs = said(started(), MESSAGE, call(0, "a"), DONE)
    assert [each["type"] for each in theirs[2:]] == [
        "tool-input-start",
        "tool-input-available",
        "finish-step",
        "finish",
    ]
    assert "providerExecuted" not in theirs[3]
    for end in (FAILED, CANCELLED):
        assert "tool-input-available" not in types(started(), MESSAGE, call(0, "a", "{}"), end)


def test_a_tool_of_the_upstreams_is_never_the_clients_and_its_error_is_one() -> None:
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "web_search_result"}]}
    failed = {**found, "content": {"type": "web_search_tool_result_error", "error_code": "unavailable"}}
    chunks = said(started(), call(0, "s", "{}", type_="server_tool_use"), block(1, **found), block(2, **failed), DONE)
    assert [each["type"] for each in chunks[2:7]] == [
        "tool-input-start", "tool-input-delta", "tool-input-available", "tool-output-available", "tool-output-error",
    ]  # fmt: skip
    assert all(each["providerExecuted"] for each in (chunks[2], *chunks[4:7]))
    assert chunks[6]["errorText"] == "unavailable"


def test_input_that_was_cut_off_is_nobodys_to_run() -> None:
    chunks = said(started(), call(0, "a", '{"q"'), DONE)
    assert "tool-input-available" not in [each["type"] for each in chunks]
    assert chunks[4]["type"] == "tool-input-error"


@pytest.mark.parametrize(
    ("citation", "type_"),
    [
        ({"type": "web_search_result_location", "url": "https://a.b", "title": "A"}, "source-url"),
        ({"type": "page_location", "document_index": 0, "document_title": None}, "source-document"),
        ({"type": "char_location", "document_index": 1, "document_title": "B"}, "source-document"),
    ],
)
def test_a_citation_is_a_source(citation: dict[str, object], type_: str) -> None:
    chunk = said(started(), text(0, "x", stopped=False), event("citation", citation=citation))[-1]
    assert chunk["type"] == type_
    assert chunk["providerMetadata"] == {"anthropic": {"citation": citation}}


# ── when an attempt is interrupted


def test_text_that_goes_on_is_the_same_part() -> None:
    assert types(started(), MESSAGE, text(0, "a", stopped=False), started(1), MESSAGE, text(0, "b"), DONE)[2:] == [
        "text-start", "text-delta", "text-delta", "text-end", "finish-step", "finish",
    ]  # fmt: skip


def test_what_begins_anew_is_undone_where_that_can_be_and_is_an_error_where_not() -> None:
    restarted = log(
        started(), MESSAGE, text(0, "a"), text(1, "b", stopped=False), started(0), MESSAGE, text(0, "c"), DONE
    )
    assert Reader().read(frames(restarted)).text == "c"
    with pytest.raises(Fatal, match="restarted"):
        Reader().read(frames(log(started(), text(0, "a"), text(1, "b"), started(1), text(1, "c"), DONE)))
    rounds = (
        started(),
        MESSAGE,
        call(0, "a"),
        event("tool_start", index=0, id="a"),
        result(1, "a"),
        MESSAGE,
        text(2, "b"),
    )
    assert Reader().read(frames(log(*rounds, started(2), MESSAGE, text(2, "c"), DONE))).text == "c"
    with pytest.raises(Fatal, match="restarted"):
        Reader().read(frames(log(*rounds, started(0), MESSAGE, text(0, "c"), DONE)))


def test_a_call_that_was_being_written_has_failed_and_the_text_before_it_goes_on() -> None:
    reader = Reader().read(
        frames(
            log(
                started(),
                MESSAGE,
                text(0, "a"),
                call(1, "x", "{", stopped=False),
                started(1),
                MESSAGE,
                text(0, "b"),
                DONE,
            )
        )
    )
    assert reader.text == "ab"
    assert [part["state"] for part in reader.parts if part["type"] == "tool"] == ["error"]


def test_what_is_withdrawn_is_undone_and_the_end_is_an_error() -> None:
    withdraw = Content(WITHDRAW, b'{"type":"withdraw"}')
    assert types(started(), text(0, "a"), withdraw, FAILED)[-2:] == ["reset-step", "error"]
    assert types(withdraw, FAILED) == ["error"]


def test_nothing_is_said_that_is_of_the_connection_but_an_error() -> None:
    assert UI.drain(500) == b""
    assert b'"type":"error"' in UI.gap("rewound")
    assert b'"type":"error"' in UI.closed("revoked")


# ── whatever happens


def any_log(rng: random.Random) -> list[Entry]:
    """Attempts with rounds of tools, which break off anywhere and go on as the plan of the next one may have it."""
    contents: list[Content] = [started(), MESSAGE]
    index = first = 0  # of the next block, and of this answer's first
    calls = 0
    for _ in range(rng.randrange(1, 8)):
        match rng.randrange(5):
            case 0 | 1:
                contents += text(index, *("ab" for _ in range(rng.randrange(1, 4))), stopped=rng.random() < 0.7)
                index += 1
            case 2:
                contents += [block(index, type="thinking"), Content(THINKING, b"hm"), event("block_stop", index=index)]
                index += 1
            case 3:
                calls += 1
                contents += call(index, f"c{calls}", '{"a":', "1}", stopped=True)
                index += 1
                if rng.random() < 0.6:
                    contents += [
                        event("tool_start", index=index - 1, id=f"c{calls}"),
                        *result(index, f"c{calls}"),
                        MESSAGE,
                    ]
                    index += 1
                    first = index
            case 4:
                keep = rng.randrange(first, index + 1)
                contents += [event("recovering", attempt=1), started(keep), MESSAGE]
                index = keep
                if keep > first and rng.random() < 0.5:
                    contents += text(index - 1, "cd", stopped=False) if _is_text(contents, index - 1) else []
    return log([*contents, rng.choice((DONE, DONE, FAILED, CANCELLED))])


def _is_text(contents: list[Content], index: int) -> bool:
    transcript = Transcript(log(contents))
    return index < len(transcript.blocks) and transcript.blocks[index].type == "text"


def _read(reader: Reader, shown: list[bytes]) -> str | None:
    """Why it fails, if it does."""
    try:
        reader.read(shown)
    except Fatal as fatal:
        return str(fatal)
    return None


@examples
@given(st.integers(0, 2**32))
def test_a_client_has_the_text_of_the_log_or_an_error(seed: int) -> None:
    entries = any_log(random.Random(seed))
    reader = Reader()
    if (why := _read(reader, frames(entries))) is not None:
        assert why.startswith(("restarted", "upstream_error"))
        return
    assert reader.ended in ("finish", "abort")
    assert reader.text == Transcript(entries).text


@examples
@given(st.integers(0, 2**32), st.data())
def test_a_client_that_comes_in_anywhere_has_what_the_log_amounts_to(seed: int, data: st.DataObject) -> None:
    entries = any_log(random.Random(seed))
    at = data.draw(st.integers(1, len(entries) - 1))
    transcript = Transcript(entries[:at])
    state, _ = UI.fold(UI.begin, entries[:at])
    reader = Reader().read(UI.snapshot(transcript))
    assert reader.text == transcript.text
    with suppress(Fatal):
        reader.read(UI.fold(state, entries[at:])[1])
        assert reader.text == Transcript(entries).text


@examples
@given(st.integers(0, 2**32))
def test_chunks_are_counted_one_by_one(seed: int) -> None:
    state: object = UI.begin
    count = 0
    for entry in any_log(random.Random(seed)):
        state, (frame,) = UI.fold(state, [entry])
        count += len(chunks_of(frame))
        assert UI.count(state) == count
        if frame:
            assert frame.endswith(b"id: %d-%d\n\n" % entry.id)
            assert frame.count(b"id: ") == 1
