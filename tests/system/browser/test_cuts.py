"""Chromium's EventSource over a network that cuts it: it ends with the whole log, and sees nothing twice."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.harness.cutting import Cut, CuttingProxy
from tests.harness.stack import Stack
from tests.interop.cuts import SEEDS, cut_streams, judge

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

_HEAD: Final = 800
"""More bytes than an answer has in front of its body."""
_OPEN: Final = "(urls) => readAll(urls)"


@pytest.fixture(scope="module")
def stack(pages: int) -> Iterator[Stack]:
    with Stack(apis=2, cors_origins=f"http://localhost:{pages}") as stack:
        yield stack


@pytest.mark.parametrize(("kinds", "least_bytes"), [(("reset", "end", "half"), 1), (("fin",), _HEAD)])
def test_an_eventsource_that_is_cut_at_random_bytes_ends_with_the_whole_log_and_stops(
    stack: Stack, pages: int, page: Any, kinds: tuple[Cut, ...], least_bytes: int
) -> None:
    client = stack.client()
    page.goto(f"http://localhost:{pages}/cut.html")
    with cut_streams(client, stack, kinds=kinds, least_bytes=least_bytes, least=40) as streams:
        told = page.evaluate(_OPEN, streams.at())
    for seed, id_, seen in zip(SEEDS, streams.ids, told, strict=True):
        judge(client, id_, seed, seen)


def test_a_fin_in_the_head_of_an_answer_stops_it_for_good_so_a_page_opens_another(
    stack: Stack, pages: int, page: Any
) -> None:
    """Over http Chromium takes such a head for the whole one, which names no type of an event stream."""
    client = stack.client()
    id_ = client.submit("sim-1?tps=0&ttft_ms=0&tokens=20").id
    whole = [frame.id for frame in client.events(id_) if frame.id]
    page.goto(f"http://localhost:{pages}/cut.html")
    with CuttingProxy(stack.urls, seed=1, cuts=1, least_bytes=20, most_bytes=100, kinds=("fin",)) as proxy:
        url = f"{proxy.url}/v1/generations/{id_}/events"
        (stopped,) = page.evaluate(_OPEN, [url])
        assert (stopped["ids"], stopped["end"], proxy.cut, proxy.connections) == ([], None, 1, 1)
        (opened_anew,) = page.evaluate(_OPEN, [url])
    assert opened_anew["ids"] == whole
