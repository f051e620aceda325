"""The solver role of a local student, its arithmetic done by a calculator."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dnc_edge import parse, prompts
from dnc_edge.calculator import evaluate
from dnc_edge.engines import GREEDY, Sampling
from dnc_edge.errors import SolverError
from dnc_edge.pricing import Prices
from dnc_edge.solvers.protocol import History, Mode, Solving
from dnc_edge.students.student import Student
from dnc_edge.types import Answer, AnswerDelta, Question, Usage

_OPEN_MARK = re.compile(r"<<([^<>=]{1,200})=$")
_MARKS = re.compile(r"<<[^<>]*>>")


class LocalSolver:
    """Solves with a student's `solve` role.

    Where the student opens a calculator mark (`<<48/2=`), the result is worked out and given to it; the
    marks stay out of the text that is passed on.
    """

    small = True

    def __init__(self, student: Student, *, sampling: Sampling = GREEDY, prices: Prices | None = None) -> None:
        self.student = student
        self.prices = prices or Prices()
        self.sampling = sampling
        self.name = f"student:{student.name}"

    def identity(self) -> dict[str, Any]:
        return {"student": self.student.weights.sha256, "sampling": vars(self.sampling), "calculator": True}

    def prepare(self) -> None:
        """Nothing to do: the student is loaded."""

    def solve(self, question: Question, plan: Sequence[str], mode: Mode) -> Solving:
        # The small student knows one way to solve; `direct` starts it at the final answer.
        return self._ask(question, plan, lead=prompts.FINAL_ANSWER if mode == "direct" and not plan else "")

    def step(self, question: Question, history: History, subquestion: str) -> Solving:
        given = _answered(history)
        plan = [asked for asked, _ in history] + [subquestion]
        return self._ask(question, plan, given=f"{given}{len(plan)}. ", one_line=True)

    def conclude(self, question: Question, history: History) -> Solving:
        asked = [asked for asked, _ in history]
        return self._ask(question, asked, given=_answered(history), lead=prompts.FINAL_ANSWER)

    def _ask(
        self, question: Question, plan: Sequence[str], *, given: str = "", lead: str = "", one_line: bool = False
    ) -> Solving:
        """Solve, going on from what is `given` already and then `lead`, which belongs to the reply."""
        student = self.student
        tokens = student.prompt("solve", prompts.user_message(question.text, question.context, plan))
        tokens += student.tokenizer.encode(given + lead)
        room = student.manifest.roles["solve"].max_tokens
        usage = Usage()
        text, shown, finish = lead, "", "stop"
        calculating = True
        while calculating:
            calculating = False
            generation = student.generate(tokens, max_tokens=max(1, room), sampling=self.sampling)
            for piece in generation:
                text += piece
                if one_line and "\n" in text:
                    generation.stop()
                    break
                if (mark := _OPEN_MARK.search(text)) and (result := _result(mark.group(1))) is not None:
                    generation.stop()
                    calculating = True
                    break
                visible = _visible(text)
                if len(visible) > len(shown):
                    yield AnswerDelta(visible[len(shown) :])
                    shown = visible
            finish = generation.finish or "stop"
            # What continues is in the cache already: the prompt is counted once.
            usage += generation.usage if not usage.requests else replace(generation.usage, input_tokens=0)
            room -= len(generation.tokens)
            if calculating and result is not None:
                text += f"{result}>>"
                tokens = [*tokens, *generation.tokens, *student.tokenizer.encode(f"{result}>>")]
        if finish == "length":
            raise SolverError(
                f"{self.name} was cut off at {student.manifest.roles['solve'].max_tokens} tokens",
                code="solver_cut",
                hint="this question is too much for the small local solver; use --solver",
            )
        whole = _MARKS.sub("", text).rstrip()
        if len(whole) > len(shown):
            yield AnswerDelta(whole[len(shown) :])
        reply = given + whole
        return Answer(
            answer=parse.final_answer(reply),
            text=whole,
            subanswers=parse.subanswers(reply) if plan else (),
            finish_reason="stop",
            usage=replace(usage, requests=1, cost_usd=self.prices.of_local(usage)),
        )


def _answered(history: History) -> str:
    """The numbered lines of a solution that goes on after them."""
    return prompts.numbered([answer for _, answer in history]) + "\n" if history else ""


def _visible(text: str) -> str:
    """What may be shown already: marks removed, nothing from a mark (or half of one) still open."""
    text = _MARKS.sub("", text)
    return text.split("<<", 1)[0].removesuffix("<")


def _result(expression: str) -> str | None:
    """A calculation's result as GSM8K writes it; None where the expression cannot be evaluated."""
    try:
        value = evaluate(expression)
    except ValueError:
        return None
    return str(int(value)) if value == int(value) else f"{value:.4f}".rstrip("0").rstrip(".")
