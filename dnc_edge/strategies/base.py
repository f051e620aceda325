"""What a strategy is, and those that solve one step after another: single, static, dynamic."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Protocol

from dnc_edge import prompts
from dnc_edge.types import Answer, AnswerDelta, Event, Notice, Question, SubAnswer

if TYPE_CHECKING:
    from dnc_edge.decomposers import Decomposer
    from dnc_edge.record_builder import RecordBuilder
    from dnc_edge.solvers import Mode, Solver
    from dnc_edge.types import Plan


class Parts(Protocol):
    """What a strategy works with: `Pipeline` offers it."""

    @property
    def decomposer(self) -> Decomposer | None: ...

    @property
    def solver(self) -> Solver | None: ...

    @property
    def mode(self) -> Mode: ...

    @property
    def routes(self) -> bool:
        """Whether the solver is chosen for each question, once its plan is known."""
        ...

    def chosen(self, question: Question, plan: Plan | None, record: RecordBuilder) -> Parts:
        """The parts with the solver for this question; the record says which it is."""
        ...


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
            parts = parts.chosen(question, plan, record)
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
        return self.solve(parts.chosen(question, None, record), question, (), record)


class Static(Strategy):
    """Decompose once, then solve once (Divide-or-Conquer, section 3)."""


class Dynamic(Strategy):
    """Let decomposer and solver take turns: each sub-question is asked given the answers so far (section 5.4)."""

    plans_first = False
    asks_once = False

    def run(self, parts: Parts, question: Question, record: RecordBuilder) -> Generator[Event]:
        from dnc_edge.strategies.local_steps import work_out

        decomposer, solver = parts.decomposer, parts.chosen(question, None, record).solver
        if decomposer is None or solver is None:
            raise ValueError("dynamic takes a decomposer and a solver")
        history: list[tuple[str, str]] = []
        worked_out: list[int] = []
        while len(history) < decomposer.cap:
            record.stage = "decompose"
            plan = yield from decomposer.next(question, history)
            asked = tuple(asked for asked, _ in history)
            record.planned(replace(plan, subquestions=asked + plan.subquestions))
            if not plan.subquestions:
                break
            record.stage = "solve"
            answers = [given for _, given in history]
            known = work_out(plan.subquestions[0], answers)
            if known is not None:
                step = Answer(None, known)
                worked_out.append(len(history) + 1)
                yield AnswerDelta(known)
            else:
                step = yield from solver.step(question, history, prompts.substitute(plan.subquestions[0], answers))
            text = " ".join(step.text.split())
            yield SubAnswer(len(history) + 1, text, worked_out=known is not None)
            history.append((plan.subquestions[0], text))
            record.solved(
                replace(step, answer=None, text="", subanswers=(*answers, text), worked_out=tuple(worked_out))
            )
        record.stage = "solve"
        answer = yield from (solver.conclude(question, history) if history else solver.solve(question, (), parts.mode))
        subanswers = tuple(given for _, given in history)
        record.solved(replace(answer, subanswers=subanswers, worked_out=tuple(worked_out)))
