"""An object of the archive: what goes in comes out, from any entry on, and nothing that was damaged does."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.events import END, EVENT, START, TEXT, Run
from broker.ids import BEGINNING, EntryId
from broker.packing import Packed, UnreadableObject, digest, pack, request_of
from broker.turns import Turns

T = TypeVar("T")

RECORD = {b"state": b"completed", b"request": '{"model":"sim-1","system":"…"}'.encode(), b"terminal_id": b"30-0"}
LOG = [
    Run(EntryId(10, 0), [(START, b"{}"), (TEXT, b"a"), (TEXT, "\u2028:\n".encode())]),
    Run(EntryId(20, 0), [(START, b"{}"), (EVENT, b'{"type":"ping"}'), (TEXT, b"")]),
    Run(EntryId(30, 0), [(END, b'{"type":"stream_end"}')]),
]

contents = st.tuples(st.sampled_from((TEXT, EVENT)), st.binary(max_size=40))
attempts = st.lists(st.lists(contents, min_size=1, max_size=7), min_size=1, max_size=4)


def do(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def packed(log: list[Run], pages: int = 1, record: dict[bytes, bytes] = RECORD) -> bytes:
    async def read() -> AsyncIterator[list[Run]]:
        for at in range(0, len(log), pages):
            yield log[at : at + pages]

    return do(pack("gen_1", record, read(), Turns()))


def test_an_object_has_no_data_key() -> None:
    """When the record in Redis is gone, nobody reads what copies of the object there are."""
    found = Packed(packed(LOG, record={**RECORD, b"sealed": b"1 */a \xff", b"request": b"\x00\xff"}))
    record = do(found.record(Turns()))
    assert "sealed" not in record
    assert request_of(record, sealed=True) == b"\x00\xff"


def flat(runs: list[Run]) -> list[tuple[EntryId, tuple[bytes, bytes]]]:
    return [
        (EntryId(run.first.attempt, seq), content)
        for run in runs
        for seq, content in enumerate(run.contents, run.first.seq)
    ]


def test_the_record_and_all_entries_come_back_as_they_were() -> None:
    found = Packed(packed(LOG))
    assert found.id == "gen_1"
    assert do(found.record(Turns())) == {name.decode(): value.decode() for name, value in RECORD.items()}
    assert (found.entries, found.last) == (7, EntryId(30, 0))
    assert do(found.runs(BEGINNING, 100, Turns())) == LOG


@given(attempts, st.integers(1, 3), st.integers(0, 30), st.integers(0, 8), st.integers(1, 9))
def test_what_is_read_from_any_entry_on_is_what_a_stream_would_give(
    log: list[list[tuple[bytes, bytes]]], pages: int, attempt: int, seq: int, count: int
) -> None:
    runs = [Run(EntryId(10 * at, 0), each) for at, each in enumerate(log, 1)]
    from_ = EntryId(attempt, seq)
    expected = [each for each in flat(runs) if each[0] >= from_][:count]
    assert flat(do(Packed(packed(runs, pages)).runs(from_, count, Turns()))) == expected


def test_one_attempt_may_come_in_several_pages() -> None:
    halves = [Run(EntryId(10, 0), [(START, b"{}")]), Run(EntryId(10, 1), [(TEXT, b"a"), (TEXT, b"b")])]
    found = Packed(packed(halves))
    assert flat(do(found.runs(EntryId(10, 2), 9, Turns()))) == [(EntryId(10, 2), (TEXT, b"b"))]
    assert found.last == EntryId(10, 2)


def test_a_large_entry_is_packed_and_read_in_slices() -> None:
    large = bytes(range(256)) * 4000
    turns = Counted()
    found = Packed(packed([Run(EntryId(10, 0), [(EVENT, large)])]))
    assert do(found.runs(BEGINNING, 1, turns)) == [Run(EntryId(10, 0), [(EVENT, large)])]
    assert turns.taken >= len(large) // (128 * 1024)


class Counted(Turns):
    taken = 0

    async def take(self, entries: int = 100) -> None:
        self.taken += 1
        await super().take(entries)


def test_a_log_that_has_nothing_is_nothing() -> None:
    assert (Packed(packed([])).entries, Packed(packed([])).last) == (0, BEGINNING)


def test_whatever_bit_is_wrong_the_digest_tells() -> None:
    whole = packed(LOG)
    known = do(digest(whole, Turns()))
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        assert do(digest(bytes(damaged), Turns())) != known


def test_what_is_cut_or_of_another_version_is_not_read() -> None:
    whole = packed(LOG)
    for at in range(len(whole)):
        with pytest.raises(UnreadableObject):
            Packed(whole[:at])
    with pytest.raises(UnreadableObject):
        Packed(whole.replace(b"archive 1", b"archive 2", 1))


@pytest.mark.parametrize("piece", [zlib.compress(b"10-0\n"), zlib.compress(b"11-0\nt1:at1:bt1:c"), b"\x00", b""])
def test_a_piece_that_is_damaged_or_another_s_is_not_shown(piece: bytes) -> None:
    head = b'{"id":"gen_1","record":0,"chunks":[[10,0,3,%d]]}' % len(piece)
    found = Packed(b"respool-archive 1\n" + len(head).to_bytes(4) + head + piece)
    with pytest.raises(UnreadableObject):
        do(found.runs(BEGINNING, 9, Turns()))
    with pytest.raises(UnreadableObject):
        do(found.record(Turns()))
