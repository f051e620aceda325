"""Sub-questions solved side by side: the references of a plan say which ones wait for which.

A sub-question whose references are answered is sent at once, with the answers that it refers to and nothing else, so
its request is the same however the others go: a run that is resumed finds its reply in the store. A plan takes as
many rounds as the longest chain of references has sub-questions.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dnc_edge import prompts
from dnc_edge.errors import DncError
from dnc_edge.strategies.base import Parts, Static, Strategy
from dnc_edge.strategies.plan_graph import PlanGraph, needed, says_its_order
from dnc_edge.streams import Together
from dnc_edge.types import Answer, AnswerDelta, Event, Notice, Plan, Question, SubAnswer, SubQuestion, Usage

if TYPE_CHECKING:
    from dnc_edge.decomposers import Planning
    from dnc_edge.record_builder import RecordBuilder
    from dnc_edge.solvers import Mode, Solver

# From this width on a plan has enough to be solved side by side.
WIDE = 1.5
# A last round of at most so many sub-questions is answered on the way to the answer: one request less to wait for.
MOST_WITH_THE_ANSWER = 2


class Graph(Strategy):
    """Solve the sub-questions that can be answered in one round side by side, then the question.

    While a student decodes the rest of a plan, those that need no other answer are sent already.
    """

    asks_once = False

    def run(self, parts: Parts, question: Question, record: RecordBuilder) -> Generator[Event]:
        decomposer, solver = parts.decomposer, parts.solver
        if decomposer is None or solver is None or parts.routes:
            # Nothing can be sent before the plan is whole.
            yield from super().run(parts, question, record)
            return
        with _Rounds(solver, question, record) as rounds:
            record.stage = "decompose"
            plan = yield from rounds.watch(decomposer.decompose(question))
            record.planned(plan)
            if plan.note:
                yield Notice(plan.note)
            record.stage = "solve"
            record.solved((yield from rounds.solve(plan.subquestions, parts.mode)))

    def solve(
        self, parts: Parts, question: Question, subquestions: Sequence[str], record: RecordBuilder
    ) -> Generator[Event]:
        if parts.solver is None:
            return
        with _Rounds(parts.solver, question, record) as rounds:
            record.stage = "solve"
            record.solved((yield from rounds.solve(subquestions, parts.mode)))


class Auto(Strategy):
    """Choose for each plan: `graph` if it is wide, else `static`."""

    asks_once = False

    def solve(
        self, parts: Parts, question: Question, subquestions: Sequence[str], record: RecordBuilder
    ) -> Generator[Event]:
        # A small local model gains nothing: what it decodes side by side it decodes slower.
        graph = is_wide(question, subquestions) and parts.solver is not None and not parts.solver.small
        record.chose("graph" if graph else "static")
        yield from (Graph() if graph else Static()).solve(parts, question, subquestions, record)


def is_wide(question: Question, subquestions: Sequence[str]) -> bool:
    """Whether a plan is solved sooner side by side, as `auto` decides."""
    return PlanGraph.of(question, subquestions).width > WIDE


class _Rounds:
    """One question on its way through the graph of its plan.

    Use it in a `with`: an error within waits for the requests that are under way, and what was paid for until then is
    kept in the record.
    """

    def __init__(self, solver: Solver, question: Question, record: RecordBuilder) -> None:
        self._solver, self._question, self._record = solver, question, record
        self._together: Together[int, AnswerDelta | Notice, Answer] = Together()
        self._plan: list[str] = []
        self._needs: dict[int, frozenset[int]] = {}
        self._asked: set[int] = set()
        self._answers: dict[int, str] = {}
        self._worked_out: list[int] = []
        self._usage = Usage()
        # Requests overlap, so their own seconds do not add up to the stage's.
        self._since = time.perf_counter()

    def __enter__(self) -> _Rounds:
        return self

    def __exit__(self, kind: object, raised: BaseException | None, traceback: object) -> None:
        try:
            if isinstance(raised, Exception):
                self._keep_what_was_paid(raised)
        finally:
            self._together.__exit__(kind, raised, traceback)

    def watch(self, planning: Planning) -> Generator[Event, None, Plan]:
        """Pass a plan on as it is decoded, and ask meanwhile what can be asked before the rest is known."""
        told = 0
        while True:
            try:
                event = next(planning)
            except StopIteration as ended:
                plan: Plan = ended.value
                self._since = time.perf_counter()
                return plan
            if isinstance(event, SubQuestion):
                index = len(self._plan)
                self._plan.append(event.text)
                if says_its_order(self._question, event.text, index):
                    self._needs[index] = needed(event.text, index)
            elif told < len(self._plan):
                # The plan goes on after what was told: that is not its last sub-question.
                told = len(self._plan)
                yield from self._ask_ready()
                yield from self._taken(wait=False)
            yield event

    def solve(self, subquestions: Sequence[str], mode: Mode) -> Generator[Event, None, Answer]:
        """Answer the sub-questions of the whole plan, round by round, then the question."""
        if tuple(self._plan) != tuple(subquestions)[: len(self._plan)]:
            raise AssertionError("a sub-question was told that is not in the plan")
        graph = PlanGraph.of(self._question, subquestions)
        self._plan, self._needs = list(graph.plan), dict(enumerate(graph.needs))
        last = [index for index, level in enumerate(graph.levels) if level == graph.depth - 1]
        kept = frozenset(last) - self._asked if len(last) <= MOST_WITH_THE_ANSWER else frozenset()
        while True:
            yield from self._ask_ready(kept)
            if not self._together.running:
                break
            yield from self._taken(wait=True)
        rest = [index for index in range(len(self._plan)) if index not in self._answers]
        history = [(self._text(index), self._answers[index]) for index in sorted(self._answers)]
        remaining = [self._text(index) for index in rest]
        if history:
            answer = yield from self._solver.conclude(self._question, history, remaining)
        else:
            answer = yield from self._solver.solve(self._question, remaining, mode)
        self._answers |= dict(zip(rest, answer.subanswers, strict=False))
        return self._whole(replace(answer, usage=self._usage + answer.usage))

    def _keep_what_was_paid(self, error: Exception) -> None:
        if isinstance(error, DncError):
            error.stage = error.stage or self._record.stage
        while (ended := self._together.ended(wait=True)) is not None:
            self._count(ended.result, ended.error)
            if ended.result:
                self._answers[ended.key] = " ".join(ended.result.text.split())
        if self._asked:
            self._record.solved(self._whole(Answer(None, "", usage=self._usage)))

    def _ask_ready(self, kept: frozenset[int] = frozenset()) -> Generator[Event]:
        """Work out, or send, what waits for no answer; of those `kept` for the end nothing is sent."""
        while ready := [
            index for index, needs in self._needs.items() if index not in self._asked and needs <= self._answers.keys()
        ]:
            for index in ready:
                self._asked.add(index)
                if (text := self._work_out(index)) is not None:
                    self._worked_out.append(index + 1)
                    self._answers[index] = text
                    yield SubAnswer(index + 1, text, worked_out=True)
                elif index not in kept:
                    self._together.start(
                        index, self._solver.step(self._question, self._behind(index), self._text(index))
                    )

    def _taken(self, *, wait: bool) -> Generator[Event]:
        """Take the answers that are there; `wait` for one."""
        while (ended := self._together.ended(wait=wait)) is not None:
            wait = False
            yield from (item for item in ended.items if isinstance(item, Notice))
            if ended.error or ended.result is None:
                raise ended.error or AssertionError("a sub-question ended without an answer")
            self._count(ended.result, None)
            self._answers[ended.key] = text = " ".join(ended.result.text.split())
            yield SubAnswer(ended.key + 1, text)

    def _count(self, result: Answer | None, error: Exception | None) -> None:
        usage = result.usage if result else error.usage if isinstance(error, DncError) else None
        self._usage += usage or Usage()

    def _work_out(self, index: int) -> str | None:
        from dnc_edge.strategies.local_steps import work_out

        return work_out(self._plan[index], [self._answers.get(other, "") for other in range(index)])

    def _behind(self, index: int) -> list[tuple[str, str]]:
        """What a sub-question needs, with the answers."""
        needs = tuple(self._needs.get(other, frozenset()) for other in range(len(self._plan)))
        behind = PlanGraph(tuple(self._plan), needs).behind(index)
        return [(self._text(other), self._answers[other]) for other in behind]

    def _text(self, index: int) -> str:
        """A sub-question with the answers that it refers to in place of the references."""
        answers = [self._answers.get(other, f"#{other + 1}") for other in range(len(self._plan))]
        return prompts.substitute(self._plan[index], answers)

    def _whole(self, answer: Answer) -> Answer:
        return replace(
            answer,
            subanswers=tuple(self._answers.get(index, "") for index in range(len(self._plan))),
            worked_out=tuple(sorted(self._worked_out)),
            usage=replace(answer.usage, seconds=time.perf_counter() - self._since),
        )
