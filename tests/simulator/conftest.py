"""A simulated upstream in a process of its own."""

import uuid
from collections.abc import Iterator

import pytest

from tests.simulator.process import simulated
from tests.simulator.sdk import Upstream


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """One simulator for all tests; each test is told apart by its own user id."""
    with simulated(tmp_path_factory.mktemp("simulator")) as upstream:
        yield upstream


@pytest.fixture
def user_id() -> str:
    """A client that nobody else is."""
    return f"user-{uuid.uuid4()}"
