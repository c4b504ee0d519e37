"""A simulated upstream in a process of its own."""

import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest

from tests.simulator.sdk import Upstream


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """One simulator for all tests; each test is told apart by its own user id."""
    command = [sys.executable, "-m", "worker.simulator", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            assert line.startswith("simulated upstream on http://127.0.0.1:"), line
            yield Upstream(line.removeprefix("simulated upstream on "))
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture
def user_id() -> str:
    """A client that nobody else is."""
    return f"user-{uuid.uuid4()}"
