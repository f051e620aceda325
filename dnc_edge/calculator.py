"""A safe calculator for the marks that solvers write (`<<48/2=24>>`): numbers, + - * / and brackets."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable

_OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def evaluate(expression: str) -> float:
    """Value of an arithmetic expression; "5%" is 0.05 and commas between digits are dropped.

    Raises:
        ValueError: it is not arithmetic, divides by zero, is longer than 200 characters, or has no finite value.
    """
    text = re.sub(r"(?<=\d),(?=\d)", "", expression).strip()
    text = re.sub(r"([\d.]+)\s*%", r"(\1/100)", text)
    text = re.sub(r"(?<![\d.])0+(?=\d)", "", text)
    if len(text) > 200:
        raise ValueError("expression is too long")
    try:
        value = _value(ast.parse(text, mode="eval").body)
    except (SyntaxError, ZeroDivisionError, OverflowError, RecursionError, MemoryError) as error:
        raise ValueError(f"cannot calculate {expression!r}") from error
    if not math.isfinite(value):
        raise ValueError(f"{expression!r} is not finite")
    return value


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return float(value)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            return _OPERATIONS[type(op)](_value(left), _value(right))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
    raise ValueError("not arithmetic")
