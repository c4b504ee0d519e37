"""What an answer does not say: nothing is taken for said."""

from broker.record import Ending
from broker.replies import Finished, Refused


def test_what_is_left_out_of_an_answer_is_nothing() -> None:
    assert Refused("ended") == Refused("ended", held_ms=0)
    assert Finished("ended") == Finished("ended", seq=0)
    assert Ending("completed") == Ending("completed", stop_reason="", code="", message="", retryable=False)
