"""Clients of plain server-sent events over a network that cuts them: each ends with the whole log, and sees nothing twice."""

from contextlib import ExitStack
from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.cutting import ALL, CuttingProxy
from tests.harness.stack import Stack
from tests.interop.programs import Programs
from worker.simulator.text import markdown

pytestmark = pytest.mark.interop
TOKENS = 400
SEEDS = range(6)
CUTS = 12
"""Of each of these connections' streams: 72 in all."""
CLIENTS = ("eventsource",)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_that_is_cut_at_random_bytes_ends_with_the_whole_log_and_stops(
    client: Client, shared: Stack, programs: Programs, name: str
) -> None:
    submitted = [client.submit(f"sim-1?tps=300&ttft_ms=20&tokens={TOKENS}&seed={seed}&thinking=1") for seed in SEEDS]
    with ExitStack() as stack:
        proxies = [
            stack.enter_context(CuttingProxy(shared.urls, seed=seed, cuts=CUTS, most_bytes=5000, kinds=ALL))
            for seed in SEEDS
        ]
        pairs = zip(proxies, submitted, strict=True)
        outcomes = programs.run(
            name, *(f"{proxy.url}/v1/generations/{generation.id}/events" for proxy, generation in pairs)
        )
        assert min(proxy.cut for proxy in proxies) > 5
        assert sum(proxy.cut for proxy in proxies) >= 50
    for seed, generation, seen in zip(SEEDS, submitted, outcomes, strict=True):
        whole = [frame for frame in client.events(generation.id) if frame.id]
        assert seen["text"] == "".join(markdown(seed, TOKENS)) == client.record(generation.id)["text"]
        assert seen["ids"] == [frame.id for frame in whole]
        assert seen["end"] == whole[-1].data
        assert seen["gaps"] == 0


def follow(programs: Programs, *urls: str) -> list[dict[str, Any]]:
    """What an EventSource of each saw, which nobody closed."""
    found: list[dict[str, Any]] = programs.run("eventsource", *urls, seconds=40)
    return found


def test_an_eventsource_stops_after_an_end_an_error_and_a_cancel(
    client: Client, shared: Stack, programs: Programs
) -> None:
    completed = client.submit("sim-1?tps=0&tokens=20")
    failed = client.submit("sim-1?fail=400")
    cancelled = client.submit("sim-1?tps=20&tokens=2000")
    client.cancel(cancelled.id)
    client.events(cancelled.id)
    urls = [f"{shared.url}/v1/generations/{one.id}/events" for one in (completed, failed, cancelled)]
    end, error, cut, snapshot = follow(programs, *urls, f"{urls[-1]}?from=snapshot")
    assert (end["end"]["status"], end["code"]) == ("completed", 204)
    assert (error["end"]["code"], error["code"]) == ("upstream_invalid_request", 204)
    assert (cut["end"]["status"], cut["code"]) == ("cancelled", 204)
    assert (snapshot["end"]["status"], snapshot["code"]) == ("cancelled", 204)


def test_an_eventsource_stops_where_there_is_nothing(shared: Stack, programs: Programs) -> None:
    (seen,) = follow(programs, f"{shared.url}/v1/generations/gen_{'0' * 26}/events")
    assert (seen["code"], seen["ids"], seen["errors"]) == (404, [], 1)
