"""The Makefile and .ci/run, with an interpreter that only writes down what it was asked."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packaging.pins import ROOT

TOOLS = ("sh", "bash", "rm", "touch", "mkdir", "cat", "chmod", "env", "dirname", "find")
# `-m venv X` makes an interpreter like itself; everything is noted, nothing is installed.
INTERPRETER = """#!/bin/sh
echo "$@" >> calls
if [ "$2" = venv ]; then mkdir -p "$3/bin" && cat "$0" > "$3/bin/python" && chmod +x "$3/bin/python"; fi
"""
SHIM = """#!/bin/sh
echo "pyenv: command not found" >&2
exit 127
"""


class Checkout:
    """A copy of what make needs, in a directory with a space, with only the given programs on the PATH."""

    def __init__(self, where: Path, **programs: str) -> None:
        self.path = where / "a checkout"
        self._bin = where / "bin"
        self._bin.mkdir()
        self.path.mkdir()
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.path)
        for tool in TOOLS:
            (self._bin / tool).symlink_to(shutil.which(tool) or tool)
        for name, text in programs.items():
            self.program(name.replace("_", "."), text)

    def program(self, name: str, text: str) -> None:
        (self._bin / name).write_text(text)
        (self._bin / name).chmod(0o755)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": str(self._bin), "HOME": os.environ.get("HOME", "/")}
        return subprocess.run(
            command, cwd=self.path, env=environ, capture_output=True, text=True, timeout=60, check=False
        )

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        make = shutil.which("make")
        assert make is not None
        return self.run(make, *arguments)

    def calls(self) -> list[str]:
        return (self.path / "calls").read_text().splitlines()


def test_up_makes_the_environment_installs_the_pins_and_starts(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, python3=INTERPRETER)
    answer = checkout.make("up", "PORT=8123")
    assert answer.returncode == 0, answer.stderr
    venv, install, up = checkout.calls()[-3:]
    assert venv == "-m venv .venv"
    assert install == "-m pip install --quiet --disable-pip-version-check -e .[embedded]"
    assert up == "-m broker.local.up --port 8123 --with-parent"


def test_a_second_up_starts_at_once(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, python3=INTERPRETER)
    checkout.make("up")
    before = len(checkout.calls())
    checkout.make("up")
    assert checkout.calls()[before:] == ["-m broker.local.up --port 8000 --with-parent"]


def test_other_pins_are_installed_at_the_next_command(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, python3=INTERPRETER)
    checkout.make("up")
    before = len(checkout.calls())
    later = (checkout.path / ".venv/.embedded").stat().st_mtime + 2
    os.utime(checkout.path / "constraints.txt", (later, later))
    checkout.make("up")
    assert len(checkout.calls()) == before + 2


def test_what_the_tests_need_includes_what_up_needs(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, python3=INTERPRETER)
    checkout.make("test")
    assert checkout.calls()[-2:] == [
        "-m pip install --quiet --disable-pip-version-check -e .[test]",
        "-m pytest -n 3 --dist worksteal",
    ]
    checkout.make("up")
    assert checkout.calls()[-2:] == ["-m pytest -n 3 --dist worksteal", "-m broker.local.up --port 8000 --with-parent"]


def test_an_interpreter_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, python3=SHIM, python3_13=SHIM, python3_12=INTERPRETER)
    answer = checkout.make("up")
    assert answer.returncode == 0, answer.stderr
    assert "making .venv with python3.12" in answer.stdout


def test_without_a_python_it_says_so_and_makes_nothing(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, python3=SHIM)
    answer = checkout.make("up")
    assert answer.returncode != 0
    assert "Respool needs Python 3.11 or newer, and none was found" in answer.stderr
    assert not (checkout.path / ".venv").exists()


def test_an_environment_that_could_not_be_made_is_not_left_behind(tmp_path: Path) -> None:
    half = INTERPRETER.replace("chmod +x", "false && chmod +x")
    checkout = Checkout(tmp_path, python3=half)
    assert checkout.make("up").returncode != 0
    assert not (checkout.path / ".venv").exists()


def test_make_alone_says_what_there_is(tmp_path: Path) -> None:
    answer = Checkout(tmp_path).make()
    for target in ("up", "test", "browser", "interop", "check", "bench", "constraints", "clean"):
        assert f"make {target}" in answer.stdout


@pytest.mark.parametrize(
    ("failing", "code"), [("nothing", 0), ("check", 1), ("browser", 1), ("interop", 1), ("test", 1)]
)
def test_ci_runs_all_and_fails_if_any_does(tmp_path: Path, failing: str, code: int) -> None:
    checkout = Checkout(tmp_path, make=f'#!/bin/sh\necho "made $1"; [ "$1" != {failing} ]\n')
    (checkout.path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", checkout.path / ".ci/run")
    answer = checkout.run("bash", ".ci/run")
    assert answer.stdout.splitlines() == ["made check", "made browser", "made interop", "made test"]
    assert answer.returncode == code


def test_ci_can_be_run_as_it_is() -> None:
    assert os.access(ROOT / ".ci/run", os.X_OK)
