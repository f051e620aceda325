"""The strategies: how decomposer and solver work on one question. A new one is one entry in `STRATEGIES`."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Protocol

from dnc_edge import prompts
from dnc_edge.types import AnswerDelta, Event, Notice, Question

if TYPE_CHECKING:
    from dnc_edge.decomposers import Decomposer
    from dnc_edge.record_builder import RecordBuilder
    from dnc_edge.solvers import Mode, Solver


class Parts(Protocol):
    """What a strategy works with: `Pipeline` offers it."""

    @property
    def decomposer(self) -> Decomposer | None: ...

    @property
    def solver(self) -> Solver | None: ...

    @property
    def mode(self) -> Mode: ...


class Strategy:
    """Decompose the question once, then solve it through the plan; the base of the others.

    Attributes:
        decomposes: whether it needs a decomposer.
        plans_first: whether the plan is whole before the solver is asked, so that plans can be made ahead.
        asks_once: whether the solver is asked a single time.
    """

    decomposes: ClassVar[bool] = True
    plans_first: ClassVar[bool] = True
    asks_once: ClassVar[bool] = True

    def run(self, parts: Parts, question: Question, record: RecordBuilder) -> Generator[Event]:
        """Run one question; what a stage makes goes into the record, what it raises ends the question."""
        subquestions: Sequence[str] = ()
        if parts.decomposer:
            record.stage = "decompose"
            plan = yield from parts.decomposer.decompose(question)
            record.planned(plan)
            if plan.note:
                yield Notice(plan.note)
            subquestions = plan.subquestions
        yield from self.solve(parts, question, subquestions, record)

    def solve(
        self, parts: Parts, question: Question, subquestions: Sequence[str], record: RecordBuilder
    ) -> Generator[Event]:
        """Answer through sub-questions that are there; nothing to do without a solver."""
        if parts.solver:
            record.stage = "solve"
            answer = yield from parts.solver.solve(question, subquestions, parts.mode)
            record.solved(answer)


class Single(Strategy):
    """Ask the solver alone."""

    decomposes = False

    def run(self, parts: Parts, question: Question, record: RecordBuilder) -> Generator[Event]:
        return self.solve(parts, question, (), record)


class Static(Strategy):
    """Decompose once, then solve once (Divide-or-Conquer, section 3)."""


class Dynamic(Strategy):
    """Let decomposer and solver take turns: each sub-question is asked given the answers so far (section 5.4)."""

    plans_first = False
    asks_once = False

    def run(self, parts: Parts, question: Question, record: RecordBuilder) -> Generator[Event]:
        decomposer, solver = parts.decomposer, parts.solver
        if decomposer is None or solver is None:
            raise ValueError("dynamic takes a decomposer and a solver")
        history: list[tuple[str, str]] = []
        while len(history) < decomposer.cap:
            record.stage = "decompose"
            plan = yield from decomposer.next(question, history)
            asked = tuple(asked for asked, _ in history)
            record.planned(replace(plan, subquestions=asked + plan.subquestions))
            if not plan.subquestions:
                break
            record.stage = "solve"
            subquestion = prompts.substitute(plan.subquestions[0], [given for _, given in history])
            step = yield from solver.step(question, history, subquestion)
            # Each answer is a line of its own in the stream.
            yield AnswerDelta("\n")
            history.append((plan.subquestions[0], " ".join(step.text.split())))
            record.solved(replace(step, answer=None, text="", subanswers=tuple(given for _, given in history)))
        record.stage = "solve"
        answer = yield from (solver.conclude(question, history) if history else solver.solve(question, (), parts.mode))
        record.solved(replace(answer, subanswers=tuple(given for _, given in history)))


STRATEGIES: dict[str, Strategy] = {"single": Single(), "static": Static(), "dynamic": Dynamic()}
