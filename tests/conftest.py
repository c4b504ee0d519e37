"""Fixtures: one stack of real processes for all tests that break nothing, and one's own for those that do."""

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from broker.local import embedded
from broker.local.embedded import EmbeddedServer
from tests.broker.store.scripted import Server
from tests.harness import forks
from tests.harness.client import Client
from tests.harness.stack import Stack

StartStack = Callable[..., Stack]


def pytest_configure(config: pytest.Config) -> None:
    """Where several processes run the tests, each takes ports of its own: one that is free now is bound a second later. What is
    imported and collected stays: to look for garbage in it again and again takes as long as all the rest of that."""
    gc.disable()
    forks.allow()
    if (worker := getattr(config, "workerinput", None)) is not None:
        embedded.PORTS = embedded.PORTS[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long first: begun last, it would run when all others have ended."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def shared() -> Iterator[Stack]:
    """Two APIs and one worker. Break nothing in it."""
    with Stack(apis=2) as stack:
        yield stack


@pytest.fixture(scope="session", name="embedded")
def embedded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server alone, for tests that are the only ones who talk to it."""
    with EmbeddedServer(tmp_path_factory.mktemp("embedded")) as server:
        yield server


@pytest.fixture
def server(embedded: EmbeddedServer) -> Iterator[Server]:
    """The roles of that server, empty. Fails the test if it leaves a key behind that lives for ever."""
    with Server(embedded.url) as server:
        yield server
        for_ever = [key for key in server.command("KEYS", "*") if server.command("PTTL", key) == -1]
        server.command("FLUSHALL")
        assert for_ever == []


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
