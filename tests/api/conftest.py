"""For tests of the application in this process."""

from collections.abc import Iterator

import pytest

from broker.collecting import Collector
from tests.api.in_process import Api
from tests.broker.store.scripted import Server


@pytest.fixture
def api(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """It is not frozen: this process lives on when the application ends."""
    monkeypatch.setattr(Collector, "begin", lambda _: None)
    with Api(server) as api:
        yield api
