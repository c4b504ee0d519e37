"""A short run of what `make fuzz` does for longer."""

import pytest

from tests.conftest import StartStack
from tests.proof.fuzz.running import PEPPER, fuzz, tracebacks


@pytest.mark.long
def test_every_answer_is_as_the_api_describes_itself(start_stack: StartStack) -> None:
    stack = start_stack(apis=0, api_key_pepper=PEPPER)
    code, said = fuzz(stack, seed=1, examples=2, seconds=16, phases=("examples", "coverage", "stateful"))
    assert code == 0, said[-8000:]
    assert tracebacks(stack) == []
