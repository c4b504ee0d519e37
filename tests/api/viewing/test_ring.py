"""The ring, entry by entry: what each place in it is called, and which entries it still has."""

from api.viewing.ring import Ring
from broker.events import END, TEXT, Entry
from broker.ids import BEGINNING, EntryId


def entry(attempt: int, seq: int, kind: bytes = TEXT) -> Entry:
    return Entry(EntryId(attempt, seq), kind, b"{}" if kind == END else b"%d.%d" % (attempt, seq))


def run(attempt: int, *seqs: int) -> list[Entry]:
    return [entry(attempt, seq) for seq in seqs]


def ring_of(entries: list[Entry]) -> Ring:
    ring = Ring()
    ring.synced = True
    if entries:
        ring.add(entries)
    return ring


ENTRIES = [*run(5, 0, 1, 2), *run(9, 0, 1), *run(12, 0)]


def test_a_new_ring_is_empty_and_not_synced() -> None:
    ring = Ring()
    assert (ring.synced, ring.last, ring.ended, ring.end) == (False, BEGINNING, False, 0)
    assert ring.position_behind(BEGINNING) is None
    ring.synced = True
    assert ring.position_behind(BEGINNING) == 0


def test_every_place_has_the_id_of_the_entry_before_it_and_every_id_its_place() -> None:
    for ring in (ring_of(ENTRIES), ring_of([])):
        for each in ENTRIES if not ring.end else ():
            ring.add([each])  # one by one
        for place, each in enumerate(ENTRIES, 1):
            assert ring.id_before(place) == each.id
            assert ring.position_behind(each.id) == place
        assert ring.id_before(0) == BEGINNING
        assert ring.position_behind(BEGINNING) == 0
        assert (ring.last, ring.end, ring.ended) == (EntryId(12, 0), 6, False)


def test_an_id_that_is_not_in_the_ring_has_no_place() -> None:
    ring = ring_of(ENTRIES)
    for attempt, seq in ((4, 0), (5, 3), (7, 0), (9, 2), (9, 3), (12, 1), (13, 0)):
        assert ring.position_behind(EntryId(attempt, seq)) is None
    ring.synced = False
    assert ring.position_behind(EntryId(5, 1)) is None


def test_a_hole_within_an_attempt_moves_no_place() -> None:
    ring = ring_of([*run(5, 0, 1), *run(5, 4, 5)])
    assert [ring.position_behind(EntryId(5, seq)) for seq in (0, 1, 2, 4, 5)] == [1, 2, None, 3, 4]


def test_an_attempt_costs_one_run_however_long_it_is() -> None:
    assert len(ring_of(run(5, *range(1000))).runs) == 2


def test_only_the_terminal_entry_ends_it() -> None:
    ring = ring_of(run(5, 0))
    assert not ring.ended
    ring.add([entry(5, 1), entry(6, 0, END)])
    assert ring.ended


def test_what_nobody_asks_for_is_forgotten() -> None:
    ring = ring_of([])
    for attempt in range(10, 50):
        ring.add(run(attempt, 0))
    ring.forget(20)
    assert ring.runs[0] == (19, EntryId(29, 0))
    assert (ring.position_behind(EntryId(28, 0)), ring.position_behind(EntryId(29, 0))) == (None, 20)
    ring.forget(ring.end)
    assert ring.runs == [(39, EntryId(49, 0))]


def test_the_run_in_which_the_end_is_stays_whatever_is_forgotten() -> None:
    ring = ring_of(run(5, *range(70)))
    for _ in range(2):
        ring.forget(ring.end)
        assert ring.runs == [(0, EntryId(5, 0))]
    assert ring.position_behind(ring.last) == ring.end


def test_a_new_start_empties_the_ring_and_counts_on() -> None:
    ring = ring_of(run(5, 0, 1, 2))
    ring.start(EntryId(9, 0), ended=False)
    assert (ring.end, ring.ended, ring.last) == (3, False, EntryId(9, 0))
    assert (ring.position_behind(EntryId(9, 0)), ring.position_behind(EntryId(5, 2)), ring.id_before(3)) == (
        3,
        None,
        EntryId(9, 0),
    )
    ring.add(run(9, 1, 2))
    assert (ring.end, ring.position_behind(EntryId(9, 1))) == (5, 4)
    ring.start(EntryId(20, 0), ended=True)
    assert ring.ended
