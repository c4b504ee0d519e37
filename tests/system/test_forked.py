"""Processes that tests fork are told apart from those that they must start, and end as any other does."""

import os
import signal
from pathlib import Path

import pytest

from tests.harness.forks import ForkedProcess
from tests.harness.processes import Child, python
from tests.harness.stack import until

SIMULATOR = python("worker.simulator", "--port", "0")
LISTENS = "simulated upstream on"


def started(folder: Path, command: list[str] = SIMULATOR, **environment: str | None) -> Child:
    return Child("child", command, environment, folder).start()


def test_a_forked_process_says_what_it_says_and_ends_as_it_is_told(tmp_path: Path) -> None:
    child = started(tmp_path)
    assert isinstance(child.process, ForkedProcess)
    until(lambda: child.said(LISTENS), "it listens")
    assert os.getsid(child.pid) == child.pid
    assert child.running
    assert child.stop() == 0
    assert not child.running


def test_one_that_is_killed_is_gone_and_may_be_started_again(tmp_path: Path) -> None:
    child = started(tmp_path)
    before = child.pid
    child.kill()
    assert child.code == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)
    child.start()
    assert isinstance(child.process, ForkedProcess)
    until(lambda: child.said(LISTENS), "it listens")
    child.kill()


def test_one_that_cannot_run_ends_with_its_code_and_says_why(tmp_path: Path) -> None:
    child = started(tmp_path, python("worker", "--name", "w"), RESPOOL_LEASE="never", ANTHROPIC_API_KEY="k")
    assert isinstance(child.process, ForkedProcess)
    assert child.wait() == 1
    assert child.said("RESPOOL_LEASE")


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        (SIMULATOR, {"LC_ALL": "tr_TR.UTF-8"}),
        (SIMULATOR, {"TESTS_FORK": None}),
        (python("worker", "--processes", "0"), {}),
        (python("broker.store.nothing"), {}),
    ],
)
def test_what_imports_may_have_read_and_what_has_children_is_started(
    tmp_path: Path, command: list[str], environment: dict[str, str | None]
) -> None:
    child = started(tmp_path, command, **environment)
    assert not isinstance(child.process, ForkedProcess)
    child.kill()


def test_none_is_forked_where_that_is_not_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTS_FORK", "0")
    child = started(tmp_path)
    assert not isinstance(child.process, ForkedProcess)
    child.kill()
