"""The seam between history and live under load: many viewers, arriving at random moments of a fast generation."""

import asyncio
import random
import re
from itertools import pairwise

import httpx2
import pytest

from tests.harness.client import Client, check_log, frames, text_of
from tests.harness.stack import Stack
from worker.simulator.text import markdown

VIEWERS = 150
TOKENS = 4000
LOCAL = re.compile(rb"data: [^\n]*\n\n")
ID = re.compile(rb"\nid: ([0-9]+-[0-9]+)\n\n")


def logged(raw: bytes) -> bytes:
    """The frames of the log among the bytes of a stream, as they came: what every viewer must see alike."""
    return LOCAL.sub(b"", raw.replace(b": ka\n", b""))


async def read(http: httpx2.AsyncClient, url: str, delay: float, way: dict[str, str]) -> bytes:
    """Everything that one viewer gets who comes after `delay` seconds."""
    await asyncio.sleep(delay)
    async with http.stream("GET", url, headers={"accept": "text/event-stream"}, params=way) as response:
        assert response.status_code == 200
        return b"".join([chunk async for chunk in response.aiter_raw()])


async def crowd(urls: list[str], id_: str, seconds: float, ways: list[dict[str, str]]) -> list[bytes]:
    """What each of the viewers gets, who come at random moments of `seconds` to any of the APIs."""
    rng = random.Random(id_)
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(timeout=30, limits=limits) as http, asyncio.timeout(60):
        return await asyncio.gather(
            *(
                read(http, f"{rng.choice(urls)}/v1/generations/{id_}/events", rng.uniform(0, seconds), way)
                for way in ways
            )
        )


@pytest.mark.parametrize(("tps", "seconds"), [(2500, 1.8), (0, 0.5)])
def test_viewers_who_arrive_at_any_moment_all_see_the_same_bytes(
    client: Client, shared: Stack, tps: int, seconds: float
) -> None:
    generation = client.submit(f"sim-1?tps={tps}&ttft_ms=100&tokens={TOKENS}&seed=11", max_tokens=100_000)
    got = asyncio.run(crowd(shared.urls, generation.id, seconds, [{}] * VIEWERS))
    whole = logged(got[0])
    check_log(list(frames(iter([whole]))))
    assert text_of(list(frames(iter([whole])))) == "".join(markdown(11, TOKENS)) == client.record(generation.id)["text"]
    different = [index for index, raw in enumerate(got) if logged(raw) != whole]
    assert not different, f"{len(different)} of {VIEWERS} viewers saw something else"


def test_snapshots_and_cursors_join_at_any_moment_too(client: Client, shared: Stack) -> None:
    generation = client.submit(f"sim-1?tps=2500&ttft_ms=50&tokens={TOKENS}&seed=12", max_tokens=100_000)
    with client.stream(generation.id) as events:
        seen = [str(frame.id) for frame, _ in zip((e for e in events if e.id), range(200), strict=False)]
    ways = [{"from": "snapshot"}] * 25 + [{"after": random.Random(n).choice(seen)} for n in range(25)]
    got = asyncio.run(crowd(shared.urls, generation.id, 1.5, ways))
    (raw,) = asyncio.run(crowd(shared.urls, generation.id, 0, [{}]))
    whole = [frame for frame in frames(iter([raw])) if frame.id]
    ids = [frame.id for frame in whole]
    for way, raw in zip(ways, got, strict=True):
        mine = [frame for frame in frames(iter([raw])) if frame.id]
        if "after" in way:
            assert mine == whole[ids.index(way["after"]) + 1 :]
        elif mine[0].type == "snapshot":
            assert mine[1:] == whole[ids.index(mine[0].id) + 1 :]
            assert text_of(mine) == text_of(whole)
        else:
            assert mine == whole, "it came before there was anything to show"


def test_many_generations_at_once_each_reach_their_own_viewers(client: Client, shared: Stack) -> None:
    async def follow(http: httpx2.AsyncClient, number: int) -> tuple[int, bytes]:
        body = {
            "model": f"sim-1?tps=300&ttft_ms=10&tokens=150&jitter=0.9&seed={number}",
            "messages": [{"role": "user", "content": "Hi"}],
        }
        url = shared.urls[number % 2]
        id_ = (await http.post(f"{url}/v1/generations", json=body)).json()["id"]
        raws = await asyncio.gather(
            *(read(http, f"{url}/v1/generations/{id_}/events", number / 200, {}) for url in shared.urls)
        )
        assert logged(raws[0]) == logged(raws[1])
        return number, raws[0]

    async def all_of_them() -> list[tuple[int, bytes]]:
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(timeout=30, limits=limits) as http, asyncio.timeout(60):
            return await asyncio.gather(*(follow(http, number) for number in range(60)))

    for number, raw in asyncio.run(all_of_them()):
        events = list(frames(iter([raw])))
        check_log(events)
        assert text_of(events) == "".join(markdown(number, 150))


def test_ids_count_without_a_hole(client: Client) -> None:
    generation = client.submit("sim-1?tps=0&ttft_ms=0&tokens=2500", max_tokens=100_000)
    *frames_, _ = (frame for frame in client.events(generation.id) if frame.id)  # the end has a number of its own
    ids = [tuple(map(int, str(frame.id).split("-"))) for frame in frames_]
    assert len({attempt for attempt, _ in ids}) == 1
    assert all(after == before + 1 for (_, before), (_, after) in pairwise(ids))
