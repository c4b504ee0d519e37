"""What the broker raises says what it knows: to a handler as fields, in a log as words."""

from collections.abc import Callable

import pytest

from broker.errors import AlreadyEnded, BrokerError, OutcomeUnknown, StorageRefused, StorageUnavailable


@pytest.mark.parametrize(
    ("error", "said", "known"),
    [
        (lambda: AlreadyEnded("completed"), "the generation has already ended: completed", {"state": "completed"}),
        (lambda: StorageUnavailable(), "Redis is away: unreachable", {"why": "unreachable"}),
        (lambda: StorageUnavailable("LOADING"), "Redis is away: LOADING", {"why": "LOADING"}),
        (lambda: StorageRefused("WRONGTYPE"), "Redis refused a command: WRONGTYPE", {"word": "WRONGTYPE"}),
        (lambda: OutcomeUnknown("gen_x"), "the submit may have happened", {"generation_id": "gen_x"}),
    ],
)
def test_an_error_says_what_it_knows(error: Callable[[], BrokerError], said: str, known: dict[str, str]) -> None:
    raised = error()
    assert str(raised) == said
    assert vars(raised) == known
