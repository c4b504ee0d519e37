"""What the broker raises says what it knows: to a handler as fields, in a log as words."""

import pytest

from broker.errors import AlreadyEnded, BrokerError, OutcomeUnknown, StorageRefused, StorageUnavailable


@pytest.mark.parametrize(
    ("error", "said", "known"),
    [
        (AlreadyEnded("completed"), "the generation has already ended: completed", {"state": "completed"}),
        (StorageUnavailable(), "Redis is away: unreachable", {"why": "unreachable"}),
        (StorageUnavailable("LOADING"), "Redis is away: LOADING", {"why": "LOADING"}),
        (StorageRefused("WRONGTYPE"), "Redis refused a command: WRONGTYPE", {"word": "WRONGTYPE"}),
        (OutcomeUnknown("gen_x"), "the submit may have happened", {"generation_id": "gen_x"}),
    ],
)
def test_an_error_says_what_it_knows(error: BrokerError, said: str, known: dict[str, str]) -> None:
    assert str(error) == said
    assert vars(error) == known
