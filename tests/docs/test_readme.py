"""The commands of the README, run as they stand there but for the address, the pace and the process id."""

import json
import re
import shutil
import subprocess

import pytest

from tests.conftest import StartStack
from tests.docs.pages import blocks, page
from tests.harness.client import Frame, check_log, frames
from tests.harness.stack import Stack
from tests.system.faults.family import family

COMMAND_BLOCKS = {
    name: next(block for block in blocks(page("README.md"), "sh") if mark in block)
    for name, mark in {
        "resume": "Last-Event-ID",
        "submit": "submit() {",
        "cancel": "/cancel",
        "watch": "cksum",
        "kill": "kill -9",
        "chat": "/v1/chat/stream",
        "record": "?state=",
    }.items()
}
FASTER = {"tps=20&tokens=120": "tps=60&tokens=160", "-m 3": "-m 2", "sleep 2": "sleep 0.5", "tps=40": "tps=100"}
PID_FILE = ".respool/worker.pid"

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the commands are curl's")


def script(url: str, *names: str) -> str:
    """These blocks as one shell session; a line of its own tells where each begins."""
    text = "\n".join(f"echo '@@ {name}'\n{COMMAND_BLOCKS[name]}" for name in names)
    return text.replace("http://127.0.0.1:8000", url)


def faster(text: str) -> str:
    for slow, quick in FASTER.items():
        assert slow in text
        text = text.replace(slow, quick)
    return text


def logged(text: str) -> list[Frame]:
    return [frame for frame in frames(iter([text.encode()])) if frame.id is not None]


@pytest.fixture(scope="module")
def said(shared: Stack) -> dict[str, str]:
    """What each block printed, by its name; `resume` with what its first half wrote to the terminal."""
    text = faster(script(shared.url, "resume", "submit", "cancel", "watch", "chat", "record"))
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=60, check=True)
    parts = re.split(r"^@@ (\w+)\n", done.stdout, flags=re.MULTILINE)[1:]
    return {**dict(zip(parts[::2], parts[1::2], strict=True)), "dropped": done.stderr}


def test_the_resume_loses_nothing_and_repeats_nothing(said: dict[str, str]) -> None:
    before, after = logged(said["dropped"]), logged(said["resume"])
    assert f"--- dropped after {before[-1].id}, coming back ---" in said["resume"]
    assert len(before) > 5
    assert len(after) > 5
    check_log(before + after)


def test_the_cancel_ends_it_as_cancelled(said: dict[str, str]) -> None:
    assert logged(said["cancel"])[-1].data["status"] == "cancelled"


def test_three_viewers_and_a_late_joiner_see_the_same(said: dict[str, str]) -> None:
    first, second, third, snapshot = said["watch"].split("\n", 3)
    assert first == second == third
    assert re.fullmatch(r"\d+ \d{4,}", first)
    joined = logged(snapshot)
    assert [frame.type for frame in joined] == ["snapshot", "stream_end"]
    assert len(joined[0].data["text"]) > 100


def test_the_chat_form_ends_with_done(said: dict[str, str]) -> None:
    assert said["chat"].endswith("\n\ndata: [DONE]\n\n")
    check_log(logged(said["chat"]))


def test_the_record_and_the_list_are_shown(said: dict[str, str]) -> None:
    decoder = json.JSONDecoder()
    record, end = decoder.raw_decode(said["record"])
    assert record["state"] == "completed"
    assert record["text"]
    listed = decoder.decode(said["record"][end:])
    assert {found["state"] for found in listed["data"]} == {"completed"}


def test_a_killed_worker_is_followed_by_an_attempt_that_goes_on(start_stack: StartStack) -> None:
    stack = start_stack(workers=0, lease=30)
    text = script(stack.url, "submit", "kill")
    assert PID_FILE in text
    with family(stack, "worker", 1) as worker:
        pid_file = stack.folder / "worker.pid"
        pid_file.write_text(f"{worker.parent.pid}\n")
        text = f"URL={stack.url}\n" + text.replace(PID_FILE, str(pid_file)).replace("tps=10", "tps=20")
        done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=60, check=True)
    events = logged(done.stdout)
    check_log(events)
    assert events[-1].data["status"] == "completed"
    assert [frame.data["reason"] for frame in events if frame.type == "stream_start"] == ["start", "continue"]
