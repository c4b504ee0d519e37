"""Which cell takes what is submitted: by weight, smoothly, and an idempotency key's own."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.placing import Turn, home, read, written

examples = settings(max_examples=100, deadline=None)
weights = st.dictionaries(
    st.integers(0, 1023), st.sampled_from([0.0, 0.5, 1.0, 2.0, 7.5]), min_size=1, max_size=8
).filter(lambda found: any(found.values()))
KEYS = [f"key {number}" for number in range(2000)]


@examples
@given(weights, st.floats(0, 1, exclude_max=True), st.integers(1, 1000))
def test_however_many_are_placed_each_cell_has_had_its_share_but_for_a_few(
    weights: dict[int, float], begin: float, many: int
) -> None:
    turn = Turn(begin)
    placed = Counter(turn.next(weights) for _ in range(many))
    for cell, weight in weights.items():
        share = many * weight / sum(weights.values())
        assert abs(placed[cell] - share) < 5
        assert weight or not placed[cell]


def test_processes_do_not_begin_alike() -> None:
    even = dict.fromkeys(range(100), 1.0)
    assert len({Turn().next(even) for _ in range(50)}) > 10


def test_a_key_is_at_home_in_one_cell_and_cells_have_keys_by_weight() -> None:
    weights = {0: 1.0, 1: 2.0, 5: 0.0, 1023: 1.0}
    homes = [home(weights, key) for key in KEYS]
    assert homes == [home(dict(reversed(weights.items())), key) for key in KEYS], "whatever the order"
    found = Counter(homes)
    assert found.keys() == {0, 1, 1023}
    assert abs(found[1] - len(KEYS) / 2) < 100
    assert abs(found[0] - len(KEYS) / 4) < 100


@examples
@given(weights, st.integers(0, 1023), st.sampled_from([0.0, 0.25, 1.0, 3.0]))
def test_a_change_of_one_weight_moves_keys_to_that_cell_or_away_from_it_and_no_other(
    before: dict[int, float], cell: int, weight: float
) -> None:
    after = {**before, cell: weight}
    if not any(after.values()):
        return
    more = weight > before.get(cell, 0.0)
    for key in KEYS[:200]:
        was, now = home(before, key), home(after, key)
        if was != now:
            assert (now if more else was) == cell


@examples
@given(weights)
def test_weights_are_read_as_they_were_written(weights: dict[int, float]) -> None:
    assert read(written(weights)) == {cell: weight for cell, weight in weights.items() if weight}
    assert written(dict(reversed(weights.items()))) == written(weights)
    assert [home(read(written(weights)), key) for key in KEYS[:50]] == [home(weights, key) for key in KEYS[:50]]
