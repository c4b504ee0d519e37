"""Whether an audit log is whole: finds lines that were changed, removed, put elsewhere or cut off, and says which.

It cannot find what nothing later tells of: lines that were cut off the end of a chain before another process has begun, and a
log that somebody wrote anew from some line on, with all files that are later. For that the last digests are told: noted
elsewhere, they can be asked for (`has`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from api.audit.lines import ORIGIN, Place, is_as_written
from api.audit.trail import SUFFIX


@dataclass(slots=True)
class Report:
    """`faults`: what is wrong, one sentence each; `remarks`: what may be well; `ends`: of each chain its last line."""

    faults: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    ends: list[Place] = field(default_factory=list)
    lines: int = 0


class _Line(NamedTuple):
    number: int
    seq: int
    before: str
    digest: str
    members: Mapping[str, Any]


@dataclass(slots=True)
class _File:
    """What the links between files need of one: its chain and part, its first line and its last, and what it has seen."""

    name: str
    chain: str = ""
    part: int = 0
    before: str = ""
    first_seq: int = 0
    last: Place | None = None
    seen: list[Place] = field(default_factory=list)


def files_of(paths: Sequence[Path]) -> list[Path]:
    """Those of folders, and those that are named. Raises OSError."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(path.glob(f"*{SUFFIX}"))
        else:
            path.stat()
            found.append(path)
    return sorted(dict.fromkeys(found), key=lambda path: path.name)


def verify(paths: Sequence[Path], has: Sequence[str] = ()) -> Report:
    """Reads these files and folders, which belong together. `has`: digests that must be somewhere in them. Raises OSError."""
    report = Report()
    wanted = set(has)
    files = [_read(path, report, wanted) for path in files_of(paths)]
    _check_parts(files, report)
    _check_seen(files, {path.name: path for path in files_of(paths)}, report)
    report.faults += [f"no line has the digest {digest}" for digest in sorted(wanted)]
    last = {file.chain: file.last for file in files if file.last is not None}
    report.ends = list(last.values())
    return report


def _read(path: Path, report: Report, wanted: set[str]) -> _File:
    file = _File(path.name)
    earlier: _Line | None = None
    for line in _lines(path, report):
        report.lines += 1
        wanted.discard(line.digest)
        if earlier is None:
            _begin(file, line, report)
        elif (fault := _broken(earlier, line)) is not None:
            report.faults.append(f"{path.name}: {fault}")
        earlier = line
        file.last = Place(path.name, line.seq, line.digest)
    if earlier is None:
        report.faults.append(f"{path.name}: it has no line")
    return file


def _begin(file: _File, line: _Line, report: Report) -> None:
    members = line.members
    try:
        file.chain, file.part, file.before, file.first_seq = members["chain"], members["part"], line.before, line.seq
        file.seen = [Place(**place) for place in members["seen"]]
    except (KeyError, TypeError):
        report.faults.append(f"{file.name}: it does not begin with a header: its first lines are missing")
        file.chain = file.name


def _broken(earlier: _Line, line: _Line) -> str | None:
    """What is wrong between two lines that stand one behind the other."""
    expected = earlier.seq + 1
    if line.seq > expected:
        missing = f"line {expected}" if line.seq == expected + 1 else f"lines {expected} to {line.seq - 1}"
        return f"{missing} of the chain missing before line {line.seq}"
    if line.seq < expected:
        return f"line {line.seq} of the chain stands behind line {earlier.seq}"
    if line.before != earlier.digest:
        return f"line {earlier.seq} of the chain is not the one that line {line.seq} was written behind"
    return None


def _lines(path: Path, report: Report) -> Iterator[_Line]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            if not raw.endswith(b"\n"):
                report.remarks.append(
                    f"{path.name}: it ends with half a line, number {number}: a crash, or somebody cut it off"
                )
                return
            try:
                members = orjson.loads(raw)
                line = _Line(number, int(members["seq"]), str(members["before"]), str(members["digest"]), members)
            except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
                report.faults.append(f"{path.name}: line number {number} was changed: it is none of ours")
                continue
            if not is_as_written(raw[:-1]):
                report.faults.append(f"{path.name}: line {line.seq} of the chain (number {number}) was changed")
            yield line


def _check_parts(files: Sequence[_File], report: Report) -> None:
    """Each chain goes on from file to file."""
    chains: dict[str, list[_File]] = {}
    for file in files:
        chains.setdefault(file.chain, []).append(file)
    for parts in chains.values():
        parts.sort(key=lambda file: file.part)
        first = parts[0]
        if first.part > 1:
            report.remarks.append(f"{first.name}: {first.part - 1} earlier files of its chain are not here")
        elif first.before != ORIGIN and first.part == 1:
            report.faults.append(f"{first.name}: the first line of its chain is missing")
        for earlier, later in pairwise(parts):
            if later.part != earlier.part + 1:
                report.faults.append(
                    f"{later.name}: {later.part - earlier.part - 1} files of its chain are missing before it"
                )
            elif earlier.last is not None and later.before != earlier.last.digest:
                cut = later.first_seq - earlier.last.seq - 1
                how = f"{cut} lines are missing at its end" if cut > 0 else "its last line is another"
                report.faults.append(f"{earlier.name}: {how}, as {later.name} tells")


def _check_seen(files: Sequence[_File], paths: Mapping[str, Path], report: Report) -> None:
    """What a header has seen of other chains is there still."""
    by_name = {file.name: file for file in files}
    told: dict[str, dict[int, tuple[str, str]]] = {}
    for file in files:
        for place in file.seen:
            told.setdefault(place.file, {})[place.seq] = (place.digest, file.name)
    oldest = files[0].name if files else ""
    for name, places in told.items():
        by = next(iter(places.values()))[1]
        if name not in by_name:
            found = report.remarks if name < oldest else report.faults
            found.append(f"{name}: it is not here, and {by} has seen it")
            continue
        there = {line.seq: line.digest for line in _lines(paths[name], Report()) if line.seq in places}
        for seq, (digest, teller) in places.items():
            if seq not in there:
                report.faults.append(f"{name}: line {seq} of the chain is missing, and {teller} has seen it")
            elif there[seq] != digest:
                report.faults.append(f"{name}: line {seq} of the chain is not the one that {teller} has seen")
