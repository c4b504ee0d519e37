"""Where a mutant is: in a function, a class or a constant, by its qualified name, or in a script, by its file's name. The file
is looked for, so that one that moves takes its mutants with it.

`Producer._finish` is enough while one file has it; `pages.fits`, `api.viewing.pages.fits` are for a name that several have.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
ROOMS: Final = ("api", "broker", "worker")


@dataclass(frozen=True, slots=True)
class Definition:
    """`start` and `stop` are lines, counted from 0, `stop` behind the last; decorators belong to it."""

    name: str
    start: int
    stop: int


@cache
def files(suffix: str, *rooms: str, root: Path = ROOT) -> tuple[str, ...]:
    """Of these packages, in their order, each in alphabetical order; paths are relative to the root."""
    return tuple(str(path.relative_to(root)) for room in rooms for path in sorted((root / room).rglob(f"*{suffix}")))


def module(file: str) -> str:
    """A file's name for Python's `import`."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def definitions(text: str) -> list[Definition]:
    """Functions, methods, classes and constants of a module; what is in a function belongs to the function."""
    return list(_defined(ast.parse(text).body, ""))


def file_of(name: str, root: Path = ROOT) -> str:
    """The file that has this script, function, class or constant. Raises LookupError unless it is exactly one."""
    if name.endswith(".lua"):
        found = [file for file in files(".lua", *ROOMS, root=root) if Path(file).name == name]
    else:
        found = [file for file, _ in _index(root).get(name, ())]
    if len(found) != 1:
        raise LookupError(f"{name} is in {', '.join(found) or 'no file'}")
    return found[0]


def extent(name: str, text: str) -> tuple[int, int]:
    """Where it begins and ends in the text of its file. Raises LookupError unless it is there once."""
    if name.endswith(".lua"):
        return 0, len(text)
    found = [each for each in definitions(text) if name == each.name or name.endswith(f".{each.name}")]
    longest = max((len(each.name) for each in found), default=0)
    found = [each for each in found if len(each.name) == longest]
    if len(found) != 1:
        raise LookupError(f"{name} is defined {len(found)} times in its file")
    lines = text.splitlines(keepends=True)
    start = sum(map(len, lines[: found[0].start]))
    return start, start + sum(map(len, lines[found[0].start : found[0].stop]))


@cache
def label(file: str, function: str) -> str:
    """The shortest name of a function that no other file has; of a module (`function` is '') with a dash behind it."""
    if file.endswith(".lua"):
        return f"{Path(file).name} {function or '-'}"
    if function:
        return next(name for name in _names(file, function) if len(_index(ROOT)[name]) == 1)
    modules = [module(other) for other in files(".py", *ROOMS)]
    return next(f"{name} -" for name in _tails(module(file)) if _ending(name, modules) == 1)


def is_in(file: str, name: str) -> bool:
    """Whether this module, or a package around it, is so called."""
    return f".{name}." in f".{module(file)}."


@cache
def _index(root: Path) -> dict[str, set[tuple[str, str]]]:
    """By each of its names: the files that have it, and its name there."""
    found: dict[str, set[tuple[str, str]]] = {}
    for file in files(".py", *ROOMS, root=root):
        for each in definitions((root / file).read_text()):
            for name in _names(file, each.name):
                found.setdefault(name, set()).add((file, each.name))
    return found


def _names(file: str, qualified: str) -> list[str]:
    return [qualified, *(f"{name}.{qualified}" for name in _tails(module(file)))]


def _tails(dotted: str) -> list[str]:
    """`c`, `b.c` and `a.b.c`."""
    parts = dotted.split(".")
    return [".".join(parts[at:]) for at in reversed(range(len(parts)))]


def _ending(name: str, modules: list[str]) -> int:
    return sum(name in _tails(other) for other in modules)


def _defined(body: list[ast.stmt], inside: str) -> Iterator[Definition]:
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names = [node.name]
                first = min(each.lineno for each in (node, *node.decorator_list))
            case ast.Assign(targets=targets):
                names = [each.id for each in targets if isinstance(each, ast.Name)]
                first = node.lineno
            case ast.AnnAssign(target=ast.Name(id=name)):
                names = [name]
                first = node.lineno
            case _:
                continue
        for name in names:
            yield Definition(inside + name, first - 1, node.end_lineno or first)
        if isinstance(node, ast.ClassDef):
            yield from _defined(node.body, f"{inside}{node.name}.")
