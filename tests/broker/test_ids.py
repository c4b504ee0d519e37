"""Names of things, and what is none."""

import secrets

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.ids import (
    BEGINNING,
    MOST_CELLS,
    EntryId,
    cell_of,
    derived_generation_id,
    is_generation_id,
    new_generation_id,
)

# Speed is not what is tested: a busy machine must not fail it.
examples = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

entry_ids = st.builds(EntryId, st.integers(0, 10**15 - 1), st.integers(0, 10**10 - 1))


def test_a_new_generation_id_has_the_shape_of_one_and_is_new() -> None:
    ids = {new_generation_id() for _ in range(2000)}
    assert len(ids) == 2000
    assert all(is_generation_id(id_) for id_ in ids)
    assert {id_[4] for id_ in ids} == set("01234567"), "128 bits in 26 characters of 5 leave 3 for the first"
    assert {character for id_ in ids for character in id_[5:]} == set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def test_a_generation_id_is_its_bits_in_the_order_of_the_alphabet(monkeypatch: pytest.MonkeyPatch) -> None:
    bits = sum(place << 125 - 5 * place for place in range(26))
    monkeypatch.setattr(secrets, "token_bytes", lambda many: bits.to_bytes(many))
    assert new_generation_id() == "gen_0123456789ABCDEFGHJKMNPQRS"


@examples
@given(st.integers(0, MOST_CELLS - 1), st.text())
def test_an_id_names_its_cell(cell: int, key: str) -> None:
    for id_ in (new_generation_id(cell), derived_generation_id(b"secret", key, cell)):
        assert is_generation_id(id_)
        assert cell_of(id_) == cell
        assert (id_[4] in "01234567") is (cell == 0), "as ids were before there were cells"
    first, last = derived_generation_id(b"secret", key, cell), derived_generation_id(b"secret", key)
    assert first[-23:] == last[-23:], "the other 115 bits are the same"


def test_cells_are_counted_in_the_alphabet_of_ids() -> None:
    assert MOST_CELLS == 1024
    ids = [new_generation_id(cell)[:7] for cell in (1, 31, 32, 1023)]
    assert ids == ["gen_C01", "gen_C0Z", "gen_C10", "gen_CZZ"]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "gen_",
            "gen_" + "0" * 25,
            "gen_" + "0" * 27,
            " gen_" + "0" * 26,
            "gen_" + "0" * 26 + "\n",
            "GEN_" + "0" * 26,
        ),
        *("gen_8" + "0" * 25, "gen_" + "i" * 26, "gen_0I" + "0" * 24, "gen_0L" + "0" * 24, "gen_0O" + "0" * 24),
        *("gen_0U" + "0" * 24, "gen_" + "٠" * 26, "gen_" + "０" * 26, "gen-" + "0" * 26, "{gen_" + "0" * 26 + "}"),
    ],
)
def test_what_is_no_generation_id(text: str) -> None:
    assert not is_generation_id(text)


@examples
@given(st.text())
def test_whatever_passes_for_an_id_is_safe_in_a_key(text: str) -> None:
    if is_generation_id(text):
        assert len(text) == 30
        assert text.isascii()
        assert text.replace("_", "").isalnum()


@examples
@given(entry_ids)
def test_an_entry_id_is_read_as_it_was_written(id_: EntryId) -> None:
    assert EntryId.parse(str(id_)) == EntryId.parse(str(id_).encode()) == EntryId.of_redis(str(id_).encode()) == id_


def test_the_beginning_is_the_lowest_id_that_redis_knows() -> None:
    assert str(BEGINNING) == "0-0"


@examples
@given(entry_ids, entry_ids)
def test_entry_ids_are_ordered_by_attempt_and_then_by_seq(one: EntryId, other: EntryId) -> None:
    assert (one < other) == ((one.attempt, one.seq) < (other.attempt, other.seq))
    assert one >= BEGINNING


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "1",
            "-",
            "1-",
            "-1",
            "1-1-1",
            "+1-1",
            "1-+1",
            "-1-1",
            "01-1",
            "1-01",
            "1 - 1",
            " 1-1",
            "1-1 ",
            "1-1\n",
            "1_1",
        ),
        *(
            "0x1-1",
            "1.0-1",
            "1e3-1",
            "1-1,2-2",
            "\n1-1",
            "1-1\x00",
            "١-١",
            "１-１",
            "²-1",
            "1–1",
            "$",
            "*",
            "+",
            "(1-1",
        ),
        *("1" * 16 + "-0", "1-" + "1" * 11, "9" * 1000 + "-0"),
    ],
)
def test_what_is_no_entry_id(text: str) -> None:
    assert EntryId.parse(text) is None
    assert EntryId.parse(text.encode()) is None


@examples
@given(st.text() | st.binary())
def test_a_cursor_is_parsed_or_refused_and_what_is_parsed_is_written_the_same_way(text: str | bytes) -> None:
    id_ = EntryId.parse(text)
    if id_ is not None:
        assert (text if isinstance(text, str) else text.decode()) == str(id_)
