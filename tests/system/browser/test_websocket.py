"""Chromium's WebSocket: a page follows more generations than a host has connections, and one of another origin none."""

from typing import Any

import pytest

from tests.harness.client import text_of
from tests.harness.stack import Stack

pytestmark = pytest.mark.browser


def test_a_page_follows_many_on_one_connection_and_one_of_another_origin_none(pages: int, page: Any) -> None:
    with Stack(cors_origins=f"http://localhost:{pages}") as stack:
        client = stack.client()
        ids = [client.submit("sim-1?ttft_ms=0&tps=100&tokens=60").id for _ in range(20)]
        url = stack.url.replace("http", "ws", 1) + "/v1/ws"
        page.goto(f"http://localhost:{pages}/many.html")
        told = page.evaluate("([url, ids]) => many(url, ids, 300)", [url, ids])
        assert (told["connections"], told["protocol"], told["extensions"]) == (2, "respool.v1", "")
        for id_ in ids:
            assert told["texts"][id_] == text_of(client.events(id_))
        page.goto(f"http://127.0.0.1:{pages}/many.html")
        assert page.evaluate("([url, ids]) => many(url, ids, 0)", [url, ids]) == "refused"
