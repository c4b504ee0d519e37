"""What an arithmetic expression amounts to. It is parsed, never run: a walk over its syntax tree, in which only numbers,
operators and a few functions mean anything, and no number gets large."""

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Annotated, Final

from pydantic import Field

from broker.tools import ToolFailure

LONGEST: Final = 500
"""Characters. A denial-of-service guard, as the next two are: 9**9**9 has 370 million digits."""
MOST_BITS: Final = 4096
"""Of a whole number."""
Number = int | float

DEEPEST: Final = 60
"""Brackets and operators inside one another; Python's own parser would run out of its stack at some hundreds."""

MOST_DIGITS: Final = 300
"""Of what is rounded to."""


def _round(number: Number, digits: Number = 0) -> Number:
    """Python's own makes 10**1000000 on its way to round(1, -1000000)."""
    if abs(digits) > MOST_DIGITS:
        raise ValueError("too many digits")
    return round(number, int(digits)) if digits else round(number)


_OPERATORS: Final[Mapping[type[ast.operator], Callable[[Number, Number], Number]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_SIGNS: Final[Mapping[type[ast.unaryop], Callable[[Number], Number]]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_CONSTANTS: Final[Mapping[str, float]] = {"pi": math.pi, "e": math.e, "tau": math.tau}
_FUNCTIONS: Final[Mapping[str, Callable[..., Number]]] = {
    "abs": abs, "ceil": math.ceil, "cos": math.cos, "exp": math.exp, "floor": math.floor, "ln": math.log, "log": math.log,
    "log10": math.log10, "log2": math.log2, "max": max, "min": min, "round": _round, "sin": math.sin, "sqrt": math.sqrt,
    "tan": math.tan,
}  # fmt: skip


async def calculator(
    expression: Annotated[
        str,
        Field(description="For instance (2 + 3) * sqrt(16) / 7 ** 2.", max_length=LONGEST, examples=["(2 + 3) * 4"]),
    ],
) -> str:
    """Evaluates an arithmetic expression in Python's notation: + - * / // % **, brackets, the constants pi, e and tau, and
    the functions abs, ceil, cos, exp, floor, ln, log, log10, log2, max, min, round, sin, sqrt, tan."""
    return shown(evaluate(expression))


def evaluate(expression: str) -> Number:
    """Its value, which is finite. Raises ToolFailure for whatever is no such expression, or too large."""
    if len(expression) > LONGEST:
        raise ToolFailure(f"The expression has more than {LONGEST} characters.")
    if _depth(expression) > DEEPEST:
        raise ToolFailure("The expression is nested too deep.")
    try:
        with warnings.catch_warnings(action="ignore"):  # Python's would quote the expression
            tree = ast.parse(expression.strip(), mode="eval")
        return _value(tree.body, 0)
    except ZeroDivisionError:
        raise ToolFailure("It divides by zero.") from None
    except OverflowError:
        raise ToolFailure("A number in it is too large.") from None
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise ToolFailure("It is no arithmetic expression, or asks a function for what it has not.") from None


def shown(value: Number) -> str:
    """As a model reads it: 4 is 4, however it was come by."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(value)


def _depth(expression: str) -> int:
    """How deep brackets are nested, at most: looked at before anything is parsed."""
    deepest = depth = 0
    for character in expression:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest


def _value(node: ast.expr, depth: int) -> Number:
    if depth > DEEPEST:
        raise ToolFailure("The expression is nested too deep.")
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as number):
            return _bounded(number)
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _SIGNS:
            return _SIGNS[type(sign)](_value(operand, depth + 1))
        case ast.BinOp(op=ast.Pow(), left=left, right=right):
            return _bounded(_power(_value(left, depth + 1), _value(right, depth + 1)))
        case ast.BinOp(op=op, left=left, right=right) if type(op) in _OPERATORS:
            return _bounded(_OPERATORS[type(op)](_value(left, depth + 1), _value(right, depth + 1)))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](*(_value(each, depth + 1) for each in arguments)))
    raise ToolFailure("Only numbers, + - * / // % **, brackets, constants and the functions named may be in it.")


def _power(base: Number, exponent: Number) -> Number:
    """Raises OverflowError before a large one is made."""
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > 2 * MOST_BITS:
        raise OverflowError
    power: object = base**exponent
    if not isinstance(power, int | float):  # of a negative number, a root that is not real
        raise ToolFailure("It has no real value.")
    return power


def _bounded(number: Number) -> Number:
    """Raises OverflowError if it is too large, or no number."""
    if isinstance(number, int):
        if number.bit_length() > MOST_BITS:
            raise OverflowError
    elif not math.isfinite(number):
        raise OverflowError
    return number
