"""Clients of the Durable Streams protocol: they follow a generation live, are cut at random bytes, and resume."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.cutting import Cut
from tests.harness.stack import Stack
from tests.interop.cuts import SEEDS, cut_streams, judge
from tests.interop.programs import Programs

pytestmark = pytest.mark.interop
STREAM = "/v1/generations/{}/stream"
CUT_SHORT: tuple[Cut, ...] = ("reset", "fin")
ENDED_EARLY: tuple[Cut, ...] = ("end", "half")
CUTS_OF_NPM_S = 24
"""It asks ahead, and of two connections closes one itself when the other is cut."""
MOST_SESSIONS = 200


@pytest.mark.parametrize("live", ["sse", "long-poll"])
def test_npm_s_client_that_is_cut_has_all_and_nothing_twice(
    client: Client, shared: Stack, programs: Programs, live: str
) -> None:
    with cut_streams(client, shared, kinds=CUT_SHORT, cuts=CUTS_OF_NPM_S) as streams:
        outcomes = programs.run("durable-streams", *streams.at(STREAM), env={"LIVE": live})
    for seed, id_, seen in zip(SEEDS, streams.ids, outcomes, strict=True):
        told(client, id_, seed, seen)
        assert seen["repeats"] == 0


def test_what_npm_s_client_gives_twice_behind_a_clean_end_is_known_by_its_cursor(
    client: Client, shared: Stack, programs: Programs
) -> None:
    with cut_streams(client, shared, kinds=ENDED_EARLY, least=10) as streams:
        outcomes = programs.run("durable-streams", *streams.at(STREAM), env={"LIVE": "sse"})
    for seed, id_, seen in zip(SEEDS, streams.ids, outcomes, strict=True):
        told(client, id_, seed, seen)
    print("given twice:", sum(seen["repeats"] for seen in outcomes))


def told(client: Client, id_: str, seed: int, seen: dict[str, Any]) -> None:
    """As `judge`, of messages, which have their cursors in them."""
    end = dict(seen["end"])
    assert end.pop("id") == seen["ids"][-1]
    judge(client, id_, seed, {**seen, "end": end})


def follow(url: str, live: str) -> list[dict[str, Any]]:
    """Messages as PyPI's `durable-streams` gives them, which goes on from its last offset wherever it was cut."""
    durable_streams = pytest.importorskip("durable_streams", reason="make interop")
    seen: list[dict[str, Any]] = []
    offset = "-1"
    for _ in range(MOST_SESSIONS):
        try:
            with durable_streams.stream(url, offset=offset, live=live, timeout=30) as session:
                for event in session.iter_events(mode="json"):
                    batch = event.data if isinstance(event.data, list) else [event.data]
                    seen += batch
                    offset = event.next_offset
                    if seen and seen[-1]["type"] in ("stream_end", "error"):
                        return seen
        except Exception:  # it tells a cut in many ways
            continue
    raise AssertionError(f"no end in {MOST_SESSIONS} sessions: {len(seen)} messages")


@pytest.mark.parametrize("live", ["sse", "long-poll"])
def test_pypi_s_client_that_is_cut_has_all_and_nothing_twice(client: Client, shared: Stack, live: str) -> None:
    with cut_streams(client, shared, kinds=CUT_SHORT) as streams, ThreadPoolExecutor(len(streams.ids)) as pool:
        outcomes = list(pool.map(lambda url: follow(url, live), streams.at(STREAM)))
    for seed, id_, seen in zip(SEEDS, streams.ids, outcomes, strict=True):
        text = "".join(message["text"] for message in seen if message["type"] == "text")
        ids = [message["id"] for message in seen]
        told(client, id_, seed, {"text": text, "ids": ids, "end": seen[-1], "gaps": 0})
