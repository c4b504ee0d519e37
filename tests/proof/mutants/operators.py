"""Mutants of Python code that nobody thought of: what mutmut's operators make of each line, and what ours do.

mutmut's own runner mutates no decorated function and nothing outside functions, so no property, no context manager and no
constant; of mutmut we take the operators. Ours are those that forget something: a statement is left out, a condition is
taken for met or for not met, a keyword argument or a `case` is missing.

Not mutated, as no test should depend on it: annotations, docstrings, what is logged, prose (a string with a space in it),
assertions (they narrow types), decorators, `__slots__`, `__all__`, the types in a `cast`.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import libcst as cst
import libcst.matchers as m
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper, PositionProvider
from mutmut.mutation import mutators

from tests.proof.mutants.places import ROOT, label

Span = tuple[int, int]
Edits = Iterable[tuple[cst.CSTNode, str]]
"""A node, and the text that its place gets."""


@dataclass(frozen=True, slots=True)
class Generated:
    """`function` is its qualified name, or '' for what runs at import (a parameter's default does); `lines` are those of the
    statement; `name` is the constant or field that is made there, if it is one; `digest` is of the function's text."""

    file: str
    function: str
    old: str
    new: str
    lines: range
    source: str
    digest: str
    name: str = ""

    @property
    def key(self) -> str:
        """What it is known by in the list of those that change nothing: no path and no number of a line is in it."""
        return f"{label(self.file, self.function)}: {self.old} => {self.new}"


def mutants_of(file: str) -> list[Generated]:
    """All mutants of a Python file that are code; each key once."""
    code = (ROOT / file).read_text()
    module = MetadataWrapper(cst.parse_module(code), unsafe_skip_copy=True)
    walk = _Walk(file, code, module.module)
    module.visit(walk)
    found: dict[str, Generated] = {}
    for mutant in walk.found:
        key, times = mutant, 1
        while key.key in found and found[key.key].source != mutant.source:
            times += 1
            key = replace(mutant, new=f"{mutant.new} #{times}")
        if _is_code(mutant.source):
            found.setdefault(key.key, key)
    return list(found.values())


def _is_code(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


_MUTMUTS: Final[Sequence[tuple[type, Callable[[Any], Iterable[cst.CSTNode]]]]] = [
    each
    for each in mutators.mutation_operators
    if each[1]
    in (
        mutators.operator_number,
        mutators.operator_name,
        mutators.operator_augmented_assignment,
        mutators.operator_remove_unary_ops,
        mutators.operator_symmetric_string_methods_swap,
        mutators.operator_keywords,
        mutators.operator_swap_op,
        mutators.operator_if_exp,
    )
]
_SILENT: Final = m.Call(func=m.Attribute(value=m.Name("log") | m.Name("logging") | m.Name("warnings")))
_TYPES: Final = m.Name("Literal") | m.Name("Annotated") | m.Name("cast") | m.Name("TypeVar")
_BLOCKS: Final = cst.BaseCompoundStatement | cst.MatchCase | cst.ExceptHandler
_NAMES: Final = ("__slots__", "__all__", "_")


class _Walk(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider, ByteSpanPositionProvider)

    def __init__(self, file: str, code: str, module: cst.Module) -> None:
        self.found: list[Generated] = []
        self._file = file
        self._code = code.encode()
        self._lines = code.split("\n")
        self._module = module
        self._rooms: list[str] = []
        self._functions: list[tuple[str, str]] = []
        self._statement = range(0)
        self._name = ""
        self._parameters: cst.Parameters | None = None
        """While we are in them: of a function that is in no other, whose defaults are made at import."""

    # -- where we are

    def on_visit(self, node: cst.CSTNode) -> bool:
        if self._is_left_alone(node):
            return False
        if isinstance(node, cst.ClassDef | cst.FunctionDef):
            self._enter(node)
        elif isinstance(node, cst.BaseSmallStatement | _BLOCKS):
            self._statement = self._header(node)
            self._name = _assigned(node) if not self._functions else ""
        for place, text in self._edits(node):
            self._put(place, text)
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if original_node is self._parameters:
            self._parameters = None
        if isinstance(original_node, cst.ClassDef | cst.FunctionDef) and self._rooms[-1:] == [original_node.name.value]:
            self._rooms.pop()
            if isinstance(original_node, cst.FunctionDef):
                self._functions.pop()

    def _enter(self, node: cst.ClassDef | cst.FunctionDef) -> None:
        self._rooms.append(node.name.value)
        if isinstance(node, cst.FunctionDef):
            start, stop = self._span(node)
            digest = hashlib.sha256(self._code[start:stop]).hexdigest()[:16]
            outer = self._functions[-1] if self._functions else (".".join(self._rooms), digest)
            self._parameters = None if self._functions else node.params
            first = min(self.get_metadata(PositionProvider, each).start.line for each in (*node.decorators, node))
            self._statement = range(first, self._header(node).stop)
            self._functions.append(outer)

    def _is_left_alone(self, node: cst.CSTNode) -> bool:
        match node:
            case cst.Annotation() | cst.Decorator() | cst.Assert() | cst.Import() | cst.ImportFrom():
                return True
            case cst.If():
                return m.matches(node.test, m.Name("TYPE_CHECKING")) or m.matches(
                    node.test, m.Comparison(left=m.Name("__name__"))
                )
            case cst.Expr():
                return isinstance(node.value, cst.BaseString)
            case cst.Call():
                return m.matches(node, _SILENT) or m.matches(node.func, _TYPES)
            case cst.Subscript():
                return m.matches(node.value, _TYPES)
            case cst.Assign() | cst.AnnAssign():
                return _assigned(node) in _NAMES
        return False

    def _header(self, node: cst.CSTNode) -> range:
        """The lines of a statement, of one with a block those before the block."""
        place = self.get_metadata(PositionProvider, node)
        body = getattr(node, "body", None)
        last = place.end.line
        if isinstance(node, _BLOCKS) and isinstance(body, cst.IndentedBlock):
            last = self.get_metadata(PositionProvider, body.body[0]).start.line - 1
        return range(place.start.line, max(last, place.start.line) + 1)

    def _span(self, node: cst.CSTNode) -> Span:
        span = self.get_metadata(ByteSpanPositionProvider, node)
        return span.start, span.start + span.length

    # -- what is made of it

    def _edits(self, node: cst.CSTNode) -> Edits:
        yield from _forgets(node)
        for type_, operator in _MUTMUTS:
            if isinstance(node, type_) and not isinstance(node, cst.MatchCase):
                for mutated in operator(node):
                    yield node, self._module.code_for_node(mutated)
        if isinstance(node, cst.SimpleString) and (text := _other_word(node)):
            yield node, text

    def _put(self, place: cst.CSTNode, text: str) -> None:
        start, stop = self._span(place)
        source = self._code[:start] + text.encode() + self._code[stop:]
        begin = self._code.rfind(b"\n", 0, start) + 1
        end = self._code.find(b"\n", stop)
        end = len(self._code) if end < 0 else end
        old = self._code[begin:end].decode()
        new = (self._code[begin:start] + text.encode() + self._code[stop:end]).decode()
        function, digest = "", hashlib.sha256(old.encode()).hexdigest()[:16]
        if self._functions and self._parameters is None:
            function, digest = self._functions[-1]
        old, new = _short(old), _short(new)
        self.found.append(
            Generated(self._file, function, old, new, self._statement, source.decode(), digest, self._name)
        )


def _forgets(node: cst.CSTNode) -> Edits:
    """Our own operators."""
    match node:
        case cst.Expr() if not m.matches(node.value, _SILENT | m.Yield() | m.Ellipsis()):
            yield node, "pass"
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Attribute() | cst.Subscript())]) | cst.Del() | cst.Raise():
            yield node, "pass"
        case cst.AugAssign():
            yield node, "pass"
        case cst.Return(value=value) if value is not None and not m.matches(value, m.Name("None")):
            yield node, "return None"
        case cst.If() | cst.CompIf():
            yield node.test, "True"
            yield node.test, "False"
        case cst.While() if not m.matches(node.test, m.Name("True")):
            yield node.test, "False"
        case cst.MatchCase(pattern=pattern, guard=guard) if not m.matches(pattern, m.MatchAs(pattern=None, name=None)):
            yield (guard, "False") if guard is not None else (pattern, _never(pattern))
        case cst.BooleanOperation():
            yield node, _code(node.left)
            yield node, _code(node.right)
        case cst.Arg(keyword=cst.Name()):
            yield node, ""
        case cst.ExceptHandler():
            yield node.type or node, "ZeroDivisionError"
        case _:
            return


def _never(pattern: cst.MatchPattern) -> str:
    """A pattern that matches nothing and binds the same names."""
    return f"({_code(pattern)}) if False"


def _code(node: cst.CSTNode) -> str:
    return cst.Module([]).code_for_node(node)


def _other_word(node: cst.SimpleString) -> str:
    """A string that is a word of ours (a state, a field, a code), spelt otherwise; prose is left alone."""
    text = node.raw_value
    if not text or " " in text or node.quote in ('"""', "'''") or "r" in node.prefix.lower():
        return ""
    return f"{node.prefix}{node.quote}XX{text}{node.quote}"


def _assigned(node: cst.CSTNode) -> str:
    match node:
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))]):
            return name
        case cst.AnnAssign(target=cst.Name(value=name)):
            return name
    return ""


def _short(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
