"""The chat form as pages read it: the usual readers (readers.html), in Chromium, from the API's own origin and from another."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.vocabulary import Metrics
from tests.harness.client import Client
from tests.harness.cutting import CuttingProxy
from tests.harness.stack import Stack

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make browser")

PAGE = Path(__file__).with_name("readers.html")
READERS = ["byBlocks", "byLines"]
MODEL = "sim-1?tps=400&ttft_ms=20&tokens=300&thinking=1"
CUTS = 8
ASKED = {"messages": [{"role": "user", "content": "Hi"}], "system": "Be brief."}
"""What a hook posts: no model."""


def open_page(page: Any, origin: str) -> None:
    """The page, as if the API's own origin served it."""
    page.route(f"{origin}/readers.html", lambda route: route.fulfill(body=PAGE.read_text(), content_type="text/html"))
    page.goto(f"{origin}/readers.html")


@pytest.fixture(scope="module")
def stack(pages: int) -> Iterator[Stack]:
    """Two APIs, whose operator has named a model, and the origin of a page."""
    # An upstream that is overloaded again and again would not be called for a while.
    with Stack(apis=2, model=MODEL, cors_origins=f"http://localhost:{pages}", upstream_breaker_failures=0) as stack:
        yield stack


@pytest.fixture(params=["its own origin", "another origin"])
def chatting(request: pytest.FixtureRequest, stack: Stack, pages: int, page: Any) -> Any:
    """A page of readers, there."""
    if request.param == "its own origin":
        open_page(page, stack.url)
    else:
        page.goto(f"http://localhost:{pages}/readers.html")
    return page


def record_of(client: Client, seen: dict[str, Any]) -> dict[str, Any]:
    """Of the one generation that was in all answers of which the page has read something."""
    (place,) = {answer["place"] for answer in seen["answers"] if answer["taken"] or answer["end"] == "done"}
    return client.record(place.removeprefix("/v1/generations/"))


def is_whole(client: Client, seen: dict[str, Any]) -> bool:
    """Whether a page that stopped at `[DONE]` has the text, each entry once and in order, and the figures of the end."""
    record = record_of(client, seen)
    assert (seen["done"], seen["gaps"], seen["error"], record["state"]) == (True, 0, None, "completed")
    assert seen["text"] == record["text"] != ""
    assert seen["ids"] == [frame.id for frame in client.events(record["id"]) if frame.id]
    assert seen["usage"] == record["usage"]
    assert seen["usage"].keys() >= {"input_tokens", "output_tokens"}
    assert seen["metrics"].keys() >= Metrics.__required_keys__
    return True


@pytest.mark.parametrize("reader", READERS)
def test_a_chat_without_a_model_is_read_to_its_figures(stack: Stack, chatting: Any, reader: str) -> None:
    seen = chatting.evaluate("(args) => chat(...args)", [reader, f"{stack.url}/v1/chat/stream", ASKED])
    assert is_whole(stack.client(), seen)
    assert record_of(stack.client(), seen)["model"] == MODEL


@pytest.mark.parametrize("reader", READERS)
def test_an_error_says_what_happened_and_whether_to_come_back(stack: Stack, chatting: Any, reader: str) -> None:
    body = {**ASKED, "model": "sim-1?fail=529&at=0&retry_after=0&tps=0&ttft_ms=0"}
    seen = chatting.evaluate("(args) => chat(...args)", [reader, f"{stack.url}/v1/chat/stream", body])
    record = record_of(stack.client(), seen)
    assert (seen["done"], seen["text"], record["state"]) == (True, "", "failed")
    error = seen["error"]
    assert error["code"] == record["error"]["code"]
    assert error.keys() >= {"message", "retryable", "status", "retry_after_seconds"}


@pytest.mark.parametrize("reader", ["byFrames", "byLines"])
def test_a_reader_of_bare_text_appends_what_is_not_json(stack: Stack, chatting: Any, reader: str) -> None:
    prompt = '{"done":true} [1] "2" is no end, [DONE] neither, and 42 is a number; null is not.'
    model = MODEL if reader == "byFrames" else "sim-1?echo=1&tps=0&ttft_ms=0"
    body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    seen = chatting.evaluate("(args) => readText(...args)", [reader, f"{stack.url}/v1/chat/stream", body])
    record = record_of(stack.client(), seen)
    assert seen["done"]
    assert seen["text"] == record["text"] != ""
    assert (seen["end"]["type"], seen["end"]["usage"]) == ("stream_end", record["usage"])


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("seed", "origin"), [(1, "the proxy's"), (2, "another")])
def test_a_chat_that_was_cut_goes_on_at_the_other_api(
    stack: Stack, pages: int, page: Any, reader: str, seed: int, origin: str
) -> None:
    """Cut in a frame or a character, or while the other origin's preflight is answered; or in the head, which over plain HTTP
    Chromium takes for a whole one, of an answer that is empty."""
    with CuttingProxy(stack.urls, seed=seed, cuts=CUTS, most_bytes=6000) as proxy:
        if origin == "another":
            page.goto(f"http://localhost:{pages}/readers.html")
        else:
            open_page(page, proxy.url)
        seen = page.evaluate("(args) => chatOn(...args)", [reader, f"{proxy.url}/v1/chat/stream", ASKED])
    assert any(answer["end"] == "cut" and answer["taken"] for answer in seen["answers"])
    assert not any(answer["end"] == "clean" and answer["taken"] for answer in seen["answers"])
    assert is_whole(stack.client(), seen)
