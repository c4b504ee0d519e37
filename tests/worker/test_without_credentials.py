"""A worker that could call nobody does not start: it would spend its generations' attempts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from broker.local.embedded import EmbeddedServer
from tests.harness.processes import ROOT


def start(home: Path, redis_url: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """`python -m worker` to its end. Without a Redis it cannot live long either; what it says tells the two apart."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}
    return subprocess.run(
        [sys.executable, "-m", "worker", *arguments],
        cwd=ROOT,
        env={**clean, "HOME": str(home), "RESPOOL_REDIS_URL": redis_url, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("arguments", [("--processes", "2"), ("--name", "alone")])
def test_a_worker_without_a_key_refuses_to_start_and_says_what_to_set(
    embedded: EmbeddedServer, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    ended = start(tmp_path, embedded.url, *arguments)
    assert ended.returncode == 1
    assert ended.stderr.startswith("worker: ")
    assert "set ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN)" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_with_a_key_it_gets_as_far_as_to_its_redis(tmp_path: Path) -> None:
    """Which is refused here: it would lose logs."""
    with EmbeddedServer(tmp_path / "unsafe", config={"maxmemory-policy": "allkeys-lru"}) as unsafe:
        ended = start(tmp_path, unsafe.url, ANTHROPIC_API_KEY="k")
    assert ended.returncode == 1
    assert "ANTHROPIC" not in ended.stderr
    assert "maxmemory-policy" in ended.stderr
