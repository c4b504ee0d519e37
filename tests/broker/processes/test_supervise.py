"""Keeping parts alive, and copying what they say."""

import io
import os
import signal
import time

import pytest

from broker.processes.supervise import LONGEST_LINE, Child, Kept, Terminal, delay_before, ending
from tests.packaging.launching import eventually


class Brittle:
    """A part that has always just ended, and may refuse to start."""

    def __init__(self) -> None:
        self.launches = 0
        self.refuses = False

    def launch(self) -> None:
        self.launches += 1
        if self.refuses:
            raise OSError("no room")

    def poll(self) -> int | None:
        return -signal.SIGKILL

    def signal(self, number: int) -> None:
        raise NotImplementedError

    def stop(self, grace: float) -> None:
        raise NotImplementedError


def said(program: str) -> list[bytes]:
    """What the terminal shows of a Python program that runs to its end."""
    out = io.BytesIO()
    child = Child("api", ["-c", program], os.environ, Terminal(out))
    child.launch()
    eventually(lambda: child.poll() is not None)
    return out.getvalue().splitlines(keepends=True)


def test_every_line_has_its_part_before_it_and_the_last_words_are_not_lost() -> None:
    lines = said("import sys\nfor n in range(5000): print('line', n)\nsys.stderr.write('last words')")
    assert len(lines) == 5001
    assert lines[4999:] == ["api       │ line 4999\n".encode(), "api       │ last words\n".encode()]


def test_bytes_that_are_no_text_are_copied_as_they_are() -> None:
    assert said(r"import os; os.write(1, b'\xff\xfe\n')") == ["api       │ ".encode() + b"\xff\xfe\n"]


def test_a_line_without_an_end_is_broken_and_not_collected() -> None:
    lines = said(f"print('x' * {3 * LONGEST_LINE}, end='')")
    assert [line.count(b"x") for line in lines] == [LONGEST_LINE] * 3


def test_a_terminal_that_is_gone_is_no_error() -> None:
    out = io.BytesIO()
    out.close()
    Terminal(out).say("anybody there?")


def test_the_delay_doubles_up_to_its_bound() -> None:
    assert [delay_before(start) for start in range(1, 8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert delay_before(10**6) == 5.0


def test_a_part_that_ended_is_started_again_only_after_its_delay() -> None:
    part, out = Brittle(), io.BytesIO()
    kept = Kept("worker", part, Terminal(out))
    now = time.monotonic()
    kept.tend(now)
    kept.tend(now + 0.19)
    assert part.launches == 0
    kept.tend(now + 0.21)
    assert part.launches == 1
    assert out.getvalue().decode() == "worker    │ was ended by SIGKILL; starting it again in 0.2 s\n"


def test_a_part_that_cannot_be_started_is_tried_again() -> None:
    part, out = Brittle(), io.BytesIO()
    part.refuses = True
    kept = Kept("valkey", part, Terminal(out))
    now = time.monotonic()
    for later in (0, 0.3, 0.8, 1.7):
        kept.tend(now + later)
    assert part.launches == 3
    assert out.getvalue().decode().count("could not be started: no room") == 3


@pytest.mark.parametrize(
    ("code", "words"), [(0, "ended with exit code 0"), (-9, "was ended by SIGKILL"), (-99, "was ended by signal 99")]
)
def test_an_end_is_told_in_words(code: int, words: str) -> None:
    assert ending(code) == words
