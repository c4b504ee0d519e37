"""A replica that lags behind is promoted while viewers are ahead of it."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.harness.stack import Stack
from tests.proof.failover.pair import Pair
from tests.proof.failover.rounds import LEASE, Result, run


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with Pair(tmp_path_factory.mktemp("failover")) as pair:
        yield pair


@pytest.fixture(scope="module")
def stack(pair: Pair) -> Iterator[Stack]:
    with ExitStack() as stacks:
        yield stacks.enter_context(Stack(apis=2, server=pair.front, lease=LEASE, pickup_grace=1))


def was_ahead(result: Result) -> None:
    assert result.wrong == []
    assert min(result.ahead) > 0
    assert all(seconds < float("inf") for seconds in result.seconds)


def test_a_worker_that_lives_writes_its_tail_again_under_the_same_ids(stack: Stack, pair: Pair) -> None:
    result = run(stack, pair, "lives", lag=0.5, dark=0.1, tokens=100)
    was_ahead(result)
    assert result.attempts == [1, 1]
    assert result.re_appended >= 1


def test_viewers_who_are_there_before_the_worker_are_told_of_the_gap_and_get_the_tail_in_the_end(
    stack: Stack, pair: Pair
) -> None:
    result = run(stack, pair, "sleeps", lag=0.5, dark=0.0, tokens=100)
    was_ahead(result)
    assert result.gaps == len(result.ahead)
    assert result.attempts == [1, 1]
    assert result.re_appended >= 1


def test_a_tail_that_nobody_has_any_more_is_a_gap_and_the_next_attempt_goes_on(stack: Stack, pair: Pair) -> None:
    result = run(stack, pair, "dies", lag=0.5, dark=0.1, tokens=100)
    was_ahead(result)
    assert result.gaps == len(result.ahead)
    assert result.attempts == [2, 2]
    assert result.re_appended == 0


def test_a_claim_that_the_replica_never_heard_of_is_made_again(stack: Stack, pair: Pair) -> None:
    result = run(stack, pair, "unclaimed", lag=0.5, dark=0.1, tokens=100)
    was_ahead(result)
    assert result.gaps == len(result.ahead)
    assert result.attempts == [1, 1]
