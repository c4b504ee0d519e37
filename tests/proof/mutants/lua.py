"""Mutants of the atomic steps: a call is dropped, a refusal is left out, a comparison is flipped, a number is one more, a key
lives for a minute."""

import hashlib
import re
import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Final

from broker.store import lua
from broker.store.lua import Script
from tests.proof.mutants.operators import Generated
from tests.proof.mutants.places import ROOT
from tests.proof.mutants.places import files as found_files


def _one_more(number: re.Match[str]) -> str:
    return str(int(number[1]) + 1)


def _other_digit(digit: re.Match[str]) -> str:
    return f"'{1 - min(1, int(digit[1]))}'"


_SWAPS: Final[tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]] = (
    (r"(?<![~<>=])==(?!=)", "~="), (r"~=", "=="), (r"<=", "<"), (r">=", ">"), (r"(?<![<=])<(?![=])", "<="),
    (r"(?<![>=~])>(?![=])", ">="), (r"\band\b", "or"), (r"\bor\b", "and"), (r"\bnot ", ""), (r"math\.max", "math.min"),
    (r"(?<=[\w\])]) \+ (?=[\w(])", " - "), (r"(?<=[\w\])]) - (?=[\w(])", " + "), (r"\btrue\b", "false"),
    (r"\bfalse\b", "true"), (r"(?<![\w'.%-])(\d+)(?![\w'])", _one_more),
    (r"'(\d)'", _other_digit), (r"'NX', ", ""), (r"'NOMKSTREAM', ", ""),
    (r"'PX', (ARGV\[\d\]|int\(.*?\)(?=\)))", "'PX', 60000"),
    (r"('PEXPIRE', [^,]+), (ARGV\[\d\]|r\[6\])", r"\1, 60000"),
)  # fmt: skip
"""What is found on a line, and what stands there instead."""
_CALL: Final = re.compile(r"^\s*(redis\.call\(|seal\()")
_GUARDED_CALL: Final = re.compile(r"then (redis\.call\(.*\)) end$|do (redis\.call\(.*\)) end$")
_STRING: Final = re.compile(r"'[^']*'")
_REFUSAL: Final = re.compile(r"^\s*if .* then return .* end$")


def scripts() -> list[str]:
    return list(found_files(".lua", "broker"))


def mutants_of(file: str) -> list[Generated]:
    """All mutants of one script, each key once."""
    lines = (ROOT / file).read_text().split("\n")
    found: dict[str, Generated] = {}
    function = ""
    for at, line in enumerate(lines):
        if line.startswith("local function "):
            function = line.removeprefix("local function ").partition("(")[0]
        elif line and not line.startswith((" ", "end", "--")):
            function = ""
        if line.lstrip().startswith(("--", "message = ")) or line.startswith(("#!", "local function")):
            continue
        for extent, new in _mutated(lines, at):
            old = " ".join(each.strip() for each in lines[at : at + extent])
            source = "\n".join([*lines[:at], *new.split("\n"), *[""] * (extent - 1), *lines[at + extent :]])
            mutant = Generated(file, function, old, new.strip(), range(at + 1, at + 2), source, _digest(lines))
            found.setdefault(mutant.key, mutant)
    return list(found.values())


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _mutated(lines: list[str], at: int) -> Iterator[tuple[int, str]]:
    """How many lines go, and what stands in their place."""
    line = lines[at]
    if _CALL.match(line) or _REFUSAL.match(line):
        extent = 1
        while _open(lines[at : at + extent]):
            extent += 1
        yield extent, ""
    if guarded := _GUARDED_CALL.search(line):
        yield 1, line.replace(guarded[1] or guarded[2], "")
    for pattern, by in _SWAPS:
        for place in re.finditer(pattern, line.partition("  --")[0]):
            text = by(place) if callable(by) else place.expand(by)
            yield 1, line[: place.start()] + text + line[place.end() :]


def _open(lines: list[str]) -> bool:
    """Whether a bracket is open behind these lines; one in a string opens nothing."""
    code = _STRING.sub("''", "".join(lines))
    return code.count("(") > code.count(")")


def loaded() -> list[tuple[str, Script]]:
    """The scripts that modules of this process hold, each with its name."""
    names = {lua._assemble(name): name for name in map(_name, scripts())}
    held = (value for module in list(sys.modules.values()) for value in list(vars(module).values()))
    found = {id(each): each for each in held if type(each) is Script}
    return [(names[script.text], script) for script in found.values()]


def plant(mutant: Generated) -> None:
    """From now on every script of this process is made from the mutated file."""
    held, real = loaded(), files

    class Overlay:
        def __init__(self, package: str) -> None:
            self._room = real(package)

        def __truediv__(self, asked: str) -> object:
            return _Text(mutant.source) if asked == Path(mutant.file).name else self._room / asked

    vars(lua)["files"] = Overlay
    for name, script in held:
        script.__init__(name)  # type: ignore[misc]


def _name(file: str) -> str:
    return Path(file).stem


class _Text:
    def __init__(self, text: str) -> None:
        self._text = text

    def read_text(self) -> str:
        return self._text
