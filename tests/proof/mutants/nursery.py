"""Runs the fast tests against one mutant after another, from one process that has collected them all.

A run of pytest comes to the point where all tests are collected, and stays there. From then on each mutant is a fork: the child
puts the mutated function's code in the place of the real one, runs the tests that come by the mutated line, the quickest
first, until one fails, and tells. So a mutant costs its tests and some 20 ms. What runs at import (a constant, a field's
default) cannot be replaced in a process that has imported it: such a mutant gets a process of its own.
"""

import gc
import json
import os
import resource
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest

from tests.proof.mutants.lend import Lent, lend
from tests.proof.mutants.places import ROOT

_CHILD_SECONDS = 10.0
_SLOWER = 6.0
"""A mutant may make its tests so many times slower than they are, and _CHILD_SECONDS more, before it counts as hanging."""
_POLL_SECONDS = 0.005

_QUIET = (
    "-o",
    "addopts=",
    "-p",
    "no:terminal",
    "-p",
    "no:cacheprovider",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
)

Lines = dict[str, list[int]]


@dataclass
class Told:
    """What a child found out: the test that failed, if one did; what ran, for a test that is only looked at."""

    failed: str | None = None
    hung: bool = False
    broken: str = ""
    seconds: float = 0.0
    lines: Lines = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """`work` runs in the child, with what its slot lends it, and returns what it has to tell; or it is a command."""

    work: Callable[[Lent], Told]
    seconds: float
    done: Callable[[Told], None]


@dataclass
class _Running:
    job: Job
    pid: int
    deadline: float
    to: Path
    begun: float


class Slots:
    """Runs jobs in forked children, one per slot at a time."""

    def __init__(self, lent: list[Lent], folder: Path) -> None:
        self._lent = lent
        self._folder = folder
        self._running: dict[int, _Running] = {}

    def run(self, jobs: Iterable[Job]) -> None:
        queue = iter(jobs)
        try:
            while True:
                for slot, lent in enumerate(self._lent):
                    if slot not in self._running and (job := next(queue, None)) is not None:
                        lent.mend()
                        self._running[slot] = self._start(slot, job)
                if not self._running:
                    return
                time.sleep(_POLL_SECONDS)
                for slot in list(self._running):
                    self._look(slot)
        finally:
            for running in self._running.values():
                _kill(running.pid)

    def _start(self, slot: int, job: Job) -> _Running:
        to = self._folder / f"told-{slot}.json"
        to.unlink(missing_ok=True)
        begun = time.monotonic()
        deadline = begun + _CHILD_SECONDS + _SLOWER * job.seconds
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of threads that a fork leaves behind: there are none that matter
            pid = os.fork()
        if pid == 0:
            _child(job, self._lent[slot], to, _CHILD_SECONDS + 2 * _SLOWER * job.seconds)
        return _Running(job, pid, deadline, to, begun)

    def _look(self, slot: int) -> None:
        running = self._running[slot]
        pid, status = os.waitpid(running.pid, os.WNOHANG)
        now = time.monotonic()
        if pid == 0 and now < running.deadline:
            return
        del self._running[slot]
        _kill(running.pid, reap=pid == 0)
        if pid == 0:
            self._lent[slot].distrust()
            told = Told(hung=True)
        elif running.to.exists():
            told = Told(**json.loads(running.to.read_text()))
        elif os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
            told = Told(hung=True)
        else:
            told = Told(failed="the process itself", broken=f"status {status}")
        told.seconds = now - running.begun
        running.job.done(told)


def _kill(pid: int, *, reap: bool = True) -> None:
    """With all that it has started; its group is its own."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    if reap:
        os.waitpid(pid, 0)


def _child(job: Job, lent: Lent, to: Path, cpu_seconds: float) -> None:
    """Never returns."""
    try:
        os.setsid()
        cpu = int(cpu_seconds) + int(time.process_time()) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        told = job.work(lent)
        made = to.with_suffix(".new")
        made.write_text(json.dumps(told.__dict__))
        made.rename(to)
    finally:
        os._exit(0)


# -- tests


class Collected:
    """All fast tests, as pytest has collected them here."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self.items = {item.nodeid: item for item in session.items}
        self._functions = _functions()
        gc.collect()
        gc.freeze()

    def look_at(self, test: str, lent: Lent) -> Told:
        """Runs one test without a mutant; which of our lines it comes by."""
        lines: dict[str, set[int]] = {}
        with _traced(lines):
            failed = self._run([test], lent)
        return Told(failed, lines={file: sorted(seen) for file, seen in lines.items()})

    def judge(self, plant: Callable[["Collected"], object], tests: list[str], lent: Lent) -> Told:
        """Plants in this process, for good, and runs tests until one fails."""
        try:
            plant(self)
        except Exception as error:
            return Told(broken=repr(error))
        return Told(self._run(tests, lent))

    def _run(self, tests: list[str], lent: Lent) -> str | None:
        with lend(lent):
            for test, following in zip(tests, [*tests[1:], None], strict=True):
                item = self.items[test]
                item.config.hook.pytest_runtest_protocol(
                    item=item, nextitem=self.items[following] if following is not None else None
                )
                if self._session.testsfailed:
                    return test
        return None

    def replace_code(self, file: str, function: str, source: str) -> None:
        """With the functions that it has made already. Raises ValueError where the function is not to be had, or closes over
        other things than before."""
        path = str(ROOT / file)
        new, old = (list(_codes(compile(text, path, "exec"))) for text in (source, (ROOT / file).read_text()))
        pairs = list(zip(_named(old, function), _named(new, function), strict=True))
        for inner in {code.co_qualname for code in old if code.co_qualname.startswith(f"{function}.<locals>.")}:
            pairs += zip(_named(old, inner), _named(new, inner), strict=False)
        replaced = 0
        for before, after in pairs:
            for found in self._functions.get((path, before.co_qualname, before.co_firstlineno), ()):
                found.__code__ = after
                replaced += 1
        if not replaced:
            raise ValueError(f"{function} is not there")


def _named(codes: Iterable[CodeType], name: str) -> list[CodeType]:
    return [code for code in codes if code.co_qualname == name]


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _functions() -> dict[tuple[str, str, int], list[FunctionType]]:
    """The functions of ours that there are, by where they are written."""
    found: dict[tuple[str, str, int], list[FunctionType]] = {}
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType):
            code = thing.__code__
            if code.co_filename.startswith(str(ROOT)):
                found.setdefault((code.co_filename, code.co_qualname, code.co_firstlineno), []).append(thing)
    return found


class _traced:  # noqa: N801 - used like a function
    """Collects which lines of api, broker and worker are run, in all threads."""

    _ROOMS = tuple(f"{ROOT}/{room}/" for room in ("api", "broker", "worker"))

    def __init__(self, lines: dict[str, set[int]]) -> None:
        self._lines = lines

    def __enter__(self) -> None:
        threading.settrace(self._call)
        sys.settrace(self._call)

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)
        threading.settrace(None)

    def _call(self, frame: FrameType, event: str, arg: Any) -> Any:
        file = frame.f_code.co_filename
        if not file.startswith(self._ROOMS):
            return None
        seen = self._lines.setdefault(file[len(str(ROOT)) + 1 :], set())
        seen.add(frame.f_lineno)

        def line(frame: FrameType, event: str, arg: Any) -> Any:
            seen.add(frame.f_lineno)
            return line

        return line


def run_apart(file: str, source: Path, tests: list[str], lent: Lent) -> Told:
    """As `judge`, for what runs at import: ours is imported anew, with the mutated file, and the tests are collected anew."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("api", "broker", "worker", "tests")]:
        del sys.modules[name]
    os.environ.update(lent.environment(), RESPOOL_MUTANT=f"{file}:{source}")
    code = pytest.main([*_QUIET, "-p", "tests.proof.mutants.planted", "-x", *tests])
    return Told(failed=str(code) if code else None)
