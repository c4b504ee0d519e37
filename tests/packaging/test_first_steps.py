"""A newcomer's first minutes: `make up` with the real API, worker, simulator and Valkey, and the lines it prints."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.harness.processes import alive, children, command_of
from tests.packaging.launching import Launcher, eventually


def ask(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """A GET, or a POST of a JSON body; the JSON of the answer."""
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def submit(stack: Launcher, model: str) -> str:
    """Submit a generation; its URL."""
    message = {"role": "user", "content": "Tell me a story"}
    body = {"model": model, "max_tokens": 1024, "messages": [message]}
    return f"{stack.url}/v1/generations/{ask(f'{stack.url}/v1/generations', body)['id']}"


def state(url: str) -> str:
    return str(ask(url)["state"])


def ids(stream: str) -> list[tuple[int, int]]:
    """The entry ids of an event stream, in order."""
    return [(int(ms), int(seq)) for ms, seq in re.findall(r"^id: (\d+)-(\d+)$", stream, re.MULTILINE)]


@pytest.mark.skipif(shutil.which("curl") is None, reason="a newcomer without curl reads on in a browser")
def test_the_printed_line_shows_a_resume_without_a_gap(tmp_path: Path) -> None:
    with Launcher(tmp_path, real=True) as stack:
        line = next(line for line in stack.up().output.splitlines() if line.startswith("ID=") and "LAST=" in line)
        quick = line.replace("tps=20&tokens=200", "tps=50&tokens=120").replace("-m 3", "-m 1")
        assert quick != line
        shown = subprocess.run(["bash", "-c", quick], capture_output=True, text=True, timeout=60, check=True)
    before, after = ids(shown.stderr), ids(shown.stdout)
    assert f"--- cut after {before[-1][0]}-{before[-1][1]}; resuming ---" in shown.stdout
    *whole, end = before + after
    attempt = whole[0][0]
    assert whole == [(attempt, seq) for seq in range(len(whole))]
    assert end[0] > attempt  # an end begins an attempt of its own
    assert end[1] == 0
    assert len(before) > 5
    assert len(after) > 5
    assert '"stream_end"' in shown.stdout
    assert '"stream_end"' not in shown.stderr


def test_what_ctrl_c_interrupted_goes_on_in_the_next_run(tmp_path: Path) -> None:
    with Launcher(tmp_path, real=True) as first:
        generation = submit(first.up(), "sim-1?tps=40&tokens=120")
        eventually(lambda: state(generation) == "running")
        asked = time.monotonic()
        first.signal(signal.SIGINT)
        assert first.ended(13) == 0
        assert time.monotonic() - asked < 12.5
    with Launcher(tmp_path, real=True) as second:
        again = generation.replace(first.url, second.up().url)
        eventually(lambda: state(again) == "completed")


def test_a_generation_survives_kill_9_of_each_part_in_turn(tmp_path: Path) -> None:
    with Launcher(tmp_path, real=True, RESPOOL_LEASE="1") as stack:
        parts = children(stack.up().pid)
        generation = submit(stack, "sim-1?tps=40&tokens=200")
        eventually(lambda: state(generation) == "running")
        for name in ("-m api", "valkey-server", "-m worker"):
            (pid,) = (pid for pid in parts if re.search(f"{name}( |$)", command_of(pid)))
            os.kill(pid, signal.SIGKILL)
            eventually(lambda: answered(generation))
        eventually(lambda: state(generation) == "completed", 40)


def test_nothing_real_outlives_a_launcher_that_was_killed(tmp_path: Path) -> None:
    with Launcher(tmp_path, real=True) as stack:
        parts = children(stack.up().pid)
        generation = submit(stack, "sim-1?tps=20&tokens=1000")
        eventually(lambda: state(generation) == "running")
        stack.signal(signal.SIGKILL)
        eventually(lambda: not any(map(alive, parts)))


def answered(url: str) -> bool:
    try:
        return bool(state(url))
    except OSError:
        return False
