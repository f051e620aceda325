"""The strategies: single, static, dynamic. Each is a stream of events that ends with a record.

Blocking calls, the terminal's view, JSON, batch and benches are readers of this stream. What goes wrong
in a stage ends the stream with a record that holds the error and everything got until then.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from dnc_edge import prompts
from dnc_edge.errors import DncError, Unexpected
from dnc_edge.remote.pricing import Prices
from dnc_edge.types import Answer, AnswerDelta, Event, Finished, Notice, Plan, Question, Record, Usage, record_key

if TYPE_CHECKING:
    from dnc_edge.decomposers import Decomposer
    from dnc_edge.solvers import Mode, Solver

Strategy = Literal["single", "static", "dynamic"]


@dataclass(frozen=True)
class Pipeline:
    """A strategy with its parts.

    Args:
        strategy: "single" asks the solver alone; "static" decomposes once, then solves once; "dynamic"
            lets decomposer and solver take turns (Divide-or-Conquer, section 5.4).
        decomposer: None for "single".
        solver: None to deliver plans only.
        mode: how the solver answers without sub-questions: "cot" step by step, "direct" at once.
    """

    strategy: Strategy = "static"
    decomposer: Decomposer | None = None
    solver: Solver | None = None
    mode: Mode = "cot"
    prices: Prices = field(default_factory=Prices)

    def key(self, question: Question, plan: Sequence[str] | None = None) -> str:
        """Hash of everything that changes the answer; `plan` where it is given instead of decomposed."""
        settings: dict[str, Any] = {
            "question": question.text,
            "context": question.context,
            "prompt_version": prompts.VERSION,
            "strategy": self.strategy,
            "mode": self.mode,
            "decomposer": None,
            "solver": self.solver.identity if self.solver else None,
        }
        if plan is not None:
            settings["decomposer"] = {"given": list(plan)}
        elif self.decomposer and self.strategy != "single":
            settings["decomposer"] = self.decomposer.identity(question)
        return record_key(settings)

    def stream(self, question: Question, plan: Sequence[str] | None = None) -> Generator[Event]:
        """Run one question.

        Args:
            question: what to answer.
            plan: sub-questions to solve through, in place of the decomposer's.

        Yields:
            events in order; the last one is `Finished`.
        """
        started = time.perf_counter()
        partial = _Partial(self._blank(question, plan))
        error: DncError | None = None
        try:
            if self.strategy == "dynamic" and plan is None:
                yield from self._dynamic(question, partial)
            else:
                yield from self._static(question, plan, partial)
        except Exception as raised:
            error = raised if isinstance(raised, DncError) else _unexpected(raised)
            error.stage = error.stage or partial.stage
            if error.usage is not None:
                partial.spend(error.stage or "solve", error.usage)
        # A stage that was decoded together with others took its own time before.
        seconds = max(time.perf_counter() - started, sum(usage.seconds for usage in partial.usage.values()))
        record = replace(partial.record, usage=partial.usage, seconds=seconds)
        costs = [usage.cost_usd for usage in partial.usage.values()]
        known = [cost for cost in costs if cost is not None]
        record = replace(record, cost_usd=sum(known) if len(known) == len(costs) else None)
        if record.cost_usd != 0:
            record = replace(record, price_date=self.prices.date())
        yield Finished(record.with_error(error) if error else record, error)

    def _blank(self, question: Question, plan: Sequence[str] | None) -> Record:
        decomposer = self.decomposer if self.strategy != "single" and plan is None else None
        return Record(
            id=question.id or question_id(question),
            question=question.text,
            context=question.context,
            key=self.key(question, plan),
            strategy=self.strategy,
            prompt_version=prompts.VERSION,
            decomposer=decomposer.name if decomposer else None,
            engine=decomposer.engine if decomposer else None,
            level=decomposer.level if decomposer else None,
            solver=self.solver.name if self.solver else None,
        )

    def _static(self, question: Question, given: Sequence[str] | None, partial: _Partial) -> Generator[Event]:
        """Single, static, or a given plan: at most one decomposition, then at most one solver call."""
        subquestions: Sequence[str] = given or ()
        if given is not None:
            partial.record = replace(partial.record, subquestions=tuple(given))
        elif self.decomposer and self.strategy != "single":
            partial.stage = "decompose"
            plan = yield from self.decomposer.decompose(question)
            partial.planned(plan)
            if plan.note:
                yield Notice(plan.note)
            subquestions = plan.subquestions
        if self.solver:
            partial.stage = "solve"
            answer = yield from self.solver.solve(question, subquestions, self.mode)
            partial.solved(answer)

    def _dynamic(self, question: Question, partial: _Partial) -> Generator[Event]:
        """Turns: the next sub-question given the answers so far, then its answer; then the conclusion."""
        if self.decomposer is None or self.solver is None:
            raise ValueError("dynamic takes a decomposer and a solver")
        history: list[tuple[str, str]] = []
        while len(history) < self.decomposer.cap:
            partial.stage = "decompose"
            plan = yield from self.decomposer.next(question, history)
            asked = tuple(asked for asked, _ in history)
            partial.planned(replace(plan, subquestions=asked + plan.subquestions))
            if not plan.subquestions:
                break
            partial.stage = "solve"
            subquestion = prompts.substitute(plan.subquestions[0], [given for _, given in history])
            step = yield from self.solver.step(question, history, subquestion)
            # Each answer is a line of its own in the stream.
            yield AnswerDelta("\n")
            history.append((plan.subquestions[0], " ".join(step.text.split())))
            partial.solved(replace(step, answer=None, text="", subanswers=tuple(given for _, given in history)))
        partial.stage = "solve"
        answer = yield from (
            self.solver.conclude(question, history) if history else self.solver.solve(question, (), self.mode)
        )
        partial.solved(replace(answer, subanswers=tuple(given for _, given in history)))


class _Partial:
    """The record as it grows, so that an error in one stage loses nothing of the other."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.usage: dict[str, Usage] = {}
        self.stage: str | None = None

    def planned(self, plan: Plan) -> None:
        self.spend("decompose", plan.usage)
        self.record = replace(
            self.record,
            subquestions=plan.subquestions,
            plan_logprob=plan.logprob,
            plan_confidence=plan.confidence,
            withheld=plan.withheld or None,
            repaired=self.record.repaired + plan.repaired,
        )

    def solved(self, answer: Answer) -> None:
        self.spend("solve", answer.usage)
        self.record = replace(
            self.record,
            answer=answer.answer,
            text=answer.text or None,
            subanswers=answer.subanswers,
            finish_reason=answer.finish_reason,
            solver=answer.solver or self.record.solver,
        )

    def spend(self, stage: str, usage: Usage) -> None:
        self.usage[stage] = self.usage[stage] + usage if stage in self.usage else usage


def _unexpected(raised: Exception) -> Unexpected:
    """Of a thousand questions one that meets a bug must not take the others along."""
    said = " ".join(str(raised).split())[:200]
    error = Unexpected(f"unexpected {type(raised).__name__}: {said}", hint="this is a bug; please report it")
    error.__cause__ = raised
    return error


def question_id(question: Question) -> str:
    """An id for a question that has none: the same for the same text and passage."""
    digest = hashlib.sha256(f"{question.text}\0{question.context or ''}".encode("utf-8", errors="surrogatepass"))
    return f"q-{digest.hexdigest()[:10]}"
