"""`python -m tests.proof.mutants generated [--quick] [FILE …]`: mutants that nobody thought of, against the fast tests. Each
must be noticed by a test, or be in the list of those that change nothing (equivalent.py).

Fast tests are those of api, broker, worker and system that start nothing of their own; those that ask for the shared
stack get one in threads, and `--quick` leaves them out. What was found out is kept in .respool/mutants.json: a mutant that was
noticed is not run again while its function stays as it is, one that survived not while the tests that saw it do.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, Literal

import pytest

from broker.local.embedded import free_port
from tests.proof.mutants import lua
from tests.proof.mutants.equivalent import EQUIVALENT, LEFT_OUT
from tests.proof.mutants.lend import Lent
from tests.proof.mutants.nursery import Collected, Job, Slots, Told, run_apart
from tests.proof.mutants.operators import Generated, mutants_of
from tests.proof.mutants.places import ROOMS, ROOT, files, is_in, module

_SLOTS = int(os.environ.get("RESPOOL_MUTANT_SLOTS", "3"))
_KEPT: Final = ROOT / ".respool" / "mutants.json"
_MOST_SECONDS = 6.0
"""Of tests for one mutant, by the time they take without one; the quickest come first."""
_MOST_TEST_SECONDS = 8.0
_TRACED_SECONDS = 2.5
_APART_TESTS = 15
_APART_TEST_SECONDS = 30.0
"""So many, or for so long, whichever is more."""
_APART_SECONDS = 15.0
_LUA_TESTS: Final = (
    *(f"tests/broker/store/test_{name}.py" for name in ("figures", "lifetimes", "lua", "model", "coordination", "agreement",
                                                        "logs", "accepting")),
    "tests/worker/log/test_appender.py", "tests/system/test_coordination_lost.py",
)  # fmt: skip
_SLOW: Final = (
    "tests/broker/processes", "tests/broker/local", "test_children", "test_processes", "test_going_away", "test_durability",
    "store/test_client.py", "test_join", "test_waiting", "test_slow_viewers",
)  # fmt: skip
"""These start processes, or crowds."""
_STARTS: Final = "start_stack"

_PYTEST: Final = (
    "-o", "addopts=", "-p", "no:terminal", "-p", "no:cacheprovider", "-p", "tests.proof.mutants.here",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",
)  # fmt: skip
_TESTS: Final = (
    "tests/api",
    "tests/broker",
    "tests/worker",
    *(f"tests/system/{path.name}" for path in sorted((ROOT / "tests/system").glob("test_*.py"))),
)

Verdict = Literal["killed", "survived", "unreached", "listed", "broken"]


@dataclass
class Kept:
    """What earlier runs found out."""

    looked: dict[str, dict[str, Any]] = field(default_factory=dict)
    judged: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls) -> "Kept":
        return cls(**json.loads(_KEPT.read_text())) if _KEPT.exists() else cls()

    def write(self) -> None:
        """With what another run may have written meanwhile."""
        others = Kept.read()
        self.looked, self.judged = {**others.looked, **self.looked}, {**others.judged, **self.judged}
        _KEPT.parent.mkdir(exist_ok=True)
        new = _KEPT.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps(self.__dict__))
        new.replace(_KEPT)


class Run:
    """One run over some files: a plugin for pytest, which takes over when all tests are collected."""

    def __init__(self, files: list[str], folder: Path, upstream_url: str, *, quick: bool) -> None:
        self._quick = quick
        self._files = files
        self._folder = folder
        self._lent = [Lent(folder / f"server-{slot}", upstream_url) for slot in range(_SLOTS)]
        self._slots = Slots(self._lent, folder)
        self._kept = Kept.read()
        self._written = time.monotonic()
        self.verdicts: dict[str, tuple[Generated, Verdict, str]] = {}
        self.failed_without: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if _fast(item) and not (self._quick and _needs_stack(item))]

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._tests = Collected(session)
        try:
            self._look()
            self._judge()
        finally:
            for lent in self._lent:
                lent.close()
            self._kept.write()
        return True

    # -- without a mutant

    def _look(self) -> None:
        support = (file for file in files(".py", "tests") if "/test_" not in file and "/mutants/" not in file)
        read = _digest(*map(ROOT.joinpath, (*files(".py", *ROOMS), *lua.scripts(), *support)))
        self._stamps = {test: f"{read} {_digest(ROOT / test.partition('::')[0])}" for test in self._tests.items}
        looked = self._kept.looked
        missing = [test for test, stamp in self._stamps.items() if looked.get(test, {}).get("stamp") != stamp]
        begun = time.monotonic()
        for _ in range(2):  # a busy machine may fail a test once
            self._slots.run(self._looks(missing))
            missing = [test for test in missing if self._kept.looked[test]["failed"]]
        slow = [test for test in self._tests.items if self._kept.looked[test]["seconds"] > _TRACED_SECONDS]
        self._slots.run(self._timings([test for test in slow if not self._kept.looked[test].get("timed")]))
        self._kept.write()
        self.failed_without = [t for t in self._tests.items if self._kept.looked[t]["failed"]]
        print(f"{len(self._tests.items)} tests, looked at in {time.monotonic() - begun:.0f} s", flush=True)
        for test in self.failed_without:
            print(f"  left out, as it fails without a mutant: {test}", flush=True)
        self._index()

    def _looks(self, tests: list[str]) -> Iterator[Job]:
        for test in tests:

            def done(told: Told, test: str = test) -> None:
                failed = bool(told.failed or told.hung or told.broken)
                found = {"stamp": self._stamps[test], "failed": failed, "seconds": told.seconds, "lines": told.lines}
                self._kept.looked[test] = found

            yield Job(partial(self._tests.look_at, test), 10.0, done)

    def _timings(self, tests: list[str]) -> Iterator[Job]:
        """How long those take that tracing makes slow."""
        for test in tests:

            def done(told: Told, test: str = test) -> None:
                found = self._kept.looked[test]
                found |= {"seconds": min(told.seconds, found["seconds"]), "timed": True}

            yield Job(partial(self._tests.judge, lambda _: None, [test]), 10.0, done)

    def _order(self, file: str, test: str) -> tuple[bool, bool, bool, float]:
        """Tests that import the file come first, of these the file's namesake, then what needs no stack; the quickest first."""
        where = test.partition("::")[0]
        own = _names(where, module(file))
        stack = _needs_stack(self._tests.items[test])
        return not own, not _is_namesake(file, where), stack, float(self._kept.looked[test]["seconds"])

    def _is_of_namesake(self, file: str, test: str) -> bool:
        """They may look at a constant or at a field's default where no line of ours names it."""
        found = self._kept.looked[test]
        return (
            _is_namesake(file, test.partition("::")[0])
            and not found["failed"]
            and found["seconds"] < _MOST_TEST_SECONDS
        )

    def _passes(self, test: str) -> bool:
        return not self._kept.looked[test]["failed"]

    def _index(self) -> None:
        """Which tests come by a line."""
        self._seen: dict[tuple[str, int], list[str]] = {}
        for test in self._tests.items:
            found = self._kept.looked[test]
            if not found["failed"] and found["seconds"] < _MOST_TEST_SECONDS:
                for file, lines in found["lines"].items():
                    for line in lines:
                        self._seen.setdefault((file, line), []).append(test)

    # -- with one

    def _judge(self) -> None:
        for file in self._files:
            begun = time.monotonic()
            mutants = lua.mutants_of(file) if file.endswith(".lua") else mutants_of(file)
            self._slots.run(self._judgements(mutants))
            self._kept.write()
            self._say(file, mutants, time.monotonic() - begun)

    def _judgements(self, mutants: list[Generated]) -> Iterator[Job]:
        for mutant in mutants:
            if mutant.key in EQUIVALENT:
                self.verdicts[mutant.key] = (mutant, "listed", EQUIVALENT[mutant.key])
                continue
            tests = self._tests_for(mutant)
            stamp = _text_digest(*tests, *(self._stamps[test] for test in tests))
            known = self._kept.judged.get(mutant.key, {})
            if known.get("digest") == mutant.digest and (known["verdict"] == "killed" or known.get("stamp") == stamp):
                self.verdicts[mutant.key] = (mutant, known["verdict"], known["by"])  # type: ignore[assignment]
            elif not tests:
                self._note(mutant, "unreached", "", stamp)
            else:
                yield self._judgement(mutant, tests, stamp)

    def _judgement(self, mutant: Generated, tests: list[str], stamp: str) -> Job:
        seconds = sum(self._kept.looked[test]["seconds"] for test in tests)

        def done(told: Told) -> None:
            if told.broken and not told.failed:
                apart.append(mutant)
                self._note(mutant, "broken", told.broken, stamp)
            else:
                how: Verdict = "killed" if told.failed or told.hung else "survived"
                self._note(mutant, how, told.failed or ("hung" if told.hung else ""), stamp)

        apart: list[Generated] = []
        if mutant.file.endswith(".lua"):
            return Job(lambda lent: self._tests.judge(lambda _: lua.plant(mutant), tests, lent), seconds, done)
        if mutant.function:

            def judge(lent: Lent) -> Told:
                told = self._tests.judge(
                    lambda tests: tests.replace_code(mutant.file, mutant.function, mutant.source), tests, lent
                )
                return self._apart(mutant, tests, lent) if told.broken else told

            return Job(judge, seconds, done)
        return Job(lambda lent: self._apart(mutant, tests, lent), seconds + _APART_SECONDS, done)

    def _apart(self, mutant: Generated, tests: list[str], lent: Lent) -> Told:
        source = self._folder / f"{_text_digest(mutant.key)}.py"
        source.write_text(mutant.source)
        spent = list(accumulate(float(self._kept.looked[test]["seconds"]) for test in tests))
        quick = bisect_right(spent, _APART_TEST_SECONDS)
        return run_apart(mutant.file, source, tests[: max(quick, _APART_TESTS)], lent)

    def _tests_for(self, mutant: Generated) -> list[str]:
        if mutant.file.endswith(".lua"):
            tests = {test for test in self._tests.items if test.startswith(_LUA_TESTS) and self._passes(test)}
        elif mutant.name:
            tests = {test for place in _mentions(mutant.file, mutant.name) for test in self._seen.get(place, ())}
            tests |= {test for test in self._tests.items if self._is_of_namesake(mutant.file, test)}
        else:
            tests = {test for line in mutant.lines for test in self._seen.get((mutant.file, line), ())}
            if not mutant.function:  # at import: no test comes by
                tests = tests or {test for test in self._tests.items if not self._order(mutant.file, test)[0]}
                tests = tests or {test for test in self._tests.items if self._is_of_namesake(mutant.file, test)}
        chosen: list[str] = []
        seconds = 0.0
        for test in sorted(tests, key=partial(self._order, mutant.file)):
            seconds += float(self._kept.looked[test]["seconds"])
            if seconds > _MOST_SECONDS and all(self._order(mutant.file, test)[:2]) and not mutant.file.endswith(".lua"):
                break
            chosen.append(test)
        return chosen

    def _note(self, mutant: Generated, how: Verdict, by: str, stamp: str) -> None:
        self.verdicts[mutant.key] = (mutant, how, by)
        self._kept.judged[mutant.key] = {"digest": mutant.digest, "verdict": how, "by": by, "stamp": stamp}
        if time.monotonic() - self._written > 20:
            self._kept.write()
            self._written = time.monotonic()

    def _say(self, file: str, mutants: list[Generated], seconds: float) -> None:
        counts: Counter[str] = Counter(self.verdicts[mutant.key][1] for mutant in mutants)
        print(row(file, counts) + f" {seconds:6.0f} s", flush=True)
        for mutant in mutants:
            how = self.verdicts[mutant.key][1]
            if how not in ("killed", "listed"):
                print(f"    {how:9} {mutant.lines.start:4}  {mutant.key}", flush=True)


def row(name: str, counts: "Counter[str]") -> str:
    judged = sum(counts.values()) - counts["listed"]
    share = 100 * counts["killed"] / judged if judged else 100.0
    return (
        f"{name:32} {sum(counts.values()):5} {counts['killed']:6} {counts['survived'] + counts['broken']:8}"
        f" {counts['unreached']:11} {counts['listed']:10} {share:7.1f} %"
    )


def _fast(item: pytest.Item) -> bool:
    return _STARTS not in getattr(item, "fixturenames", ()) and not any(slow in item.nodeid for slow in _SLOW)


@cache
def _names(test_file: str, module: str) -> bool:
    return f"from {module} import" in (ROOT / test_file).read_text()


def _is_namesake(file: str, test_file: str) -> bool:
    path = Path(file)
    name = path.parent.name if path.stem == "__init__" else path.stem
    return test_file.startswith(f"tests/{path.parts[0]}/") and Path(test_file).stem == f"test_{name}"


def _mentions(file: str, name: str) -> Iterator[tuple[str, int]]:
    """Lines of code that name a constant or a field."""
    word = re.compile(rf"\b{re.escape(name)}\b")
    for other in files(".py", *ROOMS):
        for at, line in enumerate((ROOT / other).read_text().split("\n"), 1):
            if word.search(line) and (not name.startswith("_") or other == file):
                yield other, at


def _needs_stack(item: pytest.Item) -> bool:
    return "shared" in getattr(item, "fixturenames", ())


def _digest(*paths: Path) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def _text_digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def files_in_scope() -> list[str]:
    every = [*lua.scripts(), *files(".py", "broker", "worker", "api")]
    return [file for file in every if not any(is_in(file, left) for left in LEFT_OUT)]


def main(words: list[str]) -> int:
    names = [word for word in words if word != "--quick"]
    scope = files_in_scope()
    files = list(dict.fromkeys(file for name in names or [""] for file in scope if name in file))
    if not files:
        print("there is no such file, or it is left out:")
        print("\n".join(f"{name}: {why}" for name, why in LEFT_OUT.items()))
        return 2
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="respool-mutants-") as folder:
        port = free_port()
        simulator = subprocess.Popen([sys.executable, "-m", "worker.simulator", "--port", str(port)], cwd=ROOT,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        try:
            run = Run(files, Path(folder), f"http://127.0.0.1:{port}", quick="--quick" in words)
            pytest.main([*_PYTEST, *_TESTS], plugins=[run])
        finally:
            simulator.terminate()
            simulator.wait()
    return _conclude(run, time.monotonic() - begun, whole=not names)


def _conclude(run: Run, seconds: float, *, whole: bool) -> int:
    print(f"\n{'file':32} {'all':>5} {'killed':>6} {'survived':>8} {'not reached':>11} {'equivalent':>10}")
    total: Counter[str] = Counter()
    for file in dict.fromkeys(mutant.file for mutant, _, _ in run.verdicts.values()):
        counts: Counter[str] = Counter(how for mutant, how, _ in run.verdicts.values() if mutant.file == file)
        total += counts
        print(row(file, counts))
    print(row("all", total) + f" {seconds:6.0f} s")
    if whole:
        for key in EQUIVALENT.keys() - run.verdicts.keys():
            print(f"listed, and not generated any more: {key}")
    return 0 if run.verdicts and set(total) <= {"killed", "listed"} else 1
