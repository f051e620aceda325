"""Decomposers: a question in, a plan out; a local student, any endpoint, recorded, gold, trivial or none."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dnc_edge import files, parse, prompts
from dnc_edge.engines import GREEDY, Sampling
from dnc_edge.errors import DncError, InputError, NoPlan, PromptTooLong
from dnc_edge.remote.pricing import Prices
from dnc_edge.remote.protocol import priced
from dnc_edge.streams import result_of
from dnc_edge.students import lines
from dnc_edge.types import Plan, PlanDelta, Question, Record, SubQuestion, Usage

if TYPE_CHECKING:
    from dnc_edge.remote.protocol import Chat
    from dnc_edge.students.student import Generation, Student

Planning = Generator[PlanDelta | SubQuestion, None, Plan]


class Decomposer(Protocol):
    """Streams sub-questions as they come and returns the whole plan, measured.

    Attributes:
        name: as the command line writes it.
        cap: most sub-questions of a plan.
        engine, level: of a local student; None for the others.
    """

    name: str
    cap: int
    engine: str | None
    level: str | None

    def identity(self, question: Question) -> dict[str, Any]:
        """What of it changes the question's plan; part of a record's key."""
        ...

    def decompose(self, question: Question) -> Planning:
        """Break the question into sub-questions.

        Raises:
            SolverError, PromptTooLong, InputError: there is no plan to deliver.
        """
        ...

    def next(self, question: Question, history: Sequence[tuple[str, str]]) -> Planning:
        """The one sub-question to ask next, given those answered; an empty plan ends the asking."""
        ...


def _read(text: str, *, cap: int, usage: Usage, logprob: float | None = None) -> Plan:
    """The plan in a reply.

    Raises:
        NoPlan: there is none in it; what the reply cost is in the error's `usage`.
    """
    parsed = parse.plan(text, cap=cap)
    if not parsed.found:
        error = NoPlan(
            f"no sub-question can be found in the decomposer's reply: {' '.join(text.split())[:80]!r}",
            hint="take another decomposer, show it examples (--shots 2), or ask without a plan (--strategy single)",
        )
        error.usage = usage
        raise error
    return Plan(parsed.subquestions, raw=text, repaired=parsed.repaired, logprob=logprob, usage=usage)


def _next(planning: Planning, history: Sequence[tuple[str, str]]) -> Planning:
    """One turn of `dynamic`: a sub-question is passed on only if it is new; a repeat, or prose, ends the asking."""
    try:
        plan = result_of(planning)
    except NoPlan as error:
        if not history:
            raise
        plan = Plan((), usage=error.usage or Usage())
    asked = {parse.fold(subquestion) for subquestion, _ in history}
    fresh = tuple(subquestion for subquestion in plan.subquestions if parse.fold(subquestion) not in asked)
    for subquestion in fresh:
        yield SubQuestion(len(history) + 1, subquestion)
    return replace(plan, subquestions=fresh)


class StudentDecomposer:
    """A local student. Decoding ends with the `cap`-th sub-question; the last is kept as decoded.

    Args:
        student: what decodes.
        cap: most sub-questions of a plan; None is the student's own.
        sampling: how tokens are chosen.
        prices: how local work is priced.
        gated: withhold plans whose confidence is below the student's threshold, and leave questions whole that are
            longer than its context; else every plan is delivered, and such a question is an error.
    """

    def __init__(
        self,
        student: Student,
        *,
        cap: int | None = None,
        sampling: Sampling = GREEDY,
        prices: Prices | None = None,
        gated: bool = False,
    ) -> None:
        self.student = student
        self.cap = cap or student.manifest.max_subquestions
        self.sampling = sampling
        self.prices = prices or Prices()
        self.gated = gated
        self.name = f"student:{student.name}"
        self.engine: str | None = student.engine.name
        self.level: str | None = student.weights.level
        confidence = student.manifest.confidence
        self._threshold = confidence.threshold(student.weights.level) if confidence and gated else 0.0

    def identity(self, question: Question) -> dict[str, Any]:
        identity = {"student": self.student.weights.sha256, "cap": self.cap, "sampling": vars(self.sampling)}
        return {**identity, "threshold": self._threshold} if self._threshold else identity

    def decompose(self, question: Question) -> Planning:
        return self._decode(question, cap=self.cap)

    def next(self, question: Question, history: Sequence[tuple[str, str]]) -> Planning:
        # What was asked so far stands where the student's own plan would: it goes on from there.
        given = "".join(asked + "\n" for asked, _ in history)
        return _next(self._decode(question, cap=1, given=given), history)

    def decompose_many(self, questions: Iterable[Question]) -> Generator[tuple[Question, Plan | DncError]]:
        """Plans of many questions, decoded together; each comes when it is whole, in any order.

        Questions are taken from the iterable as the engine has room for them. What is wrong with one (a
        prompt too long) stands in the place of its plan.
        """
        asked: dict[Generation, Question] = {}

        def generations() -> Iterator[Generation]:
            for question in questions:
                generation = self.begin(question)
                asked[generation] = question
                yield generation

        for generation in self.student.generate_many(generations()):
            question = asked.pop(generation)
            yield question, self.planned(question, generation)

    def begin(self, question: Question) -> Generation:
        """The decoding of a question's plan, to run together with others."""
        return self._generation(question, self.cap)

    def planned(self, question: Question, generation: Generation) -> Plan | DncError:
        """The plan that was decoded for a question, or what was wrong."""
        try:
            if generation.error:
                raise generation.error
            return self._plan(question, generation, self.cap)
        except (NoPlan, PromptTooLong) as error:
            return self._left_whole(generation, error) if self.gated else error

    def _generation(self, question: Question, cap: int, given: str = "") -> Generation:
        student = self.student
        tokens = student.prompt("decompose", prompts.user_message(question.text, question.context))
        return student.generate(
            tokens + student.tokenizer.encode(given),
            max_tokens=student.manifest.roles["decompose"].max_tokens,
            role="decompose",
            sampling=self.sampling,
            observers=student.plan_observers(cap, given),
        )

    def _decode(self, question: Question, *, cap: int, given: str = "") -> Planning:
        generation = self._generation(question, cap, given)
        told = 0
        try:
            for piece in generation:
                yield PlanDelta(piece)
                # Whether a plan is delivered is known only once it is whole.
                if "\n" in piece and not self._threshold:
                    whole = lines.whole(generation.text, cap)
                    for number in range(told, len(whole)):
                        yield SubQuestion(number + 1, whole[number])
                    told = len(whole)
            plan = self._plan(question, generation, cap)
        except (NoPlan, PromptTooLong) as error:
            if not self.gated:
                raise
            return self._left_whole(generation, error)
        for number in range(told, len(plan.subquestions)):
            yield SubQuestion(number + 1, plan.subquestions[number])
        return plan

    def _plan(self, question: Question, generation: Generation, cap: int) -> Plan:
        plan = _read(generation.text, cap=cap, usage=self._usage(generation), logprob=generation.mean_logprob)
        confidence = self.student.manifest.confidence
        if confidence is None or not plan.subquestions:
            return plan
        sure = confidence.of(question.text, question.context, plan.subquestions, generation.logprobs)
        plan = replace(plan, confidence=round(sure, 4))
        if sure >= self._threshold:
            return plan
        note = (
            f"the student does not trust its plan ({sure:.2f}, below {self._threshold:.2f}); the question is left whole"
        )
        return replace(plan, subquestions=(), withheld=plan.subquestions, note=f"{note} (--plan always keeps it)")

    def _left_whole(self, generation: Generation, error: DncError) -> Plan:
        note = f"{error.message}; the question is left whole"
        return Plan((), raw=generation.text, usage=self._usage(generation), note=note)

    def _usage(self, generation: Generation) -> Usage:
        return replace(generation.usage, cost_usd=self.prices.of_local(generation.usage))


class ChatDecomposer:
    """Any chat model, behind an endpoint or local: the papers' teachers and untrained baselines."""

    engine: str | None = None
    level: str | None = None

    def __init__(self, chat: Chat, *, cap: int = 10, shots: int = 0, prices: Prices | None = None) -> None:
        self.chat = chat
        self.cap = cap
        self.shots = shots
        self.prices = prices or Prices()
        self.name = chat.name

    def identity(self, question: Question) -> dict[str, Any]:
        return {**self.chat.identity, "cap": self.cap, "shots": self.shots}

    def decompose(self, question: Question) -> Planning:
        return self._ask(prompts.decompose(question.text, question.context, cap=self.cap, shots=self.shots), self.cap)

    def next(self, question: Question, history: Sequence[tuple[str, str]]) -> Planning:
        messages = prompts.next_subquestion(question.text, question.context, history)
        return _next(self._ask(messages, 1), history)

    def _ask(self, messages: list[prompts.Message], cap: int) -> Planning:
        reply = yield from priced(self.chat, messages, self.prices, PlanDelta)
        plan = _read(reply.text, cap=cap, usage=reply.usage)
        for number, subquestion in enumerate(plan.subquestions, start=1):
            yield SubQuestion(number, subquestion)
        return plan


class GivenDecomposer:
    """Plans that exist already: recorded ones, gold ones, or the trivial one."""

    # Only `dynamic` asks: a plan that is given has as many sub-questions as it has.
    cap = sys.maxsize
    engine: str | None = None
    level: str | None = None

    def __init__(
        self,
        name: str,
        plan_of: Callable[[Question], Sequence[str] | None],
        missing: Callable[[Question], InputError] | None = None,
    ) -> None:
        """`plan_of` gives None for a question without a plan, `missing` the error that says so."""
        self.name = name
        self._plan_of = plan_of
        self._missing = missing

    def identity(self, question: Question) -> dict[str, Any]:
        # A file of plans may change under the same name, so the plan itself counts.
        plan = self._plan_of(question)
        return {"given": None if plan is None else list(plan)}

    def decompose(self, question: Question) -> Planning:
        subquestions = self._plan(question)
        for number, subquestion in enumerate(subquestions, start=1):
            yield SubQuestion(number, subquestion)
        return Plan(subquestions, raw="\n".join(subquestions), usage=Usage(requests=0))

    def next(self, question: Question, history: Sequence[tuple[str, str]]) -> Planning:
        rest = self._plan(question)[len(history) : len(history) + 1]
        for subquestion in rest:
            yield SubQuestion(len(history) + 1, subquestion)
        return Plan(rest, raw="\n".join(rest), usage=Usage(requests=0))

    def _plan(self, question: Question) -> tuple[str, ...]:
        plan = self._plan_of(question)
        if plan is None:
            raise self._missing(question) if self._missing else InputError("there is no plan for the question")
        return tuple(plan)


def trivial() -> GivenDecomposer:
    """The question's last sentence as the only sub-question: the baseline that any decomposer must beat."""

    def last_sentence(question: Question) -> Sequence[str]:
        return [re.split(r"(?<=[.!?])\s+", question.text.strip())[-1]]

    return GivenDecomposer("trivial", last_sentence)


def recorded(path: Path) -> GivenDecomposer:
    """Plans of a JSONL file of records, found by question and context.

    Raises:
        InputError: the file cannot be read, or a line is no record.
    """
    plans: dict[tuple[str, str | None], tuple[str, ...]] = {}
    for where, line in files.lines(path):
        record = Record.from_json(line, where=where)
        if record.subquestions is not None:
            plans[record.question, record.context] = record.subquestions
    return GivenDecomposer(
        f"recorded:{path.name}",
        lambda question: plans.get((question.text, question.context)),
        lambda question: InputError(
            f"{path} holds no plan for the question {question.text[:60]!r}", code="no_recorded_plan"
        ),
    )


def gold(plans: Mapping[str, Sequence[str]]) -> GivenDecomposer:
    """A task's gold plans, by question."""
    return GivenDecomposer(
        "gold",
        lambda question: plans.get(question.text),
        lambda question: InputError(
            f"there is no gold plan for the question {question.text[:60]!r}",
            hint="gold plans are those of GSM8K test",
            code="no_gold_plan",
        ),
    )
