"""The calculator does arithmetic and nothing else."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge.calculator import evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("48/2", 24),
        ("(22-14)/4", 2),
        ("-3+5", 2),
        ("1,000*2", 2000),
        ("50%*80", 40),
        ("10*0.01", 0.1),
        ("007+1", 8),
        (".5*4", 2),
    ],
)
def test_arithmetic(expression: str, value: float) -> None:
    assert evaluate(expression) == pytest.approx(value)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "x+1",
        "1/0",
        "2**9",
        "__import__('os')",
        "1 if 1 else 2",
        "(1",
        "'a'*9",
        "1e999*0+True",
        "1e999",
        "1e308*10",
        "1e999-1e999",
        "9" * 201,
        "[1][0]",
        "f(1)",
    ],
)
def test_everything_else_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="calculate|arithmetic|long|finite"):
        evaluate(expression)


@given(st.text(max_size=60))
def test_any_text_is_a_number_or_refused(text: str) -> None:
    try:
        assert math.isfinite(evaluate(text))
    except ValueError:
        pass


@given(st.integers(0, 9999), st.integers(1, 9999), st.sampled_from("+-*/"))
def test_agrees_with_python(a: int, b: int, sign: str) -> None:
    expected = {"+": a + b, "-": a - b, "*": a * b, "/": a / b}[sign]
    assert evaluate(f"{a} {sign} {b}") == pytest.approx(expected)
