"""The orphans: whatever is still held when its owner is gone is ended, and nothing else."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from broker.processes.orphans import HeldProcess, Orphans
from tests.harness.processes import alive, children
from tests.packaging.launching import eventually

SLEEP = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)"]
STUBBORN = [sys.executable, "-c", f"import signal; signal.signal(15, signal.SIG_IGN)\n{SLEEP[2]}"]


@pytest.fixture
def orphans() -> Iterator[Orphans]:
    mine = Orphans(grace=0.3)
    yield mine
    mine.close()


def running(argv: list[str], orphans: Orphans) -> HeldProcess:
    """A process that has come as far as to say so."""
    process = HeldProcess(argv, orphans=orphans, output=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline() == b"here\n"
    return process


def test_what_is_held_is_ended_when_the_tether_is_closed(orphans: Orphans) -> None:
    process = running(SLEEP, orphans)
    orphans.close()
    eventually(lambda: process.poll() == -signal.SIGTERM)


def test_what_ignores_sigterm_is_killed_after_the_grace(orphans: Orphans) -> None:
    process = running(STUBBORN, orphans)
    orphans.close()
    eventually(lambda: process.poll() == -signal.SIGKILL)


def test_what_was_released_is_left_alone(orphans: Orphans) -> None:
    held, released = running(SLEEP, orphans), running(SLEEP, orphans)
    orphans.release(released.pid)
    orphans.close()
    eventually(lambda: held.poll() is not None)
    assert released.poll() is None
    released.kill()


def test_a_child_is_released_as_soon_as_it_is_reaped(orphans: Orphans) -> None:
    process = running(SLEEP, orphans)
    process.signal(signal.SIGKILL)
    eventually(lambda: process.poll() is not None)
    assert orphans._held == set()


def test_stop_asks_first_and_kills_after_the_grace(orphans: Orphans) -> None:
    assert running(SLEEP, orphans).stop(grace=5) == -signal.SIGTERM
    began = time.monotonic()
    assert running(STUBBORN, orphans).stop(grace=0.2) == -signal.SIGKILL
    assert time.monotonic() - began >= 0.2


def test_a_tether_that_somebody_killed_is_replaced_and_knows_what_the_first_one_held(orphans: Orphans) -> None:
    first = running(SLEEP, orphans)
    assert orphans._process is not None
    orphans._process.kill()
    orphans._process.wait(5)
    second = running(SLEEP, orphans)
    orphans.close()
    eventually(lambda: first.poll() is not None and second.poll() is not None)


PARENT = """
import subprocess, sys, time
from broker.processes.orphans import HeldProcess
pids = [HeldProcess([sys.executable, "-c", "import time; time.sleep(60)"]).pid for _ in range(2)]
print(*pids, flush=True)
{last}
"""


@pytest.mark.parametrize("last", ["time.sleep(60)", "import os; os._exit(1)", "raise SystemExit"])
def test_an_owner_that_dies_takes_its_children_along(last: str) -> None:
    program = PARENT.format(last=last)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        watchers = children(parent.pid) - set(pids)
        parent.kill()
    assert len(pids) == 2
    eventually(lambda: not any(map(alive, [*pids, *watchers])))
