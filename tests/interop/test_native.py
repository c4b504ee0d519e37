"""Clients of plain server-sent events over a network that cuts them: each ends with the whole log, and sees nothing twice."""

from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.stack import Stack
from tests.interop.cuts import SEEDS, cut_streams, judge
from tests.interop.programs import Programs

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("name", ["eventsource", "eventsource-client", "fetch-event-source"])
def test_a_client_that_is_cut_at_random_bytes_ends_with_the_whole_log_and_stops(
    client: Client, shared: Stack, programs: Programs, name: str
) -> None:
    with cut_streams(client, shared) as streams:
        outcomes = programs.run(name, *streams.at())
    for seed, id_, seen in zip(SEEDS, streams.ids, outcomes, strict=True):
        judge(client, id_, seed, seen)


def test_node_s_own_eventsource_that_is_cut_ends_with_the_whole_log_and_stops(
    client: Client, shared: Stack, programs: Programs
) -> None:
    with cut_streams(client, shared) as streams:
        outcomes = programs.run(
            "eventsource", *streams.at(), node=programs.newer, flags=["--experimental-eventsource"], env={"OWN": "1"}
        )
    for seed, id_, seen in zip(SEEDS, streams.ids, outcomes, strict=True):
        judge(client, id_, seed, seen)


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
