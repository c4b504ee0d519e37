"""An API and a worker are replaced while people watch."""

import pytest

from tests.harness.stack import Stack
from tests.proof.rolling.deploy import Pauses, run


@pytest.mark.long
def test_nobody_loses_a_word_or_gets_it_twice_and_no_submit_is_refused_while_each_part_is_replaced() -> None:
    with Stack(drain=0.2) as stack:
        deployed = run(stack, ["api", "worker"], generations=2, viewers=2, pauses=Pauses(pre_stop=0.3, after=0.3))
    assert deployed.wrong == []
    assert (deployed.lost, deployed.repeated) == (0, 0)
    assert deployed.submits > 0
    assert deployed.attempts == [2, 2]
