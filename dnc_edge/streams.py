"""Generators that yield as they go and return a result at the end: mapped, or run to that end."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

Item = TypeVar("Item")
Other = TypeVar("Other")
Result = TypeVar("Result")


def mapped(stream: Generator[Item, None, Result], function: Callable[[Item], Other]) -> Generator[Other, None, Result]:
    """Yield `function(item)` for each item; return what the stream returns."""
    while True:
        try:
            item = next(stream)
        except StopIteration as ended:
            result: Result = ended.value
            return result
        yield function(item)


def result_of(stream: Generator[object, None, Result]) -> Result:
    """Run a stream to its end; what it returns."""
    while True:
        try:
            next(stream)
        except StopIteration as ended:
            result: Result = ended.value
            return result
