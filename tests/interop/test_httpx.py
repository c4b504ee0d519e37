"""Python's clients of server-sent events over a network that cuts them: each has the whole log in the end, once."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol

import httpx2
import pytest

from tests.harness.client import Client
from tests.harness.stack import Stack
from tests.interop.cuts import SEEDS, cut_streams, judge

pytestmark = pytest.mark.interop
MOST_CONNECTIONS = 100


class Event(Protocol):
    """A server-sent event, as both packages have it."""

    @property
    def id(self) -> str: ...
    @property
    def data(self) -> str: ...


@contextmanager
def with_httpx_sse(url: str, headers: dict[str, str]) -> Iterator[Iterator[Event]]:
    httpx, httpx_sse = pytest.importorskip("httpx"), pytest.importorskip("httpx_sse", reason="make interop")
    try:
        with (
            httpx.Client(timeout=20) as client,
            httpx_sse.connect_sse(client, "GET", url, headers=headers) as source,
        ):
            yield source.iter_sse()
    except httpx.TransportError as cut:
        raise ConnectionError from cut


@contextmanager
def with_httpx2(url: str, headers: dict[str, str]) -> Iterator[Iterator[Event]]:
    try:
        with httpx2.Client(timeout=20) as client, client.sse(url, headers=headers) as source:
            yield iter(source)
    except httpx2.TransportError as cut:
        raise ConnectionError from cut


def follow(connect: Callable[..., Any], url: str) -> list[tuple[str, dict[str, Any]]]:
    """Ids and events of the log, as a reader joins them who comes back with the last id until it has the end."""
    seen: list[tuple[str, dict[str, Any]]] = []
    for _ in range(MOST_CONNECTIONS):
        try:
            with connect(url, {"Last-Event-ID": seen[-1][0]} if seen else {}) as events:
                for event in events:
                    said = json.loads(event.data)
                    if said["type"] in ("queued", "gap"):
                        continue
                    seen.append((event.id, said))
                    if said["type"] in ("stream_end", "error"):
                        return seen
        except ConnectionError:
            continue
    raise AssertionError(f"no end in {MOST_CONNECTIONS} connections")


@pytest.mark.parametrize("connect", [with_httpx_sse, with_httpx2])
def test_a_client_that_is_cut_at_random_bytes_and_comes_back_has_the_whole_log_once(
    client: Client, shared: Stack, connect: Callable[..., Any]
) -> None:
    with cut_streams(client, shared) as streams, ThreadPoolExecutor(len(streams.ids)) as pool:
        outcomes = list(pool.map(lambda url: follow(connect, url), streams.at()))
    for seed, id_, seen in zip(SEEDS, streams.ids, outcomes, strict=True):
        text = "".join(event["text"] for _, event in seen if event["type"] == "text")
        judge(client, id_, seed, {"text": text, "ids": [id_ for id_, _ in seen], "end": seen[-1][1], "gaps": 0})
