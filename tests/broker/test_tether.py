"""The tether: whatever is still held when its owner is gone is ended, and nothing else."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from broker.tether import Tether, TetheredProcess
from tests.harness.processes import alive, children
from tests.packaging.launching import eventually

SLEEP = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)"]
STUBBORN = [sys.executable, "-c", f"import signal; signal.signal(15, signal.SIG_IGN)\n{SLEEP[2]}"]


@pytest.fixture
def tether() -> Iterator[Tether]:
    mine = Tether(grace=0.3)
    yield mine
    mine.close()


def running(argv: list[str], tether: Tether) -> TetheredProcess:
    """A process that has come as far as to say so."""
    process = TetheredProcess(argv, tether=tether, output=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline() == b"here\n"
    return process


def test_what_is_held_is_ended_when_the_tether_is_closed(tether: Tether) -> None:
    process = running(SLEEP, tether)
    tether.close()
    eventually(lambda: process.poll() == -signal.SIGTERM)


def test_what_ignores_sigterm_is_killed_after_the_grace(tether: Tether) -> None:
    process = running(STUBBORN, tether)
    tether.close()
    eventually(lambda: process.poll() == -signal.SIGKILL)


def test_what_was_released_is_left_alone(tether: Tether) -> None:
    held, released = running(SLEEP, tether), running(SLEEP, tether)
    tether.release(released.pid)
    tether.close()
    eventually(lambda: held.poll() is not None)
    assert released.poll() is None
    released.kill()


def test_a_child_is_released_as_soon_as_it_is_reaped(tether: Tether) -> None:
    process = running(SLEEP, tether)
    process.signal(signal.SIGKILL)
    eventually(lambda: process.poll() is not None)
    assert tether._held == set()


def test_stop_asks_first_and_kills_after_the_grace(tether: Tether) -> None:
    assert running(SLEEP, tether).stop(grace=5) == -signal.SIGTERM
    began = time.monotonic()
    assert running(STUBBORN, tether).stop(grace=0.2) == -signal.SIGKILL
    assert time.monotonic() - began >= 0.2


def test_a_tether_that_somebody_killed_is_replaced_and_knows_what_the_first_one_held(tether: Tether) -> None:
    first = running(SLEEP, tether)
    assert tether._process is not None
    tether._process.kill()
    tether._process.wait(5)
    second = running(SLEEP, tether)
    tether.close()
    eventually(lambda: first.poll() is not None and second.poll() is not None)


PARENT = """
import subprocess, sys, time
from broker.tether import TetheredProcess
pids = [TetheredProcess([sys.executable, "-c", "import time; time.sleep(60)"]).pid for _ in range(2)]
print(*pids, flush=True)
{last}
"""


@pytest.mark.parametrize("last", ["time.sleep(60)", "import os; os._exit(1)", "raise SystemExit"])
def test_an_owner_that_dies_takes_its_children_along(last: str) -> None:
    program = PARENT.format(last=last)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        tethers = children(parent.pid) - set(pids)
        parent.kill()
    assert len(pids) == 2
    eventually(lambda: not any(map(alive, [*pids, *tethers])))
