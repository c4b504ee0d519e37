"""What is sealed opens with its own key, in its own place, and in no other."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.events import END, EVENT, SEALED, START, TEXT, WITHDRAW, Content, Entry, Run
from broker.ids import EntryId
from broker.record import Ending
from broker.sealing import (
    OVERHEAD_BYTES,
    Damaged,
    Seal,
    SealedBefore,
    has_sealed_words,
    is_sealed,
    new_data_key,
)

KEY = b"k" * 32
ATTEMPT = 1_764_445_000_000
_CONTENTS = st.lists(
    st.builds(Content, st.sampled_from(sorted(SEALED)), st.binary(max_size=50)), min_size=1, max_size=20
)


def sealed_run(contents: list[Content], id_: str = "gen_x", attempt: int = ATTEMPT, first: int = 1) -> Run:
    return Run(EntryId(attempt, first), Seal(id_, KEY).of_attempt(attempt).sealed(first, contents))


@given(_CONTENTS, st.integers(1, 2**40))
def test_entries_open_as_what_they_were_and_show_nothing_but_their_kind_and_length(
    contents: list[Content], first: int
) -> None:
    run = sealed_run(contents, first=first)
    assert Seal("gen_x", KEY).opened_run(run).contents == [tuple(each) for each in contents]
    for (kind, value), (sealed, stored) in zip(contents, run.contents, strict=True):
        assert sealed == kind.upper()
        assert len(stored) == len(value) + OVERHEAD_BYTES
        assert len(value) < 4 or value not in stored


@given(st.data())
def test_an_entry_that_was_moved_changed_or_cut_does_not_open(data: st.DataObject) -> None:
    run = sealed_run([Content(TEXT, b"It is"), Content(EVENT, b'{"type":"usage"}'), Content(TEXT, b" done")])
    kind, value = run.contents[0]
    at = data.draw(st.integers(0, len(value) - 1))
    broken = data.draw(
        st.sampled_from(
            [
                Run(EntryId(ATTEMPT, 2), [(kind, value)]),
                Run(EntryId(ATTEMPT + 1, 1), [(kind, value)]),
                Run(run.first, [(b"K", value)]),
                Run(run.first, [run.contents[2]]),
                Run(run.first, [(kind, value[:at])]),
                Run(run.first, [(kind, value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :])]),
                Run(run.first, [(TEXT, b"not sealed")]),
            ]
        )
    )
    with pytest.raises(Damaged):
        Seal("gen_x", KEY).opened_run(broken)


def test_another_generation_or_another_key_opens_nothing() -> None:
    run, request = sealed_run([Content(TEXT, b"It is")]), Seal("gen_x", KEY).sealed_request(b"{}")
    for other in (Seal("gen_y", KEY), Seal("gen_x", new_data_key())):
        with pytest.raises(Damaged):
            other.opened_run(run)
        with pytest.raises(Damaged):
            other.opened_request(request)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_a_request_opens_whole_or_not_at_all(request: bytes, cut: int) -> None:
    seal = Seal("gen_x", KEY)
    stored = seal.sealed_request(request)
    assert seal.opened_request(stored) == request
    if cut < len(stored):
        with pytest.raises(Damaged):
            seal.opened_request(stored[:cut])


def test_a_seq_is_sealed_once() -> None:
    sealing = Seal("gen_x", KEY).of_attempt(ATTEMPT)
    sealing.sealed(1, [Content(TEXT, b"a"), Content(TEXT, b"b")])
    with pytest.raises(SealedBefore):
        sealing.sealed(2, [Content(TEXT, b"other")])
    sealing.sealed(3, [Content(TEXT, b"c")])


def test_purposes_have_keys_of_their_own() -> None:
    """Whatever nonce a request has, by chance that of an entry: it is no entry."""
    seal = Seal("gen_x", KEY)
    stored = seal.sealed_request(b"prompt")
    nonce = int.from_bytes(stored[:12], "big")
    with pytest.raises(Damaged):
        seal.opened_run(Run(EntryId(nonce >> 48, nonce & (1 << 48) - 1), [(b"T", stored[12:])]))


@given(st.text(min_size=1))
def test_the_words_of_an_end_are_sealed_and_open_wherever_they_are(words: str) -> None:
    seal = Seal("gen_x", KEY)
    withdraw = orjson.dumps({"type": "withdraw", "guardrail": "g", "reason": words, "category": "c"})
    told = seal.sealed_ending(Ending.failed("blocked", words))
    of_log = orjson.dumps({"type": "error", "message": told.message, "usage": None})
    assert is_sealed(END, of_log)
    opened = seal.opened([Entry(EntryId(ATTEMPT, 0), END, of_log)])
    assert orjson.loads(opened[0].value) == {"type": "error", "message": words, "usage": None}
    assert has_sealed_words({"message": told.message})
    assert seal.opened_end({"message": told.message, "status": 422}) == {"message": words, "status": 422}
    withdrawn = seal.sealed_ending(Ending("failed", withdraw=withdraw)).withdraw
    assert is_sealed(WITHDRAW, withdrawn)
    (entry,) = seal.opened([Entry(EntryId(ATTEMPT, 0), WITHDRAW, withdrawn)])
    assert orjson.loads(entry.value) == orjson.loads(withdraw)


def test_what_scripts_write_is_plain_and_passes() -> None:
    seal = Seal("gen_x", KEY)
    for kind, value in ((START, b'{"type":"stream_start"}'), (END, b'{"type":"error","message":"The attempt"}')):
        assert not is_sealed(kind, value)
        assert seal.opened([Entry(EntryId(ATTEMPT, 0), kind, value)])[0].value == value
    assert seal.opened_end({"message": "The attempt"}) == {"message": "The attempt"}
