"""The solver role of a local student, its arithmetic done by a calculator."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dnc_edge import parse, prompts
from dnc_edge.calculator import evaluate
from dnc_edge.engines import GREEDY, Observer, Sampling
from dnc_edge.errors import DncError, SolverCut, SolverError
from dnc_edge.remote.pricing import Prices
from dnc_edge.remote.protocol import Chat
from dnc_edge.solvers.protocol import History, Mode, Solving
from dnc_edge.students.lines import Enough, TextObserver
from dnc_edge.students.student import Generation, Student
from dnc_edge.students.tokenizer import Tokenizer
from dnc_edge.types import Answer, AnswerDelta, Question

_OPEN_MARK = re.compile(r"<<([^<>=]{1,200})=$")
_MARKS = re.compile(r"<<[^<>]*>>")
# Words in a line from which on it is a sentence; shorter lines, as in a program, may come again.
_SENTENCE = 5
# Above it floats skip integers: the result would be digits that nobody calculated.
_LARGEST = 2.0**53


class LocalSolver:
    """Solves with a student's `solve` role; kinds of question that it was not trained on go to its role `chat`.

    Where the student opens a calculator mark (`<<48/2=`), the result is worked out and given to it; the
    marks stay out of the text that is passed on.
    """

    small = True
    chat: Chat | None = None
    shots: int = 0

    def __init__(self, student: Student, *, sampling: Sampling = GREEDY, prices: Prices | None = None) -> None:
        self.student = student
        self.prices = prices or Prices()
        self.sampling = sampling
        self.name = f"student:{student.name}"
        self.identity: Mapping[str, Any] = {
            "student": student.weights.sha256,
            "sampling": vars(sampling),
            "calculator": True,
        }

    def prepare(self) -> None:
        """Nothing to do: the student is loaded."""

    def solve(self, question: Question, plan: Sequence[str], mode: Mode) -> Solving:
        return self._ask(question, plan, lead=_lead(plan, mode))

    def begin(self, question: Question, plan: Sequence[str], mode: Mode) -> Generation:
        """The decoding of an answer, to run together with others."""
        return self._generation(question, plan, _lead(plan, mode))

    def answered(self, generation: Generation, plan: Sequence[str], mode: Mode) -> Answer | DncError:
        """The answer that was decoded, or what was wrong."""
        try:
            return generation.error or self._answer(generation, plan, lead=_lead(plan, mode))
        except SolverError as error:
            return error

    def step(self, question: Question, history: History, subquestion: str) -> Solving:
        given = _answered(history)
        plan = [asked for asked, _ in history] + [subquestion]
        return self._ask(question, plan, given=f"{given}{len(plan)}. ", one_line=True)

    def conclude(self, question: Question, history: History, rest: Sequence[str] = ()) -> Solving:
        plan = [asked for asked, _ in history] + list(rest)
        lead = "" if rest else prompts.FINAL_ANSWER
        answer = yield from self._ask(question, plan, given=_answered(history), lead=lead)
        return replace(answer, subanswers=answer.subanswers[len(history) :])

    def _ask(
        self, question: Question, plan: Sequence[str], *, given: str = "", lead: str = "", one_line: bool = False
    ) -> Solving:
        """Solve, going on from what is `given` already and then `lead`, which belongs to the reply."""
        generation = self._generation(question, plan, given + lead, one_line=one_line)
        text, shown = lead, ""
        for piece in generation:
            text += piece
            visible = _visible(text).rstrip()
            if len(visible) > len(shown):
                yield AnswerDelta(visible[len(shown) :])
                shown = visible
        answer = self._answer(generation, plan, given=given, lead=lead)
        if len(answer.text) > len(shown):
            yield AnswerDelta(answer.text[len(shown) :])
        return answer

    def _generation(self, question: Question, plan: Sequence[str], begun: str, *, one_line: bool = False) -> Generation:
        student, role = self.student, self._role(question)
        tokens = student.prompt(role, prompts.user_message(question.text, question.context, plan))
        observers: list[Observer] = [_Calculator(student.tokenizer), Enough(student.tokenizer, _repeats_itself)]
        if one_line:
            observers.append(Enough(student.tokenizer, lambda _: True))
        return student.generate(
            tokens + student.tokenizer.encode(begun),
            max_tokens=student.manifest.roles[role].max_tokens,
            role=role,
            sampling=self.sampling,
            observers=observers,
        )

    def _role(self, question: Question) -> str:
        role = self.student.manifest.roles.get("solve")
        if role is None or not role.kinds or prompts.kind_of(question.text, question.context) in role.kinds:
            return "solve"
        return "chat"

    def _answer(self, generation: Generation, plan: Sequence[str], *, given: str = "", lead: str = "") -> Answer:
        if generation.finish == "length":
            raise SolverCut(
                f"{self.name} was cut off at {generation.request.max_tokens} tokens",
                hint="this question is too much for the small local solver; use --solver",
            )
        text = _MARKS.sub("", lead + generation.text).rstrip()
        return Answer(
            answer=parse.final_answer(given + text),
            text=text,
            subanswers=parse.subanswers(given + text) if plan else (),
            finish_reason="stop",
            usage=replace(generation.usage, cost_usd=self.prices.of_local(generation.usage)),
        )


class _Calculator(TextObserver):
    """Inserts the result of each calculator mark that a reply opens."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__(tokenizer)
        self._encode = tokenizer.encode

    def add(self, token: int) -> Sequence[int]:
        super().add(token)
        if not self.pieces[-1].endswith(b"="):
            return ()
        mark = _OPEN_MARK.search(self.text)
        result = _result(mark[1]) if mark else None
        return self._encode(f"{result}>>") if result is not None else ()


def _lead(plan: Sequence[str], mode: Mode) -> str:
    """The small student knows one way to solve; `direct` starts it at the final answer."""
    return prompts.FINAL_ANSWER if mode == "direct" and not plan else ""


def _answered(history: History) -> str:
    """The numbered lines of a solution that goes on after them."""
    return prompts.numbered([answer for _, answer in history]) + "\n" if history else ""


def _repeats_itself(text: str) -> bool:
    """Whether the last whole line is a sentence that was said before: a small model then says it forever."""
    *earlier, last = text.rstrip().split("\n")
    return len(last.split()) >= _SENTENCE and last in earlier


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
    if abs(value) > _LARGEST:
        return None
    return str(int(value)) if value == int(value) else f"{value:.4f}".rstrip("0").rstrip(".")
