"""The tools that ship: a clock and a calculator, which nothing in its expression can hurt."""

import ast
import asyncio
import math
import operator
import time
from collections.abc import Callable
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.tools import ToolFailure
from worker.tools.calculator import MOST_BITS, evaluate, shown
from worker.tools.clock import clock

# Speed is not what is tested: a busy machine must not fail it.
examples = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])

_OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod,
}  # fmt: skip
Case = tuple[str, float | None]
"""An expression and its value; None where it, or a part of it, divides by zero or is too large."""
leaves: st.SearchStrategy[Case] = st.integers(0, 999).map(lambda n: (str(n), n)) | st.floats(0, 1e6).map(
    lambda x: (repr(x), x)
)


def _both(left: Case, sign: str, right: Case) -> Case:
    text = f"({left[0]}) {sign} ({right[0]})"
    if left[1] is None or right[1] is None:
        return text, None
    try:
        value = _OPERATORS[sign](left[1], right[1])
    except ZeroDivisionError:
        return text, None
    return text, value if math.isfinite(value) else None


cases = st.recursive(
    leaves, lambda inner: st.builds(_both, inner, st.sampled_from(list(_OPERATORS)), inner), max_leaves=8
)


@examples
@given(cases)
def test_an_expression_amounts_to_what_its_operators_make(case: Case) -> None:
    expression, value = case
    if value is None:
        with pytest.raises(ToolFailure):
            evaluate(expression)
    else:
        assert evaluate(expression) == value


@examples
@given(st.text("0123456789.+-*/%() eabsqrtpi,_jx\"'[]{}:=<>\n", max_size=60) | st.text(max_size=30))
def test_whatever_is_written_is_a_finite_number_or_said_to_be_none(expression: str) -> None:
    try:
        value = evaluate(expression)
    except ToolFailure:
        return
    assert isinstance(value, int | float)
    assert math.isfinite(value)
    assert isinstance(value, float) or value.bit_length() <= MOST_BITS
    assert ast.literal_eval(shown(value)) == value


@pytest.mark.parametrize(
    "expression",
    [
        "9**9**9", "9**9**9**9", "2**99999999", "10**4000*10**4000", "(" * 400 + "1" + ")" * 400, "-" * 400 + "1",
        "+".join(["1"] * 240), "1" * 501, "round(5, -10**9)", "1e308*10", "exp(1000)", "2.0**5000",
        "__import__('os').system('true')", "(1).__class__", "[1][0]", "'a'*9", "lambda: 1", "True", "1j", "1 < 2", "x", "abs",
        "sqrt(x=1)", "max(*[1,2])", "1 and 2", "f'{1}'", "open('a')", "sqrt(-1)", "(-8)**0.5", "1/0", "1%0", "", "max()",
        "round(1, 2, 3)", "1or 2", "1()",
    ],
)  # fmt: skip
def test_what_is_no_arithmetic_or_too_large_is_refused_at_once(expression: str) -> None:
    began = time.process_time()
    with pytest.raises(ToolFailure):
        evaluate(expression)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("(2 + 3) * 4", "20"), ("7 / 2", "3.5"), ("6 / 3", "2"), ("2 ** 100", str(2**100)), ("-5 // 2", "-3"),
        ("round(2.567, 2)", "2.57"), ("max(1, 2.5)", "2.5"), ("log(e)", "1"), (" 1 +\t1 ", "2"), ("1e300", "1e+300"),
        ("2 ** -1", "0.5"), ("abs(-3) % 2", "1"), ("sqrt(16)", "4"),
    ],
)  # fmt: skip
def test_a_value_is_said_as_one_would_write_it(expression: str, said: str) -> None:
    assert shown(evaluate(expression)) == said


@pytest.mark.parametrize(("timezone", "offset"), [("UTC", "+00:00"), ("Asia/Kolkata", "+05:30")])
def test_the_clock_tells_the_time_anywhere(timezone: str, offset: str) -> None:
    before = time.time()
    told = asyncio.run(clock(timezone))
    assert told["time"].endswith(offset)
    at = datetime.fromisoformat(told["time"])
    assert int(before) <= at.timestamp() <= time.time()
    assert told["weekday"] == at.strftime("%A")


@pytest.mark.parametrize("timezone", ["Nowhere/Town", "../../etc/passwd", "Europe", "", "\x00", "/etc/localtime"])
def test_a_time_zone_that_there_is_not_is_said_to_be_none(timezone: str) -> None:
    with pytest.raises(ToolFailure, match="time zone"):
        asyncio.run(clock(timezone))
