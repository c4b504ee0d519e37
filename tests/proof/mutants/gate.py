"""Plants a mutant in a copy of the tree and runs the tests that should notice, there."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.proof.mutants.catalogue import Edit, Mutant
from tests.proof.mutants.places import ROOT, extent, file_of

_COPIED = ("api", "broker", "worker", "tests", "pyproject.toml")
_FAILED = 1
_TEST_SECONDS = 40
_RUN_SECONDS = 240
_PYTEST = ("-m", "pytest", "-p", "tests.proof.mutants.here", "-rfE", "--tb=line", f"--timeout={_TEST_SECONDS}")


class DoesNotApply(Exception):
    """The code has changed: the mutant must be written anew."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`caught`: tests failed, `by` these. `survived`: none did. `broken`: it is not known, as the run itself failed; `said` is
    then what it said."""

    how: Literal["caught", "survived", "broken"]
    by: tuple[str, ...]
    seconds: float
    said: str = ""


def edited(tree: Path, edits: Sequence[Edit]) -> dict[str, str]:
    """The files that the edits change, with their new text. Raises DoesNotApply unless each edit has exactly one place."""
    texts: dict[str, str] = {}
    for edit in edits:
        try:
            file = file_of(edit.place, tree)
            text = texts.get(file) or (tree / file).read_text()
            start, stop = extent(edit.place, text)
        except LookupError as error:
            raise DoesNotApply(str(error)) from None
        if (times := text[start:stop].count(edit.old)) != 1:
            raise DoesNotApply(f"{edit.place} in {file} reads {edit.old!r} {times} times")
        texts[file] = text[:start] + text[start:stop].replace(edit.old, edit.new) + text[stop:]
    return texts


def copy_tree(to: Path) -> Path:
    """What the tests need, without what was compiled from it."""
    to.mkdir()
    for name in _COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, to / name)
    return to


def healthy(tree: Path, mutants: Sequence[Mutant]) -> Verdict:
    """Whether all tests that mutants name pass while there is no mutant; `survived` is good news here."""
    return _run(tree, list(dict.fromkeys(test for mutant in mutants for test in mutant.tests)))


def judge(tree: Path, mutant: Mutant, folder: Path) -> Verdict:
    """Plants the mutant in a copy of this tree. Raises DoesNotApply."""
    # Times are copied too: what python has compiled of the tree stays good, but for the mutated files.
    copy = Path(shutil.copytree(tree, folder / re.sub(r"\W+", "-", mutant.name)))
    try:
        for file, text in edited(tree, mutant.edits).items():
            (copy / file).write_text(text)
        return _run(copy, list(mutant.tests))
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def _run(tree: Path, tests: list[str]) -> Verdict:
    begun = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    run = subprocess.Popen(
        [sys.executable, *_PYTEST, *tests],
        cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="backslashreplace",
        start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = run.communicate(timeout=_RUN_SECONDS)
    except subprocess.TimeoutExpired:
        _kill(run)
        return Verdict("broken", (), time.monotonic() - begun, f"did not end within {_RUN_SECONDS} s")
    except BaseException:
        _kill(run)
        raise
    seconds = time.monotonic() - begun
    failed = tuple(dict.fromkeys(re.findall(r"^FAILED \S+?::(.+?)(?: - .*)?$", said, re.MULTILINE)))
    if run.returncode == 0:
        return Verdict("survived", (), seconds)
    if run.returncode == _FAILED and failed:
        return Verdict("caught", failed, seconds)
    return Verdict("broken", failed, seconds, said[-3000:])


def _kill(run: subprocess.Popen[str]) -> None:
    """With all that it has started."""
    os.killpg(run.pid, signal.SIGKILL)  # nobody has waited for it: the number is still its own
    run.communicate()
