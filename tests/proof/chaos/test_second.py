"""A run's second upstream: who goes there, and that it is there for all of them."""

import json
from collections import Counter
from itertools import islice

from broker.upstreams import parsed, serving
from tests.proof.chaos.second import FEW, entries
from tests.proof.chaos.wishing import wishes

_MANY = 200


def test_each_model_goes_to_its_upstream_and_a_fallback_to_the_other() -> None:
    upstreams = parsed(json.dumps(entries(("127.0.0.1", 1))))
    asked: Counter[tuple[str, ...]] = Counter()
    for wish in islice(wishes("7", ("cut",), tools=True, two=True), _MANY):
        found = [serving(upstreams, model) for model in (wish.model, wish.fallback) if model is not None]
        asked[tuple(each.name for each in found if each is not None)] += 1
    assert asked == {
        ("few",): 34, ("first",): 119, ("chat",): 20, ("responses",): 14, ("first", "chat"): 6, ("responses", "first"): 7,
    }  # fmt: skip


def test_without_a_second_upstream_nothing_goes_there() -> None:
    assert all(
        wish.model.startswith(("sim-1?", f"{FEW}?")) and wish.fallback is None
        for wish in islice(wishes("7", ("cut",)), _MANY)
    )
