"""How many sub-questions of gold plans are worked out here, and rightly, in place of being sent to a solver.

GSM8K's plans name quantities in words, so for them a second figure is given: the same steps, worded as the calculation
that their gold solution makes ("What is #1 + 48?"). That is what a decomposer that writes references would gain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dnc_edge import parse, prompts
from dnc_edge.bench.machine import machine
from dnc_edge.bench.results import LocalStepsResult, LocalStepsRow
from dnc_edge.remote.usage import BYTES_PER_TOKEN
from dnc_edge.strategies.local_steps import work_out
from dnc_edge.tasks import stats
from dnc_edge.tasks.files import read_jsonl
from dnc_edge.tasks.problem import same_number

_MARK = re.compile(r"<<([^<>=]+)=([^<>]+)>>")
_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+")


@dataclass(frozen=True)
class Step:
    """A sub-question of a gold plan with its gold answer, and the answers of those before it."""

    question: str
    subquestion: str
    answer: str
    before: tuple[str, ...]

    @property
    def tokens(self) -> int:
        """About how many tokens its request and reply have."""
        messages = prompts.step(self.question, None, [(answer, answer) for answer in self.before], self.subquestion)
        sent = sum(len(message["content"].encode()) for message in messages)
        return (sent + len(self.answer.encode())) // BYTES_PER_TOKEN


def local_steps() -> LocalStepsResult:
    """Work out the gold steps of GSM8K test and MuSiQue test.

    Raises:
        DataMissing: one of them is not there.
    """
    worded = {
        "gsm8k": list(_gsm8k()),
        "gsm8k, worded as calculations": list(_calculations()),
        "musique": list(_musique()),
    }
    return LocalStepsResult(rows=[_row(name, steps) for name, steps in worded.items()], machine=machine())


def _row(name: str, steps: Sequence[Step]) -> LocalStepsRow:
    found = [(step, work_out(step.subquestion, step.before)) for step in steps]
    worked_out = [(step, answer) for step, answer in found if answer is not None]
    right = [step for step, answer in worked_out if same_number(answer, step.answer) or answer == step.answer.lower()]
    tokens = sum(step.tokens for step in steps)
    return LocalStepsRow(
        task=name,
        steps=len(steps),
        worked_out=len(worked_out) / len(steps),
        right=stats.wilson(len(right), len(steps)),
        wrong=len(worked_out) - len(right),
        tokens_saved=sum(step.tokens for step, _ in worked_out) / tokens,
    )


def _gsm8k() -> Iterator[Step]:
    """Every step in the words of GSM8K's socratic plans."""
    for question, pairs in _solutions():
        before: list[str] = []
        for subquestion, step in pairs:
            answer = _MARK.sub("", step)
            yield Step(question, subquestion, answer, tuple(before))
            before.append(answer)


def _calculations() -> Iterator[Step]:
    """Every step, as its calculation if it makes one over numbers that are known by then; else in its own words."""
    for question, pairs in _solutions():
        before: list[str] = []
        results: list[float | None] = []
        known = set(map(float, _NUMBER.findall(question.replace(",", ""))))
        for subquestion, step in pairs:
            answer = _MARK.sub("", step)
            marks = _MARK.findall(step)
            asked = _as_calculation(marks[0][0], known, results) if len(marks) == 1 else None
            yield Step(question, asked or subquestion, marks[-1][1] if marks else answer, tuple(before))
            # As a calculation is answered, or as the solution says it.
            before.append(f"{marks[0][0]} = {marks[0][1]}" if asked else answer)
            results.append(parse.number(marks[-1][1]) if marks else None)


def _as_calculation(expression: str, known: set[float], results: Sequence[float | None]) -> str | None:
    """An expression as a sub-question, earlier results as references; None if it needs a number that nobody told."""
    missing = False

    def operand(match: re.Match[str]) -> str:
        nonlocal missing
        value = float(match.group())
        if value in results:
            return f"#{results.index(value) + 1}"
        missing = missing or value not in known
        return match.group()

    worded = _NUMBER.sub(operand, expression.replace(",", ""))
    return None if missing else f"What is {worded.strip()}?"


def _solutions() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """(question, [(sub-question, step of the solution)]) of GSM8K test."""
    for row in read_jsonl("gsm8k/test_socratic.jsonl"):
        lines = [line.partition(" ** ") for line in row["answer"].split("\n")[:-1]]
        yield row["question"], [(subquestion, step) for subquestion, _, step in lines]


def _musique() -> Iterator[Step]:
    for row in read_jsonl("musique/test.jsonl"):
        before: list[str] = []
        for step in row["question_decomposition"]:
            yield Step(row["question"], step["question"], step["answer"], tuple(before))
            before.append(step["answer"])
