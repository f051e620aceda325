"""One solver in place of another that fails."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dnc_edge.errors import DncError, SolverError
from dnc_edge.solvers.protocol import History, Mode, Solver, Solving
from dnc_edge.types import Notice, Question, Usage


class FallbackSolver:
    """Asks `first`; where that ends in an error, says so and asks the solver that `second` makes."""

    small = False

    def __init__(self, first: Solver, second: Callable[[], Solver]) -> None:
        self.first = first
        self._second = second
        self.name, self.chat, self.shots = first.name, first.chat, first.shots

    @functools.cached_property
    def identity(self) -> Mapping[str, Any]:
        """Of both: the second is made for it, for either may answer."""
        return {**self.first.identity, "fallback": self._second().identity}

    def prepare(self) -> None:
        self.first.prepare()

    def solve(self, question: Question, plan: Sequence[str], mode: Mode) -> Solving:
        return self._either(lambda solver: solver.solve(question, plan, mode))

    def step(self, question: Question, history: History, subquestion: str) -> Solving:
        return self._either(lambda solver: solver.step(question, history, subquestion))

    def conclude(self, question: Question, history: History, rest: Sequence[str] = ()) -> Solving:
        return self._either(lambda solver: solver.conclude(question, history, rest))

    def _either(self, ask: Callable[[Solver], Solving]) -> Solving:
        try:
            answer = yield from ask(self.first)
            return answer
        except SolverError as error:
            second = self._second()
            yield Notice(f"{error.message}; answered by {second.name} instead")
            used = error.usage or Usage()
            try:
                answer = yield from ask(second)
            except DncError as also:
                also.usage = used + (also.usage or Usage())
                raise
            return replace(answer, solver=second.name, usage=used + answer.usage)
