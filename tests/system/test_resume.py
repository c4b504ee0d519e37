"""Cut anywhere, resume anywhere: a reader that loses its connection at random bytes ends with exactly the text."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.harness.client import Client, Frame, check_log, frames, text_of
from tests.harness.cutting import CuttingProxy
from tests.harness.stack import Stack
from worker.simulator.text import markdown

READERS = 24
TOKENS = 500
SECONDS = 60


def follow_with_cuts(urls: list[str], id_: str, seed: int) -> tuple[list[Frame], int]:
    """What a reader has in the end who leaves after a random number of bytes, mid-frame, and goes on from the last complete
    frame at any of the APIs; and how often it left."""
    rng, seen, cuts, give_up = random.Random(seed), list[Frame](), 0, time.monotonic() + SECONDS
    with httpx2.Client(timeout=20) as http:
        while True:
            headers = {"accept": "text/event-stream"} | ({"last-event-id": str(seen[-1].id)} if seen else {})
            url = f"{rng.choice(urls)}/v1/generations/{id_}/events"
            budget = rng.choice((rng.randrange(1, 200), rng.randrange(1, 6000)))
            raw = b""
            with http.stream("GET", url, headers=headers) as response:
                if response.status_code == 204:
                    return seen, cuts
                assert response.status_code == 200
                for chunk in response.iter_raw():
                    raw += chunk
                    assert time.monotonic() < give_up, "a stream that ends neither with its end nor by a cut"
                    if len(raw) > budget:
                        break
            cuts += len(raw) > budget
            seen += [frame for frame in frames(iter([raw[:budget]])) if frame.id]


def test_readers_who_are_cut_at_random_bytes_all_end_with_the_whole_log(client: Client, shared: Stack) -> None:
    generation = client.submit(f"sim-1?tps=500&ttft_ms=20&tokens={TOKENS}&seed=21&thinking=1")
    with ThreadPoolExecutor(READERS) as pool:
        outcomes = list(pool.map(lambda seed: follow_with_cuts(shared.urls, generation.id, seed), range(READERS)))
    whole = [frame for frame in client.events(generation.id) if frame.id]
    check_log(whole)
    assert text_of(whole) == "".join(markdown(21, TOKENS))
    assert min(cuts for _, cuts in outcomes) > 5
    for seen, _ in outcomes:
        assert seen == whole


@pytest.mark.parametrize("seed", range(4))
def test_a_network_that_cuts_connections_costs_nothing_but_time(client: Client, shared: Stack, seed: int) -> None:
    generation = client.submit(f"sim-1?tps=1000&ttft_ms=20&tokens={TOKENS}&seed={seed}")
    seen: list[Frame] = []
    with CuttingProxy(shared.urls, seed=seed, cuts=15, most_bytes=4000) as proxy:
        for _ in range(60):
            if seen and seen[-1].type == "stream_end":
                break
            headers = {"last-event-id": str(seen[-1].id)} if seen else {}
            try:
                with httpx2.Client(base_url=proxy.url, timeout=20) as http:
                    url = f"/v1/generations/{generation.id}/events"
                    with http.stream("GET", url, headers=headers) as response:
                        seen += (frame for frame in frames(response.iter_raw()) if frame.id)
                assert seen[-1].type == "stream_end", "a stream that ends cleanly ends with its end"
            except httpx2.TransportError:
                continue
        assert proxy.cut > 5
    check_log(seen)
    assert text_of(seen) == "".join(markdown(seed, TOKENS)) == client.record(generation.id)["text"]


def test_a_reader_may_come_back_after_the_end_and_page_through_it(client: Client, other_client: Client) -> None:
    generation = client.submit("sim-1?tps=0&ttft_ms=0&tokens=2500&seed=3", max_tokens=10_000)
    whole = [frame for frame in client.events(generation.id) if frame.id]
    for index in (0, 998, 999, 1000, 1001, 1999, 2000, 2001, len(whole) - 2):
        assert other_client.events(generation.id, str(whole[index].id)) == whole[index + 1 :]
