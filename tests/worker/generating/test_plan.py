"""What the next attempt would do, from the record and the log as they are."""

from typing import Any

import orjson
import pytest

from broker.events import EVENT, START, TEXT, Entry
from broker.ids import BEGINNING, EntryId
from broker.record import Ending, Record, State
from broker.request import Options
from broker.transcript import Kept, Transcript
from tests.worker.upstreams.teller import Teller
from worker.generating.plan import Plan, plan
from worker.generating.rounds import Ask, Over
from worker.upstreams import Call

BODY: dict[str, Any] = {"model": "claude-4-1", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}


RESUMED = Teller().resumed


def record(
    *,
    ordinal: int = 0,
    spent: int = 0,
    usage: bytes = b"{}",
    state: State = "queued",
    request: bytes = b"",
    **asked: Any,
) -> Record:
    return Record(
        "gen_x", state, "claude-4-1", request or orjson.dumps({**BODY, **asked}), 1234, None, None, None, ordinal, spent,
        usage, None, None, False, "acme",
    )  # fmt: skip


def options(on_interrupt: Any = "continue") -> Options:
    return Options(on_interrupt, None, None, 600.0, None, "normal")


def log(text: str) -> list[Entry]:
    """One attempt, 7, that has put out two chunks."""
    block = orjson.dumps({"type": "block_start", "index": 0, "block": {"type": "text", "text": ""}})
    values = [(START, b'{"type":"stream_start","keep_blocks":0}'), (EVENT, block)]
    values += [(TEXT, text[:2].encode()), (TEXT, text[2:].encode())] if text else []
    return [Entry(EntryId(7, seq), kind, value) for seq, (kind, value) in enumerate(values)]


def test_what_was_never_tried_begins() -> None:
    assert plan(record(), Transcript(), RESUMED) == Plan(
        record(), BEGINNING, options(), Ask(Call(BODY, 0, "")), "start", None, 0, 0, 0
    )


@pytest.mark.parametrize("ordinal", [1, 2])
def test_what_has_put_out_nothing_begins_again(ordinal: int) -> None:
    tried = record(ordinal=ordinal)
    assert plan(tried, Transcript(log("")), RESUMED) == Plan(
        tried, EntryId(7, 1), options(), Ask(Call(BODY)), "restart", None, 0, 0, 0
    )


@pytest.mark.parametrize("on_interrupt", ["restart", "fail"])
def test_what_must_not_be_continued_begins_again_whatever_is_there(on_interrupt: str) -> None:
    tried = record(ordinal=1, on_interrupt=on_interrupt)
    assert plan(tried, Transcript(log("née")), RESUMED) == Plan(
        tried, EntryId(7, 3), options(on_interrupt), Ask(Call(BODY)), "restart", None, 0, 0, 0
    )


def test_what_was_cut_off_goes_on_from_its_text() -> None:
    tried = record(ordinal=1)
    planned = plan(tried, Transcript(log("née ")), RESUMED)
    asked = Ask(Call({**BODY, "told": "née "}, 1))
    assert planned == Plan(tried, EntryId(7, 3), options(), asked, "continue", EntryId(7, 3), 1, 2, 5, keep_text="née ")


def test_what_an_upstream_cannot_go_on_from_begins_again() -> None:
    tried = record(ordinal=1)
    assert plan(tried, Transcript(log("née.")), RESUMED) == Plan(
        tried, EntryId(7, 3), options(), Ask(Call(BODY)), "restart", None, 0, 0, 0
    )


def test_a_request_that_cannot_be_read_is_none_and_must_not_run() -> None:
    odd = record(request=b'{"from": "the future"}', ordinal=1)
    nothing = Options("fail", None, None, 0.0, None, "normal")
    ending = Ending.failed("unreadable_request", "This version of Respool cannot read the request.")
    assert plan(odd, Transcript(log("née")), RESUMED) == Plan(
        odd, EntryId(7, 3), nothing, Over(ending), "start", None, 0, 0, 0
    )


def test_the_first_entry_tells_a_reader_what_to_keep() -> None:
    told = {"type": "stream_start", "generation": "gen_x", "model": "claude-4-1"}
    begun = plan(record(), Transcript(), RESUMED)
    assert orjson.loads(begun.start_json) == {**told, "reason": "start", "keep_through": None, "keep_blocks": 0}
    continued = plan(record(ordinal=1), Transcript(log("née")), RESUMED)
    assert orjson.loads(continued.start_json) == {
        **told, "reason": "continue", "keep_through": "7-3", "keep_blocks": 1,
    }  # fmt: skip


def asking(kept: Kept) -> Ask:
    call = RESUMED(BODY, kept)
    assert call is not None
    return Ask(call)


def going_on(**asked: Any) -> Record:
    return record(continue_of="gen_a", continue_from="ab" * 3000, **asked)


def test_what_goes_on_from_an_earlier_text_puts_that_first_and_asks_for_the_rest() -> None:
    made = plan(going_on(), Transcript(), RESUMED)
    opening = Transcript(Entry(EntryId(7, seq), *content) for seq, content in enumerate(made.opening, 1))
    assert opening.text == "ab" * 3000
    assert opening.open == 0, "the answer goes on with this block"
    assert all(len(content.value) <= 4096 for content in made.opening)
    assert made.first == asking(Kept("ab" * 3000, BEGINNING, 1, 0))
    assert (made.reason, made.keep_blocks, made.keep_chunks, made.keep_bytes) == ("start", 0, 0, 6000)


def test_an_interruption_of_that_goes_on_from_all_of_it_and_a_restart_begins_with_the_earlier_text() -> None:
    written = Transcript(log("ab" * 3000 + "!"))
    kept = written.kept()
    assert kept is not None
    made = plan(going_on(ordinal=1), written, RESUMED)
    assert (made.reason, made.opening, made.first) == ("continue", (), asking(kept))
    anew = plan(going_on(ordinal=1, on_interrupt="restart"), written, RESUMED)
    assert (anew.reason, len(anew.opening), anew.keep_blocks) == ("restart", 3, 0)
    assert anew.first == asking(Kept("ab" * 3000, BEGINNING, 1, 0))


def test_an_upstream_that_cannot_go_on_from_it_begins_anew() -> None:
    made = plan(going_on(), Transcript(), lambda body, kept: None)
    assert (made.first, made.opening, made.keep_bytes) == (Ask(Call(BODY)), (), 0)
