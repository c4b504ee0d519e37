"""Pages of this folder, and a browser that opens them."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.system.browser.chromium import chromium


class Pages(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing about requests."""


@pytest.fixture(scope="module")
def pages() -> Iterator[int]:
    """The port on which this folder's pages are, by the names `localhost` and `127.0.0.1`: two origins."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Pages, directory=str(Path(__file__).parent))) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server.server_port
        server.shutdown()
        serving.join()


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with chromium() as browser:
        yield browser.new_page()
