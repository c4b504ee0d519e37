"""Pages in Chromium: one of another port on this machine uses the API if its origin is named, and reads nothing if not; our own
shows the API without the internet."""

from typing import Any

import pytest

from tests.harness.stack import Stack

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make browser")


def test_a_page_of_a_named_origin_uses_the_api_and_one_of_another_reads_nothing(pages: int, page: Any) -> None:
    with Stack(cors_origins=f"http://localhost:{pages}") as stack:
        page.goto(f"http://localhost:{pages}/asking.html")
        told = page.evaluate("(api) => ask(api)", stack.url)
        assert told["location"].startswith("/v1/generations/gen_")
        assert f"id: {told['first']}\n" not in told["rest"]
        assert "stream_end" in told["rest"]
        assert told["code"] == "not_found"
        events = f"{stack.url}{told['location']}/events"
        assert page.evaluate("(url) => follow(url)", events) == "read"

        page.goto(f"http://127.0.0.1:{pages}/asking.html")
        assert page.evaluate("(url) => follow(url)", events) == "refused"
        for path in ("/v1/generations", told["location"], "/healthz"):
            with pytest.raises(playwright.Error, match="Failed to fetch"):
                page.evaluate("(url) => fetch(url)", f"{stack.url}{path}")
        with pytest.raises(playwright.Error, match="Failed to fetch"):
            page.evaluate("(api) => ask(api)", stack.url)


def test_the_docs_are_shown_and_ask_nobody_but_the_api(page: Any) -> None:
    with Stack(workers=0) as stack:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{stack.url}/docs")
        page.get_by_text("/v1/generations/{id}/cancel").first.wait_for(timeout=30_000)
        assert all(url.startswith((stack.url, "data:")) for url in asked)
