"""A run's second upstream: who goes there, and that it is there for all of them."""

from collections import Counter
from itertools import islice

from broker.upstreams import parsed, serving
from tests.proof.chaos.clients import wishes
from tests.proof.chaos.second import setting

_MANY = 200


def test_each_model_goes_to_its_upstream_and_a_fallback_to_the_other() -> None:
    upstreams = parsed(setting(("127.0.0.1", 1)))
    asked: Counter[tuple[str, ...]] = Counter()
    for wish in islice(wishes("7", ("cut",), tools=True, two=True), _MANY):
        found = [serving(upstreams, model) for model in (wish.model, wish.fallback) if model is not None]
        asked[tuple(each.name for each in found if each is not None)] += 1
    assert asked == {
        ("first",): 140, ("chat",): 20, ("responses",): 20, ("first", "chat"): 10, ("responses", "first"): 10,
    }  # fmt: skip


def test_without_a_second_upstream_nothing_goes_there() -> None:
    assert all(
        wish.model.startswith("sim-1?") and wish.fallback is None for wish in islice(wishes("7", ("cut",)), _MANY)
    )
