"""A question through decomposer and solver: a stream of events that ends with a record.

Blocking calls, the terminal's view, JSON, batch and benches are readers of this stream. A stage that fails ends the
stream with a record that holds the error and what the stages before it made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dnc_edge import prompts
from dnc_edge.errors import DncError
from dnc_edge.record_builder import RecordBuilder
from dnc_edge.remote.pricing import Prices
from dnc_edge.strategies import STRATEGIES, Strategy
from dnc_edge.types import Answer, Event, Finished, Plan, Question, Record, record_key

if TYPE_CHECKING:
    from dnc_edge.decomposers import Decomposer
    from dnc_edge.solvers import Mode, Solver
    from dnc_edge.solvers.routing import Router


@dataclass(frozen=True)
class Pipeline:
    """A strategy with its parts.

    Args:
        strategy: an entry of `STRATEGIES`.
        decomposer: None for "single".
        solver: None to deliver plans only.
        mode: how the solver answers without sub-questions: "cot" step by step, "direct" at once.
        prices: their date goes into a record that costs money.
        router: chooses another solver than `solver`, its cheap one, for questions that need it.
    """

    strategy: str = "static"
    decomposer: Decomposer | None = None
    solver: Solver | None = None
    mode: Mode = "cot"
    prices: Prices = field(default_factory=Prices)
    router: Router | None = None

    @property
    def routes(self) -> bool:
        return self.router is not None

    def chosen(self, question: Question, plan: Plan | None, record: RecordBuilder) -> Pipeline:
        """The pipeline with the solver for this question, once its plan, if it has one, is known."""
        if self.router is None or self.solver is None:
            return self
        solver, routed = self.router.choose(question, plan)
        record.routed(routed, solver.name)
        return replace(self, solver=solver, router=None)

    @property
    def method(self) -> Strategy:
        """What the strategy's name stands for."""
        return STRATEGIES[self.strategy]

    def key(self, question: Question, plan: Sequence[str] | None = None) -> str:
        """Hash everything that changes the answer; `plan` if it is given instead of decomposed."""
        settings: dict[str, Any] = {
            "question": question.text,
            "context": question.context,
            "prompt_version": prompts.VERSION,
            "strategy": self.strategy,
            "mode": self.mode,
            "decomposer": None,
            "solver": self._solver_identity(),
        }
        if plan is not None:
            settings["decomposer"] = {"given": list(plan)}
        elif self.decomposer and self.method.decomposes:
            settings["decomposer"] = self.decomposer.identity(question)
        return record_key(settings)

    def _solver_identity(self) -> Mapping[str, Any] | None:
        if self.router is not None:
            return self.router.identity
        return self.solver.identity if self.solver else None

    def stream(self, question: Question, plan: Sequence[str] | None = None) -> Generator[Event]:
        """Run one question.

        Args:
            question: what to answer.
            plan: sub-questions to solve through, in place of the decomposer's.

        Yields:
            events in order; the last one is `Finished`.
        """
        with self.builder(question, plan) as builder:
            if plan is None:
                yield from self.method.run(self, question, builder)
            else:
                parts = self.chosen(question, Plan(tuple(plan)), builder)
                yield from self.method.solve(parts, question, plan, builder)
        yield builder.finished()

    def finish(
        self, question: Question, plan: Plan | DncError | None, answer: Answer | DncError | None = None
    ) -> Finished:
        """Finish a question whose plan, and perhaps answer, was decoded together with those of others.

        Args:
            question: what is answered.
            plan: what the decomposer made of it, or what was wrong; None if the strategy has no plan.
            answer: what the solver made of it, or what was wrong; None asks the solver now.
        """
        with self.builder(question) as builder:
            if plan is not None:
                builder.planned(plan)
            if answer is not None:
                builder.solved(answer)
            else:
                parts = self.chosen(question, plan if isinstance(plan, Plan) else None, builder)
                for _ in self.method.solve(parts, question, builder.subquestions, builder):
                    pass
        return builder.finished()

    def builder(self, question: Question, plan: Sequence[str] | None = None) -> RecordBuilder:
        """Begin the record of a question; `plan` if it is given instead of decomposed."""
        decomposer = self.decomposer if self.method.decomposes and plan is None else None
        record = Record(
            id=question.id or question_id(question),
            question=question.text,
            context=question.context,
            key=self.key(question, plan),
            strategy=self.strategy,
            prompt_version=prompts.VERSION,
            subquestions=None if plan is None else tuple(plan),
            decomposer=decomposer.name if decomposer else None,
            engine=decomposer.engine if decomposer else None,
            level=decomposer.level if decomposer else None,
            solver=self.solver.name if self.solver else None,
        )
        return RecordBuilder(record, self.prices)


def question_id(question: Question) -> str:
    """An id for a question that has none: the same for the same text and passage."""
    digest = hashlib.sha256(f"{question.text}\0{question.context or ''}".encode("utf-8", errors="surrogatepass"))
    return f"q-{digest.hexdigest()[:10]}"
