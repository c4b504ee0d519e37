"""Fixtures: one stack of real processes for all tests that break nothing, and one's own for those that do."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.client import Client
from tests.stack import Stack

StartStack = Callable[..., Stack]


@pytest.fixture(scope="session")
def shared() -> Iterator[Stack]:
    """Two APIs and one worker. Break nothing in it."""
    with Stack(apis=2) as stack:
        yield stack


@pytest.fixture
def client(shared: Stack) -> Client:
    return shared.client()


@pytest.fixture
def other_client(shared: Stack) -> Client:
    """A client of the other API process."""
    return shared.client(1)


@pytest.fixture
def start_stack() -> Iterator[StartStack]:
    """Starts a stack for this test alone; arguments as of Stack."""
    with ExitStack() as stacks:
        yield lambda **arguments: stacks.enter_context(Stack(**arguments))
