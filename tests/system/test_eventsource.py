"""A real EventSource client over a network that cuts it: it resumes exactly, and stops by itself after the end."""

import json
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.stack import Stack
from tests.system.js.cutting import CuttingProxy
from worker.simulator.text import markdown

FOLLOW = Path(__file__).parent / "js" / "follow.mjs"
TOKENS = 400


@pytest.fixture(scope="module")
def follow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client's script, in a folder where its package is installed."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("needs node and npm")
    folder = tmp_path_factory.mktemp("eventsource")
    (folder / "package.json").write_text('{"private": true}')
    options = ("--no-audit", "--no-fund", "--no-package-lock", "--silent")
    try:
        installed = subprocess.run(
            [npm, "install", *options, "eventsource@5"], cwd=folder, capture_output=True, timeout=60
        )
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not install eventsource@5 within a minute")
    if installed.returncode:
        pytest.skip("npm could not install eventsource@5 (no network?)")
    return Path(shutil.copy(FOLLOW, folder))


def run(follow: Path, urls: list[str]) -> list[dict[str, Any]]:
    """What the clients saw, all at once in one Node process, which ends when all have stopped."""
    outcome = subprocess.run(["node", str(follow), *urls], capture_output=True, timeout=40, check=False)
    assert outcome.returncode == 0, outcome.stderr.decode()
    found: list[dict[str, Any]] = json.loads(outcome.stdout)
    return found


def test_an_eventsource_that_is_cut_at_random_bytes_ends_with_the_whole_text_and_stops(
    client: Client, shared: Stack, follow: Path
) -> None:
    seeds = range(6)
    submitted = [client.submit(f"sim-1?tps=300&ttft_ms=20&tokens={TOKENS}&seed={seed}&thinking=1") for seed in seeds]
    with ExitStack() as stack:
        proxies = [
            stack.enter_context(CuttingProxy(shared.urls, seed=seed, cuts=12, most_bytes=5000)) for seed in seeds
        ]
        pairs = zip(proxies, submitted, strict=True)
        outcomes = run(follow, [f"{proxy.url}/v1/generations/{generation.id}/events" for proxy, generation in pairs])
        assert min(proxy.cut for proxy in proxies) > 5
    for seed, generation, seen in zip(seeds, submitted, outcomes, strict=True):
        assert seen["text"] == "".join(markdown(seed, TOKENS)) == client.record(generation.id)["text"]
        assert seen["ids"] == [frame.id for frame in client.events(generation.id) if frame.id]
        assert seen["end"]["status"] == "completed"
        assert seen["gaps"] == 0
        assert seen["code"] == 204, "what stopped it"


def test_an_eventsource_also_stops_after_an_error_and_after_a_cancel(
    client: Client, shared: Stack, follow: Path
) -> None:
    failed = client.submit("sim-1?fail=400")
    cancelled = client.submit("sim-1?tps=20&tokens=2000")
    client.cancel(cancelled.id)
    client.events(cancelled.id)
    urls = [f"{shared.url}/v1/generations/{generation.id}/events" for generation in (failed, cancelled)]
    error, end, snapshot = run(follow, [*urls, f"{urls[1]}?from=snapshot"])
    assert (error["end"]["code"], error["code"]) == ("upstream_invalid_request", 204)
    assert (end["end"]["status"], end["code"]) == ("cancelled", 204)
    assert (snapshot["end"]["status"], snapshot["code"]) == ("cancelled", 204)


def test_an_eventsource_stops_where_there_is_nothing(shared: Stack, follow: Path) -> None:
    (seen,) = run(follow, [f"{shared.url}/v1/generations/gen_{'0' * 26}/events"])
    assert (seen["code"], seen["ids"], seen["errors"]) == (404, [], 1)
